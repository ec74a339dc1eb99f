from __future__ import annotations

import ctypes

import llvmlite.binding as llvm
import pytest

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import F32, I64, POINTER, Code
from tatamu.engine.kernels.permutation import transpose
from tatamu.engine.runtime.jit import target_machine
from tatamu.engine.target import host


def compiled(arguments: list[ir.Type], write: object) -> tuple[object, object]:
    """A function of this body as machine code, and the engine that keeps it alive."""
    module = ir.Module(host().triple)
    function = ir.Function(module, "under_test", arguments)
    code = Code(function)
    write(code)  # type: ignore[operator]  # A function of the code.
    code.done()
    parsed = llvm.parse_assembly(module.text(module.functions.values(), ""))
    parsed.verify()
    # A machine of its own: the engine takes it along when it goes.
    engine = llvm.create_mcjit_compiler(parsed, target_machine.__wrapped__(host()))
    kinds = [ctypes.c_void_p if kind is POINTER else ctypes.c_int64 for kind in arguments]
    return ctypes.CFUNCTYPE(None, *kinds)(engine.get_function_address("under_test")), engine


@pytest.mark.parametrize("height", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_transpose(height: int, lanes: int) -> None:
    def write(code: Code) -> None:
        source, target = code.pointer(0, F32), code.pointer(1, F32)
        rows = [source.load(row * lanes, lanes) for row in range(height)]
        turned = transpose(code, rows)
        assert len(turned) == lanes
        for number, row in enumerate(turned):
            target.store(row, number * height)

    function, engine = compiled([POINTER, POINTER], write)
    source = (ctypes.c_float * (height * lanes))(*range(height * lanes))
    target = (ctypes.c_float * (height * lanes))()
    function(ctypes.addressof(source), ctypes.addressof(target))  # type: ignore[operator]  # A foreign function.
    expected = [source[row * lanes + lane] for lane in range(lanes) for row in range(height)]
    assert list(target) == expected
    assert engine is not None


@pytest.mark.parametrize("bounds", [(0, 0, 1), (5, 2, 1), (-3, 4, 1), (0, 10, 3), (0, 9, 3), (7, 8, 100)])
def test_a_loop_counts_as_range_does(bounds: tuple[int, int, int]) -> None:
    """Sum and number of turns, with bounds that the compiler does not know."""

    def write(code: Code) -> None:
        result = code.pointer(0, I64)
        total, turns = code.variable(0), code.variable(0)
        with code.loop(code.argument(1), code.argument(2), code.argument(3)) as i:
            total.become(total.now + i)
            turns.become(turns.now + 1)
        result.store(total.get())
        result.store(turns.get(), 1)

    function, engine = compiled([POINTER, I64, I64, I64], write)
    result = (ctypes.c_int64 * 2)(-1, -1)
    function(ctypes.addressof(result), *bounds)  # type: ignore[operator]  # A foreign function.
    assert list(result) == [sum(range(*bounds)), len(range(*bounds))]
    assert engine is not None


def test_integers_compute_as_pythons_do() -> None:
    def write(code: Code) -> None:
        result, a, b = code.pointer(0, I64), code.argument(1), code.argument(2)
        values = [a + b, a - b, 5 - a, a * b, a // b, a % b]
        values += [a.minimum(b), a.maximum(b), code.select(a < b, a, 7)]
        for place, value in enumerate(values):
            result.store(value.value, place)

    function, engine = compiled([POINTER, I64, I64], write)
    for a, b in ((17, 5), (5, 17), (1 << 40, 3)):
        result = (ctypes.c_int64 * 9)()
        function(ctypes.addressof(result), a, b)  # type: ignore[operator]  # A foreign function.
        expected = [a + b, a - b, 5 - a, a * b, a // b, a % b]
        assert list(result) == [*expected, min(a, b), max(a, b), a if a < b else 7]
    assert engine is not None
