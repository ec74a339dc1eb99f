"""bf16 multiplied in pairs of channels, where the target has an instruction for it."""

from __future__ import annotations

from tatamu.engine.kernels.job import RowMode
from tatamu.engine.lowering.sides import Side
from tatamu.engine.spec import ElementType
from tatamu.engine.tables import Rows
from tatamu.engine.taps import AxisTaps
from tatamu.engine.target import Target
from tatamu.geometry import Geometry

_FEW_CHANNELS = 4
"""Channels side by side that are gathered one by one; more are turned, and computed in float32."""


def suits(
    element: ElementType,
    target: Target,
    side: Side,
    jobs: list[tuple[Rows, AxisTaps]],
    mode: RowMode,
    interleaved: bool,
) -> bool:
    """Whether slabs of pairs are worth writing and hold the source exactly: padding is zeros, never a sum.

    Channels that all lie in one place are no pairs: for the kernel, the step to a channel alone is 0.
    """
    plain = mode is RowMode.ZEROS and not any(columns.listed for _, columns in jobs)
    few = 1 < side.channels <= _FEW_CHANNELS if interleaved else side.channels > 1
    return target.multiplies_pairs(element) and plain and few and side.source[1] != 0


def lie_in_pairs(geometry: Geometry, side: Side) -> bool:
    """Whether weights can be read where they lie: rows that are runs of pairs of channels."""
    steps = side.channels, side.weight_m, side.weight_g
    return geometry.kernel_size == (1, 1) and side.weight_c == 1 and not any(step % 2 for step in steps)
