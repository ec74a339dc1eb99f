"""Stored elements to numbers that are computed with, and back."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import BF16, F16, F32, F64, I8, I16, I32, I64, Code, Index, Pointer
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_FLOATS = {32: F32, 64: F64}
_INTEGERS = {8: I8, 16: I16, 32: I32, 64: I64}


class Numbers:
    """One element type on one target: its types in memory and in registers, and the way between.

    ``lanes`` is the number of computed elements in a vector register. 16-bit floats are loaded and
    stored as integers, so that masks and unaligned addresses cost what they cost for any other type.
    """

    def __init__(self, element: ElementType, target: Target) -> None:
        self.element = element
        self.target = target
        self.lanes = target.lanes(element.compute_bytes)
        in_memory = _INTEGERS if element.is_integer or element.bits == 16 else _FLOATS
        self.stored: ir.Type = in_memory[element.bits]
        self.computed: ir.Type = (_INTEGERS if element.is_integer else _FLOATS)[element.compute_bits]
        self.computed_bytes = element.compute_bytes
        self.vector = ir.VectorType(self.computed, self.lanes)

    def _like(self, value: ir.Value, scalar: ir.Type) -> ir.Type:
        return ir.VectorType(scalar, value.type.count) if isinstance(value.type, ir.VectorType) else scalar

    def _constant(self, code: Code, value: ir.Value, number: int) -> ir.Value:
        scalar = ir.Constant(I32, number)
        return code.splat(scalar, value.type.count) if isinstance(value.type, ir.VectorType) else scalar

    def widen(self, code: Code, value: ir.Value) -> ir.Value:
        """Stored to computed, exactly; scalars and vectors alike."""
        build, kind = code.builder, self.element.kind
        computed = self._like(value, self.computed)
        if self.stored == self.computed:
            return value
        if kind == "bfloat":
            bits = build.shl(build.zext(value, self._like(value, I32)), self._constant(code, value, 16))
            return build.bitcast(bits, computed)
        if kind == "float":
            return build.fpext(build.bitcast(value, self._like(value, F16)), computed)
        return build.zext(value, computed) if kind == "unsigned" else build.sext(value, computed)

    def narrow(self, code: Code, value: ir.Value) -> ir.Value:
        """Computed to stored: floats rounded to nearest even, integers wrapped."""
        build = code.builder
        stored = self._like(value, self.stored)
        if self.stored == self.computed:
            return value
        if self.element.kind == "bfloat":
            bits = build.bitcast(value, self._like(value, I32))
            sixteen, one = self._constant(code, value, 16), self._constant(code, value, 1)
            odd = build.and_(build.lshr(bits, sixteen), one)
            rounded = build.add(build.add(bits, odd), self._constant(code, value, 0x7FFF))
            quiet = build.or_(bits, self._constant(code, value, 0x400000))
            unordered = build.unordered(value, value)
            return build.trunc(build.lshr(build.select(unordered, quiet, rounded), sixteen), stored)
        if self.element.kind == "float":
            return build.bitcast(build.fptrunc(value, self._like(value, F16)), stored)
        return build.trunc(value, stored)

    def load(self, code: Code, source: Pointer, offset: Index = 0, lanes: int | None = None) -> ir.Value:
        """Stored elements, ready to compute with."""
        return self.widen(code, source.load(offset, lanes))

    def store(self, code: Code, value: ir.Value, target: Pointer, offset: Index = 0) -> None:
        """Round and write."""
        target.store(self.narrow(code, value), offset)

    def multiply_add(self, code: Code, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """``a * b + c``, of registers as the register tile holds them."""
        return code.multiply_add(a, b, c)

    def negate(self, code: Code, value: ir.Value) -> ir.Value:
        """The value with its sign turned (floats alone)."""
        return code.builder.fneg(value)


class PairNumbers(Numbers):
    """bf16 where the target multiplies them in pairs; the sums are float32.

    What is multiplied lies in memory as pairs, of one channel and the next, each in the bits of a float32:
    the slab, the packed weights, and operands whose channels lie side by side anyhow. The instructions count
    subnormal numbers as zero, in torch's kernels too.
    """

    def multiply_add(self, code: Code, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """``a[0] * b[0] + a[1] * b[1] + c`` in each lane."""
        return code.add_pairs_of_products(a, b, c)

    def narrow(self, code: Code, value: ir.Value) -> ir.Value:
        """Rounded to nearest even by one instruction."""
        short = code.builder.fptrunc(value, self._like(value, BF16))
        return code.builder.bitcast(short, self._like(value, self.stored))

    def join(self, code: Code, first: ir.Value, second: ir.Value) -> ir.Value:
        """Pairs of stored elements; scalars and vectors alike."""
        build, wide = code.builder, self._like(first, I32)
        high = build.shl(build.zext(second, wide), self._constant(code, second, 16))
        return build.bitcast(build.or_(build.zext(first, wide), high), self._like(first, F32))

    def join_every_other(self, code: Code, first: ir.Value, second: ir.Value) -> ir.Value:
        """Pairs of every other element of two vectors, the first of them included."""
        build, wide = code.builder, ir.VectorType(I32, first.type.count // 2)
        low = build.and_(build.bitcast(first, wide), code.splat(I32(0xFFFF), wide.count))
        high = build.shl(build.bitcast(second, wide), code.splat(I32(16), wide.count))
        return build.bitcast(build.or_(low, high), self.vector)
