"""Weights that are packed before the tasks begin: where they lie, and how they are known again."""

from __future__ import annotations

from collections.abc import Sequence

from tatamu.engine.lowering.common import Operand, Packing
from tatamu.engine.lowering.sides import Side
from tatamu.engine.spec import ElementType
from tatamu.engine.tables import aligned
from tatamu.geometry import Geometry


class PackedRows:
    """Where the packed weights of each job lie, in what all threads share."""

    def __init__(self, geometry: Geometry, element: ElementType, side: Side, width: int, unit: int) -> None:
        """A tile is ``width`` rows, or what is left in steps of ``unit``."""
        self._geometry, self._element, self._side = geometry, element, side
        self._tiles = -(-side.m // width)
        self._rows = -(-side.m // unit) * unit
        self._elements = 0

    def place(self, products: int) -> tuple[int, int]:
        """Where the panels of one more job begin, of so many for each row; elements of a group's."""
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
        return aligned(self._element.compute_bytes * self._elements)

    def packing(self, kind: Sequence[object], weight: Operand, places: list[list[int]]) -> Packing | None:
        """How to know them again; None where the weight does not lie in one stretch of memory."""
        if not weight.is_dense(self._geometry.weight_size):
            return None
        side, groups = self._side, self._geometry.groups
        steps = side.weight_g, side.weight_m, side.weight_c
        listed = tuple(map(tuple, places))
        key = ("rows", self._element, *kind, groups, side.channels, side.m, steps, listed, self._elements)
        o, c, h, w = self._geometry.weight_size
        return Packing(key, self._element.item_bytes * o * c * h * w)
