"""Planes of any dtype, with any padding → ``slab[channel][image][row][column]``, padding included.

The grid is the padded source; see `engine/padded.py`.
"""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job, Sign, copy_run


def define_pack_planes(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write some padded rows of some channels of some images.

    Arguments: table, job, slab, source (at the first image and channel), channels, images, first padded
    row, rows. Up to a register past the last row may be written. Complex elements are not served.
    """
    code = define(module, "pack_planes", [POINTER] * 4 + [I64] * 4)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    slab, source = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    channels, images, row0, rows = (code.argument(n) for n in range(4, 8))
    low, high, columns = job[Word.COLUMN_LOW], job[Word.COLUMN_HIGH], job[Word.PADDED_COLUMNS]
    step, first = job[Word.SOURCE_W], low - job[Word.COLUMN_BEFORE]
    sign = Sign(code, numbers, code.index(0))
    with code.loop(0, channels) as c, code.loop(0, images) as image, code.loop(0, rows) as row:
        at = slab + (c * job[Word.PLACE_C] + image * job[Word.PLACE_N] + row * job[Word.PLACE_H])
        source_row = job.table.read_index(job[Word.PADDED_ROW_TABLE] + row0 + row)
        with code.either(source_row < 0) as (empty, filled):
            with empty:
                code.fill_zero(at, columns)
            with filled:
                line = source + (c * job[Word.SOURCE_C] + image * job[Word.SOURCE_N])
                line = line + source_row * job[Word.SOURCE_H]
                _edges(code, numbers, job, at, line, 0, low)
                copy_run(code, numbers, at + low, line + first * step, high - low, step, sign, c)
                _edges(code, numbers, job, at, line, high, columns)
    code.done()
    return code.function


def _edges(
    code: Code, numbers: Numbers, job: Job, target: Pointer, line: Pointer, start: Index, stop: Int
) -> None:
    """The columns that padding stands in for."""
    low, high = job[Word.COLUMN_LOW], job[Word.COLUMN_HIGH]
    with code.loop(start, stop) as x:
        entry = code.select(x < low, x, x - high + low)
        column = job.table.read_index(job[Word.PADDED_COLUMN_TABLE] + entry)
        with code.either(column < 0) as (empty, filled):
            with empty:
                target.store(code.zero(numbers.computed), x)
            with filled:
                target.store(numbers.load(code, line, column * job[Word.SOURCE_W]), x)
