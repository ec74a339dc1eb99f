"""The roles of the operands in a direct pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tatamu.engine.kernels.job import WeightLines
from tatamu.engine.lowering.common import Operand, Strides
from tatamu.geometry import Geometry


@dataclass(frozen=True)
class Side:
    """What is gathered, what is written, and how the weight is walked."""

    source: Strides
    target: Strides
    channels: int
    m: int
    weight_g: int
    weight_m: int
    weight_c: int
    source_conjugated: bool
    weight_conjugated: bool
    bias_stride: int | None

    @staticmethod
    def of_forward(
        geometry: Geometry, source: Operand, weight: Operand, bias_stride: int | None, result: Operand
    ) -> Side:
        """The forward pass: rows are result channels."""
        m = geometry.out_channels // geometry.groups
        o, c, _, _ = weight.strides
        return Side(
            source.strides,
            result.strides,
            geometry.in_channels // geometry.groups,
            m,
            o * m,
            o,
            c,
            source.conjugated,
            weight.conjugated,
            bias_stride,
        )

    @staticmethod
    def of_grad_input(geometry: Geometry, grad_output: Operand, weight: Operand, result: Operand) -> Side:
        """The gradient of the input: rows are input channels, the weight counts conjugated."""
        channels = geometry.out_channels // geometry.groups
        o, c, _, _ = weight.strides
        return Side(
            grad_output.strides,
            result.strides,
            channels,
            geometry.in_channels // geometry.groups,
            o * channels,
            c,
            o,
            grad_output.conjugated,
            not weight.conjugated,
            None,
        )


def weight_lines(places: Sequence[int], weight_c: int) -> WeightLines:
    """Along what weights are read whose taps lie at these places, and channels ``weight_c`` apart."""
    if places and list(places) == list(range(places[0], places[0] + weight_c)):
        return WeightLines.BOTH
    return WeightLines.CHANNELS if weight_c == 1 else WeightLines.SCATTERED
