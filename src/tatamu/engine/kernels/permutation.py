"""Lanes of a register put in another order, which a table gives."""

from __future__ import annotations

from llvmlite import ir

from tatamu.engine.kernels.ir import I8, I32, Code, Pointer, scalar_bytes
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.target import Target

_INTRINSICS = {
    "avx512": "llvm.x86.avx512.permvar.si.512",
    "avx2": "llvm.x86.avx2.permd",
    "neon": "llvm.aarch64.neon.tbl1.v16i8",
}


def load_pattern(table: Pointer, target: Target) -> ir.Value:
    """A pattern as `lowering.lane_weights.patterns` writes it."""
    unit = I8 if target.name == "neon" else I32
    return table.of(unit).load(0, target.vector_bytes // scalar_bytes(unit))


def permute(code: Code, numbers: Numbers, register: ir.Value, pattern: ir.Value) -> ir.Value:
    """The lanes of a register in the order of a pattern."""
    target = numbers.target
    function = code.intrinsic(_INTRINSICS[target.name], pattern.type, [pattern.type] * 2)
    units = code.builder.bitcast(register, pattern.type)
    return code.builder.bitcast(code.builder.call(function, [units, pattern]), numbers.vector)
