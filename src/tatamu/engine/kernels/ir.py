"""The little language kernels are written in: integers, pointers and vectors over LLVM IR.

A kernel reads like the loops it stands for::

    with code.loop(0, count, step) as i:
        vector = source.load(i, lanes)
        target.store(code.add(vector, vector), i)

`Int` is a 64-bit index with Python's operators, `Pointer` an address with an element type, and every
other value is a plain `llvmlite.ir.Value` handed from one `Code` method to the next.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Union

from llvmlite import ir

from tatamu.engine.ending import Ending

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F16, F32, F64 = ir.HalfType(), ir.FloatType(), ir.DoubleType()


class _BrainFloatType(ir.Type):  # type: ignore[misc]  # llvmlite is not typed.
    """bf16, which llvmlite has no name for; only instructions that take it see it."""

    def _to_string(self) -> str:
        return "bfloat"


BF16 = _BrainFloatType()
POINTER = ir.PointerType()
VOID = ir.VoidType()

Index = Union["Int", int]


class Module(ir.Module):  # type: ignore[misc]  # llvmlite has no types.
    """Functions; where results have an ending, each is given the words of the call as an argument more."""

    def __init__(self, ending: Ending | None = None) -> None:
        super().__init__()
        self.ending = ending


def scalar_bytes(type_: ir.Type) -> int:
    """Bytes of one element in memory."""
    if isinstance(type_, ir.IntType):
        return max(1, int(type_.width) // 8)
    return {ir.HalfType: 2, ir.FloatType: 4, ir.DoubleType: 8}.get(type(type_), 8)


class Int:
    """A 64-bit signed integer of the kernel, with Python's operators; comparisons give conditions."""

    def __init__(self, code: Code, value: ir.Value) -> None:
        self.code = code
        self.value = value

    def _with(self, operation: str, other: Index) -> Int:
        return Int(self.code, getattr(self.code.builder, operation)(self.value, self.code.index(other).value))

    def __add__(self, other: Index) -> Int:
        return self._with("add", other)

    __radd__ = __add__

    def __sub__(self, other: Index) -> Int:
        return self._with("sub", other)

    def __rsub__(self, other: Index) -> Int:
        return self.code.index(other) - self

    def __mul__(self, other: Index) -> Int:
        return self._with("mul", other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Index) -> Int:
        """Quotient of two non-negative numbers."""
        return self._with("udiv", other)

    def __mod__(self, other: Index) -> Int:
        """Remainder of two non-negative numbers."""
        return self._with("urem", other)

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

    def __init__(self, code: Code, raw: ir.Value, element: ir.Type) -> None:
        self.code = code
        self.raw = raw
        self.element = element

    def __add__(self, offset: Index) -> Pointer:
        moved = self.code.builder.gep(self.raw, [self.code.index(offset).value], source_etype=self.element)
        return Pointer(self.code, moved, self.element)

    def moved_bytes(self, offset: Index) -> Pointer:
        """This pointer, ``offset`` bytes further."""
        moved = self.code.builder.gep(self.raw, [self.code.index(offset).value], source_etype=I8)
        return Pointer(self.code, moved, self.element)

    def of(self, element: ir.Type) -> Pointer:
        """The same address seen as elements of another type."""
        return Pointer(self.code, self.raw, element)

    def load(self, offset: Index = 0, lanes: int | None = None) -> ir.Value:
        """One element, or ``lanes`` of them as a vector (no alignment beyond the element's is assumed)."""
        type_ = self.element if lanes is None else ir.VectorType(self.element, lanes)
        value = self.code.builder.load((self + offset).raw, typ=type_)
        value.align = scalar_bytes(self.element)
        return value

    def store(self, value: ir.Value, offset: Index = 0) -> None:
        """Write a scalar or a vector."""
        self.code.builder.store(value, (self + offset).raw).align = scalar_bytes(self.element)

    def read_index(self, offset: Index = 0) -> Int:
        """One element of a table of 64-bit integers."""
        return Int(self.code, self.load(offset))


class Variable:
    """A value that changes: LLVM turns the stack slot behind it into registers."""

    def __init__(self, code: Code, initial: ir.Value) -> None:
        self.code = code
        self.type = initial.type
        with code.builder.goto_entry_block():
            self.slot = code.builder.alloca(initial.type)
        self.set(initial)

    def get(self) -> ir.Value:
        """The value now."""
        return self.code.builder.load(self.slot, typ=self.type)

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


class Code:
    """The body of one function being written."""

    def __init__(self, function: ir.Function) -> None:
        self.function = function
        self.module = function.module
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        # Allocas go to a block of their own, so that one inside a loop does not grow the stack.
        body = function.append_basic_block("body")
        self.builder.branch(body)
        self.builder.position_at_end(body)
        self._once: dict[str, Any] = {}

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """A value that is computed when the function begins, however often it is asked for."""
        if name not in self._once:
            with self.builder.goto_entry_block():
                self._once[name] = compute()
        return self._once[name]

    # -- constants, control flow ---------------------------------------------------------------

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
            room = self.builder.alloca(ir.ArrayType(element, count))
            room.align = 64
            room.type = POINTER  # llvmlite types what alloca returns by its pointee; ours are opaque
            return Pointer(self, room, element)

    @contextmanager
    def loop(self, start: Index, stop: Index, step: Index = 1) -> Iterator[Int]:
        """``for i in range(start, stop, step)``; ``step`` is positive."""
        start, stop, step = self.index(start), self.index(stop), self.index(step)
        before = self.builder.block
        body = self.function.append_basic_block("loop")
        after = self.function.append_basic_block("done")
        self.builder.cbranch(start < stop, body, after)
        self.builder.position_at_end(body)
        counter = self.builder.phi(I64)
        counter.add_incoming(start.value, before)
        yield Int(self, counter)
        following = self.builder.add(counter, step.value, flags=("nsw",))
        counter.add_incoming(following, self.builder.block)
        self.builder.cbranch(Int(self, following) < stop, body, after)
        self.builder.position_at_end(after)

    @contextmanager
    def repeat_while(self, condition: Callable[[], ir.Value]) -> Iterator[None]:
        """``while condition():``."""
        test, body, after = (self.function.append_basic_block(name) for name in ("test", "turn", "over"))
        self.builder.branch(test)
        self.builder.position_at_end(test)
        self.builder.cbranch(condition(), body, after)
        self.builder.position_at_end(body)
        yield
        self.builder.branch(test)
        self.builder.position_at_end(after)

    @contextmanager
    def when(self, condition: ir.Value) -> Iterator[None]:
        """``if condition:``."""
        with self.builder.if_then(condition):
            yield

    @contextmanager
    def either(self, condition: ir.Value) -> Iterator[tuple[Any, Any]]:
        """``if condition: ... else: ...`` as two context managers."""
        with self.builder.if_else(condition) as branches:
            yield branches

    def select(self, condition: ir.Value, first: Index, second: Index) -> Int:
        """``first if condition else second``."""
        return Int(self, self.builder.select(condition, self.index(first).value, self.index(second).value))

    def is_null(self, pointer: Pointer) -> ir.Value:
        """Whether a pointer is 0."""
        return self.builder.icmp_unsigned("==", self.builder.ptrtoint(pointer.raw, I64), I64(0))

    def both(self, first: ir.Value, second: ir.Value) -> ir.Value:
        """Logical and, of conditions that may both be evaluated."""
        return self.builder.and_(first, second)

    def call(self, function: ir.Function, *arguments: Int | Pointer | ir.Value) -> ir.Value:
        """Call a function of this module."""
        raw = [a.raw if isinstance(a, Pointer) else a.value if isinstance(a, Int) else a for a in arguments]
        if len(raw) < len(function.args):
            raw.append(self.function.args[-1])  # The words of the call: see `Module`.
        return self.builder.call(function, raw)

    def done(self) -> None:
        """End the function; it returns nothing."""
        self.builder.ret_void()

    # -- vectors -------------------------------------------------------------------------------

    def splat(self, scalar: ir.Value, lanes: int) -> ir.Value:
        """A vector of ``lanes`` copies."""
        undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
        vector = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(vector, undefined, _numbered((0,) * lanes))

    def shuffle(self, first: ir.Value, second: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """The numbered lanes of two vectors laid end to end."""
        return self.builder.shuffle_vector(first, second, _numbered(tuple(lanes)))

    def lane(self, vector: ir.Value, number: int) -> ir.Value:
        """One element of a vector."""
        return self.builder.extract_element(vector, I32(number))

    def first_lanes(self, count: Int, lanes: int) -> ir.Value:
        """A mask that is true for lanes below ``count``."""
        return self._mask(self._bits_below(count, lanes), lanes)

    def lanes_between(self, begin: Int, end: Int, lanes: int) -> ir.Value:
        """A mask that is true for lanes from ``begin`` to before ``end``, clipped to the register."""
        numbers = _numbered(tuple(range(lanes)))
        low, high = (self.splat(self.builder.trunc(at.value, I32), lanes) for at in (begin, end))
        reached = self.builder.icmp_signed(">=", numbers, low)
        return self.builder.and_(reached, self.builder.icmp_signed("<", numbers, high))

    def _bits_below(self, count: Int, lanes: int) -> Int:
        kept = count.maximum(0).minimum(lanes)
        return Int(self, self.builder.shl(I64(1), kept.value)) - 1

    def _mask(self, bits: Int, lanes: int) -> ir.Value:
        narrow = self.builder.trunc(bits.value, ir.IntType(lanes))
        return self.builder.bitcast(narrow, ir.VectorType(I1, lanes))

    def zero(self, type_: ir.Type) -> ir.Value:
        """Zero, or a vector of zeros."""
        return ir.Constant(type_, None)

    def intrinsic(self, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> ir.Function:
        """An intrinsic function of LLVM's, declared where it is not yet."""
        existing = self.module.globals.get(name)
        return (
            existing
            if existing is not None
            else ir.Function(self.module, ir.FunctionType(result, arguments), name)
        )

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """``a * b + c``: fused, with one rounding, for floats; wrapping for integers."""
        scalar = a.type.element if isinstance(a.type, ir.VectorType) else a.type
        if isinstance(scalar, ir.IntType):
            return self.builder.add(self.builder.mul(a, b), c)
        return self.builder.call(
            self.intrinsic(f"llvm.fma.{mangled(a.type)}", a.type, [a.type] * 3), [a, b, c]
        )

    def add_pairs_of_products(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """``c`` plus both products of the pairs of bf16 in each lane of ``a`` and ``b``, of 512 bits."""
        pairs = ir.VectorType(BF16, 2 * c.type.count)
        product = self.intrinsic("llvm.x86.avx512bf16.dpbf16ps.512", c.type, [c.type, pairs, pairs])
        return self.builder.call(product, [c, self.builder.bitcast(a, pairs), self.builder.bitcast(b, pairs)])

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The sum of two values of one type."""
        scalar = a.type.element if isinstance(a.type, ir.VectorType) else a.type
        return self.builder.add(a, b) if isinstance(scalar, ir.IntType) else self.builder.fadd(a, b)

    def sum_of_lanes(self, vector: ir.Value) -> ir.Value:
        """The sum of all lanes, pairwise; their number is a power of two."""
        lanes = vector.type.count
        half = lanes // 2
        while half:
            folded = self.shuffle(vector, vector, [(lane + half) % lanes for lane in range(lanes)])
            vector = self.add(vector, folded)
            half //= 2
        return self.lane(vector, 0)

    def masked_load(self, source: Pointer, mask: ir.Value, lanes: int) -> ir.Value:
        """A vector whose lanes outside ``mask`` are zero and not read."""
        type_ = ir.VectorType(source.element, lanes)
        mask_type = ir.VectorType(I1, lanes)
        load = self.intrinsic(
            f"llvm.masked.load.{mangled(type_)}.p0", type_, [POINTER, I32, mask_type, type_]
        )
        return self.builder.call(
            load, [source.raw, I32(scalar_bytes(source.element)), mask, self.zero(type_)]
        )

    def masked_store(self, value: ir.Value, target: Pointer, mask: ir.Value, lanes: int) -> None:
        """Write the lanes inside ``mask`` alone."""
        mask_type = ir.VectorType(I1, lanes)
        store = self.intrinsic(
            f"llvm.masked.store.{mangled(value.type)}.p0", VOID, [value.type, POINTER, I32, mask_type]
        )
        self.builder.call(store, [value, target.raw, I32(scalar_bytes(target.element)), mask])

    def prefetch(self, place: Pointer, *, written: bool = False) -> None:
        """Bring the line of memory at an address nearer, which is to be read or written soon.

        It need not exist.
        """
        hint = self.intrinsic("llvm.prefetch.p0", VOID, [POINTER, I32, I32, I32])
        self.builder.call(hint, [place.raw, I32(int(written)), I32(2), I32(1)])

    def fill_zero(self, target: Pointer, count: Int) -> None:
        """Zero ``count`` elements."""
        memset = self.intrinsic("llvm.memset.p0.i64", VOID, [POINTER, I8, I64, I1])
        self.builder.call(memset, [target.raw, I8(0), (count * scalar_bytes(target.element)).value, I1(0)])


@functools.cache  # Each is spelt out once, not at every use.
def _numbered(lanes: tuple[int, ...]) -> ir.Constant:
    """A vector of lane numbers."""
    return ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))


def mangled(type_: ir.Type) -> str:
    """A type as LLVM spells it in the names of intrinsics."""
    if isinstance(type_, ir.VectorType):
        return f"v{type_.count}{mangled(type_.element)}"
    if isinstance(type_, ir.IntType):
        return f"i{type_.width}"
    return {ir.HalfType: "f16", ir.FloatType: "f32", ir.DoubleType: "f64"}[type(type_)]


def define(
    module: ir.Module,
    name: str,
    arguments: Sequence[ir.Type],
    *,
    inline: bool = False,
    outermost: bool = False,
) -> Code:
    """Begin a function of this module that nothing outside calls.

    The ``outermost`` ones are called by the entry, with nothing but the words of the call.
    """
    if not outermost and getattr(module, "ending", None) is not None:
        arguments = [*arguments, POINTER]
    function = ir.Function(module, ir.FunctionType(VOID, arguments), name)
    function.linkage = "internal"
    function.attributes.add("alwaysinline" if inline else "noinline")
    function.attributes.add("nounwind")
    return Code(function)
