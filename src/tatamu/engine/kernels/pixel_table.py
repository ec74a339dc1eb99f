"""Where the pixels of the padded source lie: a table of addresses in the place of a slab."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I8, I64, POINTER, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.packing import Job


def define_write_pixel_table(module: ir.Module, stored_bytes: int) -> ir.Function:
    """Write ``table[row][column]``, the address of each pixel of a stretch of the padded source.

    Arguments: table, job, room for the addresses, source (of this image, at the first channel), zeros that
    stand for padding, first padded row, first padded column, rows, columns, entries past the last.
    """
    code = define(module, "write_pixel_table", [POINTER] * 5 + [I64] * 5)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    room, source, zeros = (code.pointer(n, element) for n, element in ((2, POINTER), (3, I8), (4, I8)))
    row0, column0, rows, columns, beyond = (code.argument(n) for n in range(5, 10))
    low, high = job[Word.COLUMN_LOW], job[Word.COLUMN_HIGH]
    with code.loop(0, rows) as row:
        source_row = code.variable(-1)
        with code.when(row0 + row < job[Word.PADDED_ROWS]):
            source_row.become(job.table.read_index(job[Word.PADDED_ROW_TABLE] + row0 + row))
        line = source + source_row.now * (job[Word.SOURCE_H] * stored_bytes)
        with code.loop(0, columns) as x:
            position = column0 + x
            column = code.variable(-1)
            with code.either(code.both(position >= low, position < high)) as (inside, edge):
                with inside:
                    column.become(position - job[Word.COLUMN_BEFORE])
                with edge, code.when(position < job[Word.PADDED_COLUMNS]):
                    entry = code.select(position < low, position, position - high + low)
                    column.become(job.table.read_index(job[Word.PADDED_COLUMN_TABLE] + entry))
            there = line + column.now * (job[Word.SOURCE_W] * stored_bytes)
            absent = code.builder.or_(source_row.now < 0, column.now < 0)
            room.store(code.builder.select(absent, zeros.raw, there.raw), row * columns + x)
    with code.loop(rows * columns, rows * columns + beyond) as entry:
        room.store(zeros.raw, entry)
    code.done()
    return code.function
