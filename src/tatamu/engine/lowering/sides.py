"""The roles of the operands in a direct pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tatamu.engine.kernels.job import WeightLines
from tatamu.engine.lowering.common import Strides


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


def weight_lines(places: Sequence[int], weight_c: int) -> WeightLines:
    """Along what weights are read whose taps lie at these places, and channels ``weight_c`` apart."""
    if places and list(places) == list(range(places[0], places[0] + weight_c)):
        return WeightLines.BOTH
    return WeightLines.CHANNELS if weight_c == 1 else WeightLines.SCATTERED
