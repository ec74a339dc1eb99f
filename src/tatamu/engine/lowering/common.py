"""What every lowered pass has in common: operands as strides, and all that a call needs besides pointers."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from tatamu.engine.runtime.jit import Kernel
from tatamu.engine.spec import Layout

_GRAIN_OPERATIONS = 1 << 17

Strides = tuple[int, int, int, int]
"""Of the four axes of an operand, in elements."""

@dataclass(frozen=True)
class Operand:
    """Where the elements of a 4-D tensor lie, and whether they are to be conjugated when read."""

    strides: Strides
    conjugated: bool = False

    def layout(self, size: tuple[int, int, int, int]) -> Layout:
        """Which axis lies side by side (an axis of one element may be said to)."""
        if self.strides[3] == 1 or size[3] == 1:
            return Layout.PLANAR
        if self.strides[1] == 1:
            return Layout.INTERLEAVED
        return Layout.STRIDED


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


def scalars(strides: Strides, parts: int) -> Strides:
    """Element strides as strides of stored scalars."""
    n, c, h, w = strides
    return n * parts, c * parts, h * parts, w * parts


def grain(tasks: int, operations: int) -> int:
    """How many tasks a thread takes at a time: enough work to be worth an atomic step, and no more."""
    return max(1, min(tasks // 8, _GRAIN_OPERATIONS * tasks // max(1, operations)))
