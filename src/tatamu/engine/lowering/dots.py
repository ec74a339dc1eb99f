"""bf16 multiplied in pairs of channels, where the target has an instruction for it."""

from __future__ import annotations

from collections.abc import Sequence

from tatamu.engine.kernels.job import RowMode
from tatamu.engine.lowering.common import Operand, Packing
from tatamu.engine.lowering.sides import Side
from tatamu.engine.spec import ElementType
from tatamu.engine.tables import Rows, aligned
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
    """Whether slabs of pairs are worth writing and hold the source exactly: padding is zeros, never a sum."""
    plain = mode is RowMode.ZEROS and not any(columns.listed for _, columns in jobs)
    few = 1 < side.channels <= _FEW_CHANNELS if interleaved else side.channels > 1
    return target.multiplies_pairs(element) and plain and few


def lie_in_pairs(geometry: Geometry, side: Side) -> bool:
    """Whether weights can be read where they lie: rows that are runs of pairs of channels."""
    steps = side.channels, side.weight_m, side.weight_g
    return geometry.kernel_size == (1, 1) and side.weight_c == 1 and not any(step % 2 for step in steps)


class PackedPairs:
    """Where the packed weights of each job lie, in what all threads share."""

    def __init__(self, geometry: Geometry, side: Side, width: int, unit: int) -> None:
        """A tile is ``width`` rows, or what is left in steps of ``unit``."""
        self._geometry, self._side = geometry, side
        self._tiles = -(-side.m // width)
        self._rows = -(-side.m // unit) * unit
        self._elements = 0

    def place(self, products: int) -> tuple[int, int]:
        """Where the panels of one more job begin, of so many pairs for each row; elements of a group's."""
        begin, group = self._elements, self._rows * products
        self._elements += group * self._geometry.groups
        return begin, group

    @property
    def tasks(self) -> int:
        """Tiles of all groups."""
        return self._geometry.groups * self._tiles

    @property
    def shared_bytes(self) -> int:
        """Of all jobs."""
        return aligned(4 * self._elements)

    def packing(self, kind: Sequence[object], weight: Operand, places: list[list[int]]) -> Packing | None:
        """How to know them again; None where the weight does not lie in one stretch of memory."""
        if not weight.is_dense(self._geometry.weight_size):
            return None
        side, groups = self._side, self._geometry.groups
        steps = side.weight_g, side.weight_m, side.weight_c
        listed = tuple(map(tuple, places))
        key = ("pairs", *kind, groups, side.channels, side.m, steps, listed)
        o, c, h, w = self._geometry.weight_size
        return Packing(key, 2 * o * c * h * w)
