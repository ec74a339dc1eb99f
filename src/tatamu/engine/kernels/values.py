"""The values of a kernel (integers, addresses, variables) and the function that computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Union

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.llvm_text.types import I8, I64

Index = Union["Int", int]


def scalar_bytes(type_: ir.Type) -> int:
    """Bytes of one element in memory."""
    return max(1, type_.width // 8) if isinstance(type_, (ir.IntType, ir.FloatType)) else 8


class Body:
    """A function being written, and what its values need of it; `Code` writes the rest."""

    def __init__(self, function: ir.Function) -> None:
        self.function = function
        self.module = function.module
        self.builder = ir.Builder(function, function.append_block("entry"))
        # Allocas go to a block of their own, so that one inside a loop does not grow the stack.
        body = function.append_block("body")
        self.builder.branch(body)
        self.builder.position_at_end(body)
        self._once: dict[str, Any] = {}

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """A value that is computed when the function begins, however often it is asked for."""
        if name not in self._once:
            with self.builder.goto_entry_block():
                self._once[name] = compute()
        return self._once[name]

    def index(self, value: Index) -> Int:
        """A Python integer as a constant; an `Int` as it is."""
        return value if isinstance(value, Int) else Int(self, ir.Constant(I64, int(value)))

    def argument(self, position: int) -> Int:
        """An integer argument of the function."""
        return Int(self, self.function.args[position])

    def pointer(self, position: int, element: ir.Type) -> Pointer:
        """A pointer argument of the function."""
        return Pointer(self, self.function.args[position], element)

    def variable(self, initial: Index) -> IndexVariable:
        """An index that changes."""
        return IndexVariable(self, self.index(initial).value)

    def stack(self, element: ir.Type, count: int) -> Pointer:
        """Room for ``count`` elements that lives as long as the call."""
        with self.builder.goto_entry_block():
            return Pointer(self, self.builder.alloca(element, count, align=64), element)

    def select(self, condition: ir.Value, first: Index, second: Index) -> Int:
        """``first if condition else second``."""
        return Int(self, self.builder.select(condition, self.index(first).value, self.index(second).value))


class Int:
    """A 64-bit signed integer of the kernel, with Python's operators; comparisons give conditions."""

    def __init__(self, code: Body, value: ir.Value) -> None:
        self.code = code
        self.value = value

    def _with(self, write: Callable[[ir.Value, ir.Value], ir.Value], other: Index) -> Int:
        return Int(self.code, write(self.value, self.code.index(other).value))

    def __add__(self, other: Index) -> Int:
        return self._with(self.code.builder.add, other)

    __radd__ = __add__

    def __sub__(self, other: Index) -> Int:
        return self._with(self.code.builder.sub, other)

    def __rsub__(self, other: Index) -> Int:
        return self.code.index(other) - self

    def __mul__(self, other: Index) -> Int:
        return self._with(self.code.builder.mul, other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Index) -> Int:
        """Quotient of two non-negative numbers."""
        return self._with(self.code.builder.udiv, other)

    def __mod__(self, other: Index) -> Int:
        """Remainder of two non-negative numbers."""
        return self._with(self.code.builder.urem, other)

    def _compared(self, relation: str, other: Index) -> ir.Value:
        return self.code.builder.icmp_signed(relation, self.value, self.code.index(other).value)

    def __lt__(self, other: Index) -> ir.Value:
        return self._compared("<", other)

    def __le__(self, other: Index) -> ir.Value:
        return self._compared("<=", other)

    def __gt__(self, other: Index) -> ir.Value:
        return self._compared(">", other)

    def __ge__(self, other: Index) -> ir.Value:
        return self._compared(">=", other)

    def equals(self, other: Index) -> ir.Value:
        """Whether both are the same number."""
        return self._compared("==", other)

    def minimum(self, other: Index) -> Int:
        """The smaller of two."""
        return self.code.select(self < other, self, other)

    def maximum(self, other: Index) -> Int:
        """The larger of two."""
        return self.code.select(self > other, self, other)


class Pointer:
    """An address and the type of the elements that lie there; offsets count elements."""

    def __init__(self, code: Body, raw: ir.Value, element: ir.Type) -> None:
        self.code = code
        self.raw = raw
        self.element = element

    def __add__(self, offset: Index) -> Pointer:
        moved = self.code.builder.gep(self.raw, self.code.index(offset).value, self.element)
        return Pointer(self.code, moved, self.element)

    def moved_bytes(self, offset: Index) -> Pointer:
        """This pointer, ``offset`` bytes further."""
        moved = self.code.builder.gep(self.raw, self.code.index(offset).value, I8)
        return Pointer(self.code, moved, self.element)

    def of(self, element: ir.Type) -> Pointer:
        """The same address seen as elements of another type."""
        return Pointer(self.code, self.raw, element)

    def load(self, offset: Index = 0, lanes: int | None = None) -> ir.Value:
        """One element, or ``lanes`` of them as a vector (no alignment beyond the element's is assumed)."""
        type_ = self.element if lanes is None else ir.VectorType(self.element, lanes)
        return self.code.builder.load((self + offset).raw, type_, align=scalar_bytes(self.element))

    def store(self, value: ir.Value, offset: Index = 0) -> None:
        """Write a scalar or a vector."""
        self.code.builder.store(value, (self + offset).raw, align=scalar_bytes(self.element))

    def read_index(self, offset: Index = 0) -> Int:
        """One element of a table of 64-bit integers."""
        return Int(self.code, self.load(offset))


class Variable:
    """A value that changes: LLVM turns the stack slot behind it into registers."""

    def __init__(self, code: Body, initial: ir.Value) -> None:
        self.code = code
        self.type = initial.type
        with code.builder.goto_entry_block():
            self.slot = code.builder.alloca(initial.type)
        self.set(initial)

    def get(self) -> ir.Value:
        """The value now."""
        return self.code.builder.load(self.slot, self.type)

    def set(self, value: ir.Value) -> None:
        """Change the value."""
        self.code.builder.store(value, self.slot)


class IndexVariable(Variable):
    """A `Variable` that holds an index."""

    @property
    def now(self) -> Int:
        """The index now."""
        return Int(self.code, self.get())

    def become(self, value: Index) -> None:
        """Change the index."""
        self.set(self.code.index(value).value)
