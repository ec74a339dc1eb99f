"""A tile whose results are not all finite, computed again directly.

Winograd's sums spread a NaN, an infinity or an overflow over a whole tile, and meet infinities of their own.
Computed from the definition, results are not finite exactly where the definition says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.winograd_forms import Form


def define_repair(
    module: ir.Module,
    numbers: Numbers,
    form: Form,
    pack: ir.Function,
    gather: ir.Function,
    *,
    dilated: bool,
) -> ir.Function:
    """``results[row][column][lane]`` of one tile, from the source itself.

    Arguments: table, job, source (of this image and group), weight (of this group), room for the slab of a
    tile, results, first result channel, the tile's first padded row and column, elements of a row of results.
    """
    code = define(module, "repair", [POINTER] * 6 + [I64] * 4)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    source, weight = code.pointer(2, numbers.stored), code.pointer(3, numbers.stored)
    slab, results = code.pointer(4, numbers.computed), code.pointer(5, numbers.computed)
    row, y, x, pitch = (code.argument(n) for n in range(6, 10))
    lanes, taps = numbers.lanes, form.kernel_taps
    room = code.stack(numbers.computed, lanes * taps * lanes)
    step: Index = job[Word.COLUMN_STEP] if dilated else 1
    columns = code.index(step * (form.columns.span - 1)) + 1
    with code.loop(0, form.rows.outputs) as i, code.loop(0, form.columns.outputs) as j:
        results.store(code.zero(numbers.vector), pitch * i + j * step * lanes)
    channels = job[Word.CHANNELS]
    with code.loop(0, channels, lanes) as block:
        present = (channels - block).minimum(lanes)
        code.call(
            pack, job.table, job.words, slab, source + block * job[Word.SOURCE_C], present, y, x,
            code.index(form.rows.span), columns,
        )  # fmt: skip
        at_channel = weight + block * job[Word.WEIGHT_C]
        code.call(gather, job.table, job.words, room, at_channel, row, present)
        with (
            code.loop(0, present) as c,
            _terms(code, job, Word.ROW_TERMS, Word.ROW_TERM_TABLE) as (i, u, source_row),
            _terms(code, job, Word.COLUMN_TERMS, Word.COLUMN_TERM_TABLE) as (j, v, source_column),
        ):
            row_is_there = _between(code, y + source_row, job[Word.ROW_LOW], job[Word.ROW_HIGH])
            column_is_there = _between(code, x + source_column, job[Word.COLUMN_LOW], job[Word.COLUMN_HIGH])
            counts = code.builder.or_(
                job[Word.INSIDE_ALONE].equals(0), code.both(row_is_there, column_is_there)
            )
            with code.when(counts):
                factor = room.load((c * taps + u * form.columns.kernel + v) * lanes, lanes)
                pixel = slab.load((source_row * columns + source_column) * lanes + c)
                at = pitch * i + j * lanes
                total = results.load(at, lanes)
                results.store(code.multiply_add(code.splat(pixel, lanes), factor, total), at)
    code.done()
    return code.function


def _between(code: Code, position: Int, low: Int, high: Int) -> ir.Value:
    return code.both(position >= low, position < high)


@contextmanager
def _terms(code: Code, job: Job, count: Word, table: Word) -> Iterator[tuple[Int, Int, Int]]:
    """A loop over the terms of an axis: place in the tile's results, tap, place in the tile's source."""
    with code.loop(0, job[count]) as term:
        entry = job.table + (job[table] + term * 3)
        yield entry.read_index(0), entry.read_index(1), entry.read_index(2)
