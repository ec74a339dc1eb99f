"""What every lowered pass has in common: operands as strides, and all that a call needs besides pointers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Hashable
from dataclasses import dataclass, replace

from tatamu.engine.kernels.job import Word
from tatamu.engine.runtime.jit import Kernel
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.target import Target
from tatamu.geometry import Axis, Geometry

_GRAIN_OPERATIONS = 1 << 17
_FAR = 4
"""Times L2: operands of so many bytes come from so far away that asking for their lines early is worth it."""

Strides = tuple[int, int, int, int]
"""Of the four axes of an operand, in elements."""


@dataclass(frozen=True)
class Operand:
    """Where the elements of a 4-D tensor lie, and whether they are to be conjugated when read."""

    strides: Strides
    conjugated: bool = False

    def layout(self, size: tuple[int, int, int, int]) -> Layout:
        """Which axis lies side by side; where one has one element, strides say what it would be with more."""
        if self.strides[3] == 1:
            return Layout.PLANAR
        if self.strides[1] == 1:
            return Layout.INTERLEAVED
        return Layout.PLANAR if size[3] == 1 else Layout.STRIDED

    def is_dense(self, size: tuple[int, int, int, int]) -> bool:
        """Whether the elements fill one stretch of memory, in any order."""
        span = 1 + sum((length - 1) * step for length, step in zip(size, self.strides, strict=True))
        return span == math.prod(size)


@dataclass(frozen=True)
class Packing:
    """How a pass packs its weights before it begins."""

    key: Hashable
    """Equal keys: the same bytes of weights are packed to the same bytes."""
    weight_bytes: int
    """Of the weight, which lies in one stretch of memory without gaps."""


@dataclass(frozen=True)
class Lowered:
    """All that a call needs besides pointers; made once per geometry and shared by all calls."""

    kernel: Kernel
    table: array[int]
    shared_bytes: int
    scratch_bytes: int
    operations: int
    """Multiply-adds of the whole pass: what is worth more than one thread is judged by it."""
    reason: str
    packing: Packing | None = None
    """None where no weights are packed beforehand, or where they do not lie in one stretch."""
    passed_over: tuple[str, ...] = ()
    """Techniques that were asked before, and why each does not do it."""


def scalars(strides: Strides, parts: int) -> Strides:
    """Element strides as strides of stored scalars."""
    n, c, h, w = strides
    return n * parts, c * parts, h * parts, w * parts


def operand_words(role: str, strides: Strides, channels: int, parts: int) -> dict[Word, int]:
    """Where an operand lies; ``role`` is SOURCE, SECOND or TARGET, ``channels`` are those of a group."""
    n, c, h, w = scalars(strides, parts)
    values = {"N": n, "G": c * channels, "C": c, "H": h, "W": w}
    return {Word[f"{role}_{axis}"]: value for axis, value in values.items()}


def grain(tasks: int, operations: int) -> int:
    """How many tasks a thread takes at a time: enough work to be worth an atomic step, and no more."""
    return max(1, min(tasks // 8, _GRAIN_OPERATIONS * tasks // max(1, operations)))


def prefetches(geometry: Geometry, element: ElementType, target: Target) -> int:
    """1 where input and output together are too large to be near when they are read and written."""
    items = math.prod(geometry.input_size) + math.prod(geometry.output_size)
    return int(items * element.item_bytes > _FAR * target.l2_bytes)


def flattened(geometry: Geometry, *operands: Operand) -> Geometry:
    """A 1x1 convolution of stride 1 without padding knows no rows: all its pixels are one long row.

    Returns what was given where that does not hold, or where rows do not follow one another in memory.
    """
    rows, columns = geometry.rows, geometry.columns
    pointwise = all(
        (axis.kernel, axis.stride, axis.before, axis.after) == (1, 1, 0, 0) for axis in (rows, columns)
    )
    if not pointwise or any(operand.strides[2] != columns.size * operand.strides[3] for operand in operands):
        return geometry
    return replace(geometry, rows=Axis(1, 1), columns=Axis(rows.size * columns.size, 1))
