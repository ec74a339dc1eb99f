"""Forward of few channels that lie side by side → the planar kernel.

A line of such pixels is a line of scalars, and the convolution of its channels is that of one channel whose
kernel is as many times as wide: it steps from pixel to pixel, and sums over the columns and channels that it
covers in one run.
"""

from __future__ import annotations

from dataclasses import replace

from tatamu.engine import taps
from tatamu.engine.kernels.lane_descriptions import FewChannelsKernel
from tatamu.engine.lowering.common import Lowered, Operand
from tatamu.engine.lowering.planar import lower_jobs
from tatamu.engine.lowering.sides import Side
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.target import Target
from tatamu.geometry import Geometry

_MOST_CHANNELS = 4
"""More are worth an address for each tap and pixel, which the interleaved kernel needs."""
_MOST_VECTORS, _MOST_ROWS = 4, 8
"""Of a register tile: more rows need more addresses than there are registers for."""


def lower_forward(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    weight: Operand,
    bias_stride: int | None,
    result: Operand,
) -> Lowered | None:
    """The forward pass, or None where another technique is better."""
    channels, m = geometry.in_channels, geometry.out_channels
    lanes = target.lanes(element.compute_bytes)
    beside = source.strides[1] == 1 or channels == 1, source.strides[3] == channels
    if (
        element.parts > 1
        or geometry.groups > 1
        or channels > _MOST_CHANNELS
        or geometry.kernel_size == (1, 1)
        or -(-m // lanes) * lanes * 3 > 4 * m
        or geometry.padding_mode != "zeros"
        or not all(beside)
        or result.layout(geometry.output_size) is not Layout.INTERLEAVED
    ):
        return None
    rows, columns = (taps.forward(axis, "zeros") for axis in (geometry.rows, geometry.columns))
    scalars = replace(
        columns,
        taps=tuple(
            (number * channels + c, offset * channels + c)
            for number, (_, offset) in enumerate(columns.taps)
            for c in range(channels)
        ),
        stride=columns.stride * channels,
        size=columns.size * channels,
    )
    _, step_c, step_h, step_w = weight.strides
    places = [
        i * step_h + j * step_w + c * step_c
        for i, _ in rows.taps
        for j, _ in columns.taps
        for c in range(channels)
    ]
    n, _, h, _ = source.strides
    side = Side(
        (n, 0, h, 1),
        result.strides,
        1,
        m,
        0,
        weight.strides[0],
        len(places),
        source.conjugated,
        weight.conjugated,
        bias_stride,
    )
    kernel = _kernel(element, target, -(-m // lanes))
    return lower_jobs(
        geometry,
        element,
        target,
        side,
        [(rows, scalars)],
        "zeros",
        weight,
        listed_weights=places,
        few_channels=kernel,
    )


def _kernel(element: ElementType, target: Target, registers: int) -> FewChannelsKernel:
    """The register tile for so many registers of result channels, cut evenly.

    Sums, the weights of a step and a scalar fit the register file, and one register is to spare.
    """
    most = _MOST_VECTORS if target.registers >= 32 else _MOST_VECTORS // 2
    vectors = -(-registers // -(-registers // most))
    rows = min(_MOST_ROWS, (target.registers - vectors - 2) // vectors)
    return FewChannelsKernel(element, rows, vectors, registers % vectors)
