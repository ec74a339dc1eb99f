"""The little language kernels are written in: integers, pointers and vectors over LLVM IR.

A kernel reads like the loops it stands for::

    with code.loop(0, count, step) as i:
        vector = source.load(i, lanes)
        target.store(code.add(vector, vector), i)

`Int` is a 64-bit index with Python's operators, `Pointer` an address with an element type, and every
other value is a plain `llvm_text.Value` handed from one `Code` method to the next.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from tatamu.engine.ending import Ending
from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.llvm_text.types import BF16, F16, F32, F64, I1, I8, I16, I32, I64, POINTER, VOID
from tatamu.engine.kernels.values import (
    Body,
    Index,
    IndexVariable,
    Int,
    Pointer,
    Variable,
    scalar_bytes,
)

__all__ = [
    "BF16",
    "F16",
    "F32",
    "F64",
    "I1",
    "I8",
    "I16",
    "I32",
    "I64",
    "POINTER",
    "VOID",
    "Code",
    "Index",
    "IndexVariable",
    "Int",
    "Module",
    "Pointer",
    "Variable",
    "define",
    "mangled",
    "scalar_bytes",
]


class Module(ir.Module):
    """Functions; where results have an ending, each is given the words of the call as an argument more."""

    def __init__(self, triple: str, ending: Ending | None = None) -> None:
        super().__init__(triple)
        self.ending = ending


class Code(Body):
    """The body of one function being written."""

    # -- control flow ---------------------------------------------------------------------------

    @contextmanager
    def loop(self, start: Index, stop: Index, step: Index = 1) -> Iterator[Int]:
        """``for i in range(start, stop, step)``; ``step`` is positive."""
        start, stop, step = self.index(start), self.index(stop), self.index(step)
        before = self.builder.block
        body = self.function.append_block("loop")
        after = self.function.append_block("done")
        self.builder.cbranch(start < stop, body, after)
        self.builder.position_at_end(body)
        counter = self.builder.phi(I64)
        counter.add_incoming(start.value, before)
        yield Int(self, counter)
        following = self.builder.add(counter, step.value, nsw=True)
        counter.add_incoming(following, self.builder.block)
        self.builder.cbranch(Int(self, following) < stop, body, after)
        self.builder.position_at_end(after)

    @contextmanager
    def repeat_while(self, condition: Callable[[], ir.Value]) -> Iterator[None]:
        """``while condition():``."""
        test, body, after = (self.function.append_block(name) for name in ("test", "turn", "over"))
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
    def either(
        self, condition: ir.Value
    ) -> Iterator[tuple[AbstractContextManager[None], AbstractContextManager[None]]]:
        """``if condition: ... else: ...`` as two context managers."""
        with self.builder.if_else(condition) as branches:
            yield branches

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
        existing = self.module.functions.get(name)
        return existing if existing is not None else ir.Function(self.module, name, arguments, result)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """``a * b + c``: fused, with one rounding, for floats; wrapping for integers."""
        if isinstance(a.type.element, ir.IntType):
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
        return self.builder.add(a, b) if isinstance(a.type.element, ir.IntType) else self.builder.fadd(a, b)

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

    def prefetch(self, place: Pointer, *, writes: bool = False) -> None:
        """Bring the line of memory at an address nearer, which is to be used soon; it need not exist.

        One that is to be read comes to L2; one that the thread ``writes`` to L1, as its own.
        """
        hint = self.intrinsic("llvm.prefetch.p0", VOID, [POINTER, I32, I32, I32])
        self.builder.call(hint, [place.raw, I32(int(writes)), I32(3 if writes else 2), I32(1)])

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
    lanes, scalar = f"v{type_.count}" if isinstance(type_, ir.VectorType) else "", type_.element
    if isinstance(scalar, (ir.IntType, ir.FloatType)):
        return f"{lanes}{'i' if isinstance(scalar, ir.IntType) else 'f'}{scalar.width}"
    raise TypeError(f"no name for {type_}")


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
    attributes = f"{'alwaysinline' if inline else 'noinline'} nounwind"
    return Code(ir.Function(module, name, arguments, internal=True, attributes=attributes))
