"""The instructions, each a line of text behind the last one of a block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from tatamu.engine.kernels.llvm_text.module import Block, Function
from tatamu.engine.kernels.llvm_text.types import I1, POINTER, VOID, Constant, Type, Value, VectorType

_RELATIONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_EQUALITIES = {"==": "eq", "!=": "ne"}
_SIGNED = {**{sign: f"s{name}" for sign, name in _RELATIONS.items()}, **_EQUALITIES}
_UNSIGNED = {**{sign: f"u{name}" for sign, name in _RELATIONS.items()}, **_EQUALITIES}
_BESIDES = {**_RELATIONS, **_EQUALITIES}


class Phi(Value):
    """A value that depends on the block from which its own was entered."""

    __slots__ = ("_block", "_incoming", "_line")

    def __init__(self, type_: Type, text: str, block: Block) -> None:
        super().__init__(type_, text)
        self._block, self._line = block, len(block.lines)
        self._incoming: list[str] = []
        block.lines.append("")

    def add_incoming(self, value: Value, block: Block) -> None:
        """What it is for those who come from a block."""
        self._incoming.append(f"[{value.text}, %{block.name}]")
        self._block.lines[self._line] = f"{self.text} = phi {self.type.text} {', '.join(self._incoming)}"


class Builder:
    """Writes instructions to the end of a block, but before its terminator."""

    __slots__ = ("block", "function")

    def __init__(self, function: Function, block: Block) -> None:
        self.function = function
        self.block = block

    # -- where to write ------------------------------------------------------------------------

    def position_at_end(self, block: Block) -> None:
        """Write to another block from now on."""
        self.block = block

    @contextmanager
    def goto_entry_block(self) -> Iterator[None]:
        """Write what runs when the function begins."""
        before, self.block = self.block, self.function.blocks[0]
        yield
        self.block = before

    # -- where to go ---------------------------------------------------------------------------

    def branch(self, target: Block) -> None:
        """Go on in another block."""
        self.block.terminator = f"br label %{target.name}"

    def cbranch(self, condition: Value, then: Block, otherwise: Block) -> None:
        """Go on in one of two blocks."""
        self.block.terminator = f"br i1 {condition.text}, label %{then.name}, label %{otherwise.name}"

    def ret_void(self) -> None:
        """Return nothing."""
        self.block.terminator = "ret void"

    @contextmanager
    def if_then(self, condition: Value) -> Iterator[None]:
        """Instructions for a condition that is true."""
        then, after = (self.function.append_block(name) for name in ("if", "endif"))
        self.cbranch(condition, then, after)
        with self._inside(then, after):
            yield
        self.block = after

    @contextmanager
    def if_else(
        self, condition: Value
    ) -> Iterator[tuple[AbstractContextManager[None], AbstractContextManager[None]]]:
        """Instructions for a condition that is true, and for one that is not."""
        then, otherwise, after = (self.function.append_block(name) for name in ("if", "else", "endif"))
        self.cbranch(condition, then, otherwise)
        yield self._inside(then, after), self._inside(otherwise, after)
        self.block = after

    @contextmanager
    def _inside(self, block: Block, after: Block) -> Iterator[None]:
        self.block = block
        yield
        self.branch(after)

    # -- instructions --------------------------------------------------------------------------

    def _result(self, type_: Type, instruction: str) -> Value:
        function = self.function
        function.named = number = function.named + 1
        text = f"%v{number}"
        self.block.lines.append(f"{text} = {instruction}")
        return Value(type_, text)

    def _binary(self, name: str, a: Value, b: Value) -> Value:
        return self._result(a.type, f"{name} {a.type.text} {a.text}, {b.text}")

    def add(self, a: Value, b: Value, *, nsw: bool = False) -> Value:
        """The sum of integers; ``nsw``: of signed ones that have it in their range."""
        return self._binary("add nsw" if nsw else "add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        """The difference of integers."""
        return self._binary("sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        """The product of integers."""
        return self._binary("mul", a, b)

    def udiv(self, a: Value, b: Value) -> Value:
        """The quotient of unsigned integers."""
        return self._binary("udiv", a, b)

    def urem(self, a: Value, b: Value) -> Value:
        """The remainder of unsigned integers."""
        return self._binary("urem", a, b)

    def and_(self, a: Value, b: Value) -> Value:
        """The bits of both."""
        return self._binary("and", a, b)

    def or_(self, a: Value, b: Value) -> Value:
        """The bits of either."""
        return self._binary("or", a, b)

    def xor(self, a: Value, b: Value) -> Value:
        """The bits in which they differ."""
        return self._binary("xor", a, b)

    def not_(self, a: Value) -> Value:
        """The other bits."""
        ones = [-1] * a.type.count if isinstance(a.type, VectorType) else -1
        return self.xor(a, Constant(a.type, ones))

    def shl(self, a: Value, bits: Value) -> Value:
        """Bits moved towards the high end."""
        return self._binary("shl", a, bits)

    def lshr(self, a: Value, bits: Value) -> Value:
        """Bits moved towards the low end; zeros follow."""
        return self._binary("lshr", a, bits)

    def fadd(self, a: Value, b: Value) -> Value:
        """The sum of floats."""
        return self._binary("fadd", a, b)

    def fsub(self, a: Value, b: Value) -> Value:
        """The difference of floats."""
        return self._binary("fsub", a, b)

    def fmul(self, a: Value, b: Value) -> Value:
        """The product of floats."""
        return self._binary("fmul", a, b)

    def fdiv(self, a: Value, b: Value) -> Value:
        """The quotient of floats."""
        return self._binary("fdiv", a, b)

    def fneg(self, a: Value) -> Value:
        """A float with its sign turned."""
        return self._result(a.type, f"fneg {a.type.text} {a.text}")

    def _compared(self, name: str, a: Value, b: Value) -> Value:
        type_ = VectorType(I1, a.type.count) if isinstance(a.type, VectorType) else I1
        return self._result(type_, f"{name} {a.type.text} {a.text}, {b.text}")

    def icmp_signed(self, relation: str, a: Value, b: Value) -> Value:
        """How signed integers compare."""
        return self._compared(f"icmp {_SIGNED[relation]}", a, b)

    def icmp_unsigned(self, relation: str, a: Value, b: Value) -> Value:
        """How unsigned integers compare."""
        return self._compared(f"icmp {_UNSIGNED[relation]}", a, b)

    def fcmp_ordered(self, relation: str, a: Value, b: Value) -> Value:
        """How floats compare that are numbers; false where one is none."""
        return self._compared(f"fcmp o{_BESIDES[relation]}", a, b)

    def unordered(self, a: Value, b: Value) -> Value:
        """Whether one of two floats is not a number."""
        return self._compared("fcmp uno", a, b)

    def select(self, condition: Value, first: Value, second: Value) -> Value:
        """The first where the condition is true, else the second."""
        type_ = first.type.text
        return self._result(
            first.type,
            f"select {condition.type.text} {condition.text}, {type_} {first.text}, {type_} {second.text}",
        )

    def _converted(self, name: str, a: Value, type_: Type) -> Value:
        if a.type == type_:
            return a
        return self._result(type_, f"{name} {a.type.text} {a.text} to {type_.text}")

    def bitcast(self, a: Value, type_: Type) -> Value:
        """The same bits as another type."""
        return self._converted("bitcast", a, type_)

    def ptrtoint(self, a: Value, type_: Type) -> Value:
        """An address as a number."""
        return self._converted("ptrtoint", a, type_)

    def inttoptr(self, a: Value, type_: Type) -> Value:
        """A number as an address."""
        return self._converted("inttoptr", a, type_)

    def trunc(self, a: Value, type_: Type) -> Value:
        """The low bits of an integer."""
        return self._converted("trunc", a, type_)

    def zext(self, a: Value, type_: Type) -> Value:
        """An unsigned integer, wider."""
        return self._converted("zext", a, type_)

    def sext(self, a: Value, type_: Type) -> Value:
        """A signed integer, wider."""
        return self._converted("sext", a, type_)

    def fptrunc(self, a: Value, type_: Type) -> Value:
        """A float, narrower."""
        return self._converted("fptrunc", a, type_)

    def fpext(self, a: Value, type_: Type) -> Value:
        """A float, wider."""
        return self._converted("fpext", a, type_)

    # -- memory --------------------------------------------------------------------------------

    def alloca(self, type_: Type, count: int | None = None, *, align: int | None = None) -> Value:
        """Room for one value, or for ``count``, until the function returns."""
        what = type_.text if count is None else f"[{count} x {type_.text}]"
        return self._result(POINTER, f"alloca {what}{_aligned(align)}")

    def load(self, place: Value, type_: Type, *, align: int | None = None) -> Value:
        """Read a value."""
        return self._result(type_, f"load {type_.text}, ptr {place.text}{_aligned(align)}")

    def store(self, value: Value, place: Value, *, align: int | None = None) -> None:
        """Write a value."""
        self.block.lines.append(f"store {value.type.text} {value.text}, ptr {place.text}{_aligned(align)}")

    def gep(self, place: Value, offset: Value, element: Type) -> Value:
        """The address some elements further."""
        return self._result(
            POINTER, f"getelementptr {element.text}, ptr {place.text}, {offset.type.text} {offset.text}"
        )

    def atomic_rmw(self, operation: str, place: Value, value: Value, ordering: str) -> Value:
        """Change a value in memory that other threads change too; gives what it was before."""
        return self._result(
            value.type,
            f"atomicrmw {operation} ptr {place.text}, {value.type.text} {value.text} {ordering}",
        )

    # -- vectors, calls ------------------------------------------------------------------------

    def insert_element(self, vector: Value, element: Value, lane: Value) -> Value:
        """A vector with another element in a lane."""
        return self._result(
            vector.type,
            f"insertelement {vector.type.text} {vector.text}, {element.type.text} {element.text},"
            f" {lane.type.text} {lane.text}",
        )

    def extract_element(self, vector: Value, lane: Value) -> Value:
        """The element of a lane."""
        return self._result(
            vector.type.element,
            f"extractelement {vector.type.text} {vector.text}, {lane.type.text} {lane.text}",
        )

    def shuffle_vector(self, first: Value, second: Value, lanes: Value) -> Value:
        """The lanes of two vectors, laid end to end, that a constant vector numbers."""
        type_ = first.type.text
        return self._result(
            VectorType(first.type.element, lanes.type.count),
            f"shufflevector {type_} {first.text}, {type_} {second.text}, {lanes.type.text} {lanes.text}",
        )

    def phi(self, type_: Type) -> Phi:
        """A value for each block that leads here; the first of its own block."""
        self.function.named += 1
        return Phi(type_, f"%v{self.function.named}", self.block)

    def call(self, function: Function, arguments: Sequence[Value]) -> Value:
        """Call a function; what one gives that returns nothing must not be used."""
        given = ", ".join([f"{argument.type.text} {argument.text}" for argument in arguments])
        instruction = f"call {function.result.text} {function.text}({given})"
        if function.result is not VOID:
            return self._result(function.result, instruction)
        self.block.lines.append(instruction)
        return Value(VOID, "")


def _aligned(align: int | None) -> str:
    return "" if align is None else f", align {align}"
