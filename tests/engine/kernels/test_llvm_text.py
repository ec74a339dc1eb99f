"""Each instruction is what LLVM takes, and computes what its name says."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable

import llvmlite.binding as llvm
import pytest

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.llvm_text.types import BF16, F16, F32, F64, I1, I8, I32, I64, POINTER
from tatamu.engine.runtime.jit import target_machine
from tatamu.engine.target import host


def run(write: Callable[[ir.Builder, list[ir.Value]], ir.Value], *arguments: int) -> int:
    """What a function of 64-bit integers returns: written through its first argument."""
    module = ir.Module(host().triple)
    function = ir.Function(module, "under_test", [POINTER] + [I64] * len(arguments))
    builder = ir.Builder(function, function.append_block("entry"))
    result = write(builder, function.args[1:])
    builder.store(result if result.type == I64 else builder.zext(result, I64), function.args[0])
    builder.ret_void()
    parsed = llvm.parse_assembly(module.text([function], ""))
    parsed.verify()
    # A machine of its own: the engine takes it along when it goes.
    engine = llvm.create_mcjit_compiler(parsed, target_machine.__wrapped__(host()))
    kinds = [ctypes.c_void_p] + [ctypes.c_int64] * len(arguments)
    room = ctypes.c_int64()
    ctypes.CFUNCTYPE(None, *kinds)(engine.get_function_address("under_test"))(
        ctypes.addressof(room), *arguments
    )
    return room.value


INTEGERS: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "udiv": lambda a, b: a // b,
    "urem": lambda a, b: a % b,
    "and_": lambda a, b: a & b,
    "or_": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shl": lambda a, b: a << b,
    "lshr": lambda a, b: a >> b,
}
FLOATS: dict[str, Callable[[float, float], float]] = {
    "fadd": lambda a, b: a + b,
    "fsub": lambda a, b: a - b,
    "fmul": lambda a, b: a * b,
    "fdiv": lambda a, b: a / b,
}
RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def bits(number: float) -> int:
    """A double's, as a signed integer."""
    return ctypes.c_int64.from_buffer(ctypes.c_double(number)).value


@pytest.mark.parametrize("name", INTEGERS)
def test_integers(name: str) -> None:
    assert run(lambda to, it: getattr(to, name)(*it), 1234567, 5) == INTEGERS[name](1234567, 5)


@pytest.mark.parametrize("name", FLOATS)
def test_floats(name: str) -> None:
    def write(to: ir.Builder, it: list[ir.Value]) -> ir.Value:
        return to.bitcast(getattr(to, name)(*(to.bitcast(value, F64) for value in it)), I64)

    assert run(write, bits(7.25), bits(-0.3)) == bits(FLOATS[name](7.25, -0.3))


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("pair", [(-3, 4), (4, -3), (4, 4)])
def test_comparisons(pair: tuple[int, int], relation: str) -> None:
    holds, unsigned = RELATIONS[relation], [number % 2**64 for number in pair]
    assert run(lambda to, it: to.icmp_signed(relation, *it), *pair) == holds(*pair)
    assert run(lambda to, it: to.icmp_unsigned(relation, *it), *pair) == holds(*unsigned)

    def floats(to: ir.Builder, it: list[ir.Value]) -> ir.Value:
        return to.fcmp_ordered(relation, *(to.bitcast(value, F64) for value in it))

    assert run(floats, *map(bits, pair)) == holds(*pair)
    assert run(floats, bits(math.nan), bits(1.0)) == 0


def test_what_is_not_a_number_is_unordered() -> None:
    def write(to: ir.Builder, it: list[ir.Value]) -> ir.Value:
        value = to.bitcast(it[0], F64)
        return to.unordered(value, value)

    assert run(write, bits(math.nan)) == 1
    assert run(write, bits(math.inf)) == 0


def test_signs_and_complements() -> None:
    assert run(lambda to, it: to.not_(it[0]), 5) == ~5
    assert run(lambda to, it: to.bitcast(to.fneg(to.bitcast(it[0], F64)), I64), bits(2.5)) == bits(-2.5)
    assert run(lambda to, it: to.not_(to.icmp_signed("<", *it)), 1, 2) == 0


def test_conversions() -> None:
    assert run(lambda to, it: to.sext(to.trunc(it[0], I8), I64), 0x1FF) == -1
    assert run(lambda to, it: to.zext(to.trunc(it[0], I8), I64), 0x1FF) == 255
    assert run(lambda to, it: to.ptrtoint(to.inttoptr(it[0], POINTER), I64), 4096) == 4096
    for type_, number in ((F16, 1 + 2**-10), (BF16, 1 + 2**-7), (F32, 1 + 2**-23)):

        def narrowed(to: ir.Builder, it: list[ir.Value], type_: ir.Type = type_) -> ir.Value:
            single = to.fptrunc(to.bitcast(it[0], F64), F32)
            return to.bitcast(to.fpext(to.fpext(to.fptrunc(single, type_), F32), F64), I64)

        assert run(narrowed, bits(number)) == bits(number)


@pytest.mark.parametrize("number", [0, 0.1, -3.0, math.inf, -math.inf, 1e300, 2**-1074, -0.0])
def test_constants_are_exact(number: float) -> None:
    assert run(lambda to, _: to.bitcast(ir.Constant(F64, number), I64)) == bits(number)


def test_constants_are_rounded_to_their_type() -> None:
    def write(to: ir.Builder, _: list[ir.Value]) -> ir.Value:
        return to.bitcast(to.fpext(ir.Constant(F32, 0.1), F64), I64)

    assert run(write) == bits(ctypes.c_float(0.1).value)


def test_zeros() -> None:
    vector = ir.VectorType(I32, 2)
    assert run(lambda to, _: to.bitcast(ir.Constant(vector, None), I64)) == 0
    assert run(lambda to, _: to.ptrtoint(ir.Constant(POINTER, None), I64)) == 0
    assert run(lambda to, _: to.bitcast(ir.Constant(F64, None), I64)) == 0


def test_vectors() -> None:
    def write(to: ir.Builder, it: list[ir.Value]) -> ir.Value:
        type_ = ir.VectorType(I64, 2)
        vector = ir.Constant(type_, ir.Undefined)
        for lane, value in enumerate(it):
            vector = to.insert_element(vector, value, I32(lane))
        turned = to.shuffle_vector(
            vector, ir.Constant(type_, [70, 80]), ir.Constant(ir.VectorType(I32, 3), [1, 0, 3])
        )
        assert turned.type == ir.VectorType(I64, 3)
        first, second, third = (to.extract_element(turned, I32(lane)) for lane in range(3))
        mask = to.icmp_signed("<", vector, ir.Constant(type_, [4, 4]))
        assert mask.type == ir.VectorType(I1, 2)
        kept = to.extract_element(to.select(mask, vector, ir.Constant(type_, None)), I32(0))
        return to.add(to.add(to.mul(first, I64(100)), second), to.add(to.mul(third, I64(1000)), kept))

    assert run(write, 3, 9) == 80_000 + 900 + 3 + 3


def test_memory() -> None:
    def write(to: ir.Builder, it: list[ir.Value]) -> ir.Value:
        room, one = to.alloca(I64, 4, align=64), to.alloca(I64)
        third = to.gep(room, I64(2), I64)
        to.store(it[0], third, align=8)
        to.store(I64(1), one)
        before = to.atomic_rmw("add", third, I64(5), "monotonic")
        after = to.load(to.gep(room, I64(16), I8), I64, align=8)
        return to.add(to.mul(before, I64(100)), to.add(after, to.load(one, I64)))

    assert run(write, 7) == 713


@pytest.mark.parametrize("number", [0, 1, 5])
def test_branches_and_loops(number: int) -> None:
    def write(to: ir.Builder, it: list[ir.Value]) -> ir.Value:
        """The sum of the numbers from the argument's square, or 100, down to 1."""
        with to.goto_entry_block():
            room = to.alloca(I64)
        to.store(I64(0), room)
        with to.if_else(to.icmp_signed("<", it[0], I64(5))) as (small, large):
            with small:
                to.store(to.mul(it[0], it[0]), room)
            with large:
                to.store(I64(100), room)
        begin, before = to.load(room, I64), to.block
        with to.if_then(to.icmp_signed("==", begin, I64(0))):
            to.store(I64(-1), room)
        before, turn, over = to.block, to.function.append_block("turn"), to.function.append_block("over")
        to.branch(turn)
        to.position_at_end(turn)
        left, total = to.phi(I64), to.phi(I64)
        summed, less = to.add(total, left), to.sub(left, I64(1))
        for phi, first, next_ in ((left, begin, less), (total, I64(0), summed)):
            phi.add_incoming(first, before)
            phi.add_incoming(next_, turn)
        to.cbranch(to.icmp_signed(">", less, I64(0)), turn, over)
        to.position_at_end(over)
        return to.add(summed, to.select(to.icmp_signed("<", to.load(room, I64), I64(0)), I64(1000), I64(0)))

    most = number * number if number < 5 else 100
    assert run(write, number) == sum(range(most + 1)) + 1000 * (most == 0)


def test_functions_of_a_kernel_bear_its_name_and_meet_again_when_linked() -> None:
    module = ir.Module(host().triple)
    inner = ir.Function(module, "inner", [POINTER], internal=True, attributes="noinline nounwind")
    to = ir.Builder(inner, inner.append_block("entry"))
    to.store(I64(42), inner.args[0])
    to.ret_void()
    outer = ir.Function(module, "outer", [POINTER])
    to = ir.Builder(outer, outer.append_block("entry"))
    to.call(inner, [outer.args[0]])
    to.ret_void()
    first, second = (llvm.parse_assembly(module.text([it], "kernel")) for it in (inner, outer))
    assert not first.get_function("kernel.inner").is_declaration
    assert second.get_function("kernel.inner").is_declaration
    first.link_in(second)
    first.verify()
    engine = llvm.create_mcjit_compiler(first, target_machine.__wrapped__(host()))
    room = ctypes.c_int64()
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address("outer"))(ctypes.addressof(room))
    assert room.value == 42


def test_intrinsics_return_values() -> None:
    def write(to: ir.Builder, it: list[ir.Value]) -> ir.Value:
        count = ir.Function(to.function.module, "llvm.ctpop.i64", [I64], I64)
        return to.call(count, [it[0]])

    assert run(write, 0b1011) == 3


def test_no_two_functions_of_one_name() -> None:
    module = ir.Module(host().triple)
    ir.Function(module, "twice", [])
    with pytest.raises(ValueError, match="twice"):
        ir.Function(module, "twice", [])
