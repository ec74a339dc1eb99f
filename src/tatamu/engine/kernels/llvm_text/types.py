"""Types, and the values of which instructions are made: a type each, and the text that names it."""

from __future__ import annotations

import struct
from typing import Any, Final


class Type:
    """A type, known by its text; a vector has ``count`` lanes of ``element``, all else has itself as one."""

    __slots__ = ("count", "element", "text")
    count: int
    element: Type

    def __init__(self, text: str) -> None:
        self.text, self.element, self.count = text, self, 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text


class IntType(Type):
    """Integers of ``width`` bits; called with a number, it gives the constant."""

    __slots__ = ("width",)

    def __init__(self, width: int) -> None:
        super().__init__(f"i{width}")
        self.width = width

    def __call__(self, number: int) -> Value:
        """A constant."""
        return Value(self, str(number))


class FloatType(Type):
    """Floating-point numbers of ``width`` bits; ``packed`` is how `struct` rounds a constant to one."""

    __slots__ = ("packed", "width")

    def __init__(self, text: str, width: int, packed: str) -> None:
        super().__init__(text)
        self.width = width
        self.packed = packed


class VectorType(Type):
    """``count`` numbers side by side in a register."""

    __slots__ = ()

    def __init__(self, element: Type, count: int) -> None:
        self.text, self.element, self.count = f"<{count} x {element.text}>", element, count


I1, I8, I16, I32, I64 = (IntType(bits) for bits in (1, 8, 16, 32, 64))
F16, F32, F64 = FloatType("half", 16, "e"), FloatType("float", 32, "f"), FloatType("double", 64, "d")
BF16 = FloatType("bfloat", 16, "d")  # `struct` has no name for it; LLVM refuses numbers that it cannot hold.
POINTER, VOID = Type("ptr"), Type("void")


class Value:
    """An operand."""

    __slots__ = ("text", "type")

    def __init__(self, type_: Type, text: str) -> None:
        self.type = type_
        self.text = text


Undefined: Final = object()
"""The constant of no particular value."""


class Constant(Value):
    """A number, a sequence of one number for each lane, `Undefined`, or None for zeros."""

    __slots__ = ()

    def __init__(self, type_: Type, number: Any) -> None:
        super().__init__(type_, _spelt(type_, number))


def _spelt(type_: Type, number: Any) -> str:
    if number is Undefined:
        return "undef"
    if isinstance(type_, VectorType):
        if number is None:
            return "zeroinitializer"
        element = type_.element
        return "<" + ", ".join([f"{element.text} {_spelt(element, lane)}" for lane in number]) + ">"
    if type_ is POINTER:
        return "null"
    if isinstance(type_, FloatType):
        # As the bits of a double, whatever the type: what LLVM reads without rounding.
        (rounded,) = struct.unpack(type_.packed, struct.pack(type_.packed, 0 if number is None else number))
        return "0x" + struct.pack(">d", rounded).hex()
    return str(int(number or 0))
