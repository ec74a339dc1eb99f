"""Lanes put in another order: of a register as a table says, and of registers as a block is transposed."""

from __future__ import annotations

from collections.abc import Sequence

from tatamu.engine.kernels import llvm_text as ir
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


def transpose(code: Code, rows: Sequence[ir.Value]) -> list[ir.Value]:
    """Transpose a block held in registers: row r's lane c becomes row c's lane r.

    ``len(rows)`` is a power of two; the result has one row per lane. Pairs of rows are interleaved
    log2(len(rows)) times (the perfect shuffle).
    """
    if len(rows) == 1:
        return [code.shuffle(rows[0], rows[0], [lane]) for lane in range(rows[0].type.count)]
    lanes, height = rows[0].type.count, len(rows)
    if lanes > height:
        halves = [
            [code.shuffle(r, r, range(start, start + lanes // 2)) for r in rows] for start in (0, lanes // 2)
        ]
        return transpose(code, halves[0]) + transpose(code, halves[1])
    if lanes < height:
        upper, lower = transpose(code, rows[: height // 2]), transpose(code, rows[height // 2 :])
        return [code.shuffle(u, v, range(height)) for u, v in zip(upper, lower, strict=True)]
    current = list(rows)
    step = height // 2
    while step:
        following = list(current)
        for r in range(height):
            if r & step:
                continue
            a, b = current[r], current[r + step]
            low = [(lane if not lane & step else lane - step + lanes) for lane in range(lanes)]
            high = [(lane + step if not lane & step else lane + lanes) for lane in range(lanes)]
            following[r] = code.shuffle(a, b, low)
            following[r + step] = code.shuffle(a, b, high)
        current = following
        step //= 2
    return current
