"""What is asked of the engine: element types, memory layouts and the three passes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Rounding = Literal["high", "highest", "repeatable"]
"""How results may be rounded: as is fastest; as a sum of the products of the definition; as such a sum in an
order that depends neither on the batch nor on where operands lie."""


class Layout(Enum):
    """Which axis of a (N, C, H, W) operand lies side by side in memory."""

    PLANAR = "planar"
    """W has stride 1 (NCHW)."""
    INTERLEAVED = "interleaved"
    """C has stride 1 (channels_last)."""
    STRIDED = "strided"
    """Neither: every element is addressed on its own."""


@dataclass(frozen=True)
class ElementType:
    """How an element is stored and in what it is computed.

    ``bits`` and ``kind`` describe one stored scalar; a complex element is two of them (``parts``).
    Products are summed in ``compute_bits`` of the same family: f16 and bf16 in f32, integers of up
    to 32 bits in 32 (sums that wrap around agree with any narrower width).
    """

    name: str
    bits: int
    kind: str  # "float", "bfloat", "signed" or "unsigned"
    compute_bits: int
    parts: int = 1

    @property
    def item_bytes(self) -> int:
        """Bytes of one stored scalar (half of a complex element)."""
        return self.bits // 8

    @property
    def compute_bytes(self) -> int:
        """Bytes of one scalar as it is computed with."""
        return self.compute_bits // 8

    @property
    def is_integer(self) -> bool:
        """Whether sums wrap around."""
        return self.kind in {"signed", "unsigned"}


ELEMENT_TYPES = {
    element.name: element
    for element in (
        ElementType("f16", 16, "float", 32),
        ElementType("bf16", 16, "bfloat", 32),
        ElementType("f32", 32, "float", 32),
        ElementType("f64", 64, "float", 64),
        ElementType("c32", 16, "float", 32, parts=2),
        ElementType("c64", 32, "float", 32, parts=2),
        ElementType("c128", 64, "float", 64, parts=2),
        ElementType("i8", 8, "signed", 32),
        ElementType("i16", 16, "signed", 32),
        ElementType("i32", 32, "signed", 32),
        ElementType("i64", 64, "signed", 64),
        ElementType("u8", 8, "unsigned", 32),
    )
}
