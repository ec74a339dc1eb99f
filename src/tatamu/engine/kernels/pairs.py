"""bf16 → slabs and panels of pairs: one channel and the next, as dot product instructions take them.

What is written has the forms of `slab.py` and `weights.py`, with pairs in place of channels. The partner of
a last channel that has none is zero in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I16, I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import ColumnTap, Word
from tatamu.engine.kernels.numbers import PairNumbers
from tatamu.engine.kernels.packed_rows import Fill
from tatamu.engine.kernels.packing import Job


def define_pack_pairs(module: ir.Module, numbers: PairNumbers) -> ir.Function:
    """Write the slab of a block of results from planes, padded by zeros.

    Arguments: table, job, slab, source (of this image and group), first pair of channels, number of pairs,
    first result row, first result column, number of slab columns, position of the first slot's source row
    in the table, room that is not used.
    """
    code = define(module, "pack_pairs", [POINTER] * 4 + [I64] * 6 + [POINTER])
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    slab, source = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    first, pairs, row0, column0, columns, slots = (code.argument(n) for n in range(4, 10))
    step = job[Word.SOURCE_W] * job[Word.STRIDE_W]
    with code.loop(0, pairs) as c, code.loop(0, job[Word.COLUMN_TAPS]) as j:
        tap = job.table + (job[Word.COLUMN_TAP_TABLE] + j * ColumnTap.LENGTH)
        begin = (tap.read_index(ColumnTap.LOW) - column0).maximum(0).minimum(columns)
        end = (tap.read_index(ColumnTap.HIGH) - column0).minimum(columns).maximum(begin)
        column = column0 * job[Word.STRIDE_W] + tap.read_index(ColumnTap.OFFSET)
        channel = (first + c) * 2
        writer = _Writer(
            code=code,
            numbers=numbers,
            job=job,
            target=slab + (c * job[Word.PLANES] + j) * job[Word.PLANE],
            line=source + (channel * job[Word.SOURCE_C] + column * job[Word.SOURCE_W]),
            partner=code.select(channel + 1 < job[Word.SOURCE_CHANNELS], job[Word.SOURCE_C], 0),
            row0=row0 * job[Word.STRIDE_H],
            slots=slots,
            begin=begin,
            end=end,
            columns=columns,
        )
        with code.either(step.equals(1)) as (dense, sparse):
            with dense:
                writer.rows(1)
            with sparse, code.either(step.equals(2)) as (every_other, general):
                with every_other:
                    writer.rows(2)
                with general:
                    writer.one_by_one(step)
    code.done()
    return code.function


@dataclass(frozen=True)
class _Writer:
    """Writes the rows of one pair and column tap, zero outside columns ``begin`` to ``end``."""

    code: Code
    numbers: PairNumbers
    job: Job
    target: Pointer
    line: Pointer
    """What column 0 reads, or would read, of the source's first row and the pair's first channel."""
    partner: Int
    """Elements to the second channel; 0 where there is none."""
    row0: Int
    slots: Int
    begin: Int
    end: Int
    columns: Int

    def rows(self, step: int) -> None:
        """A column of registers after another, the last first: it may run past its row, into the next."""
        code, lanes = self.code, self.numbers.lanes
        last = self.columns - 1
        with code.loop(0, self.columns, lanes) as back:
            x = last - last % lanes - back
            # The last of every other element may be the last of the source.
            inside = code.both(self.begin <= x, x + (lanes + step - 1) <= self.end)
            with code.either(inside) as (whole, partial):
                with whole:
                    self._column(x, step, None)
                with partial:
                    bounds = (self.begin - x) * step, (self.end - x) * step - (step - 1)
                    self._column(x, step, code.lanes_between(*bounds, step * lanes))

    def _column(self, x: Int, step: int, mask: ir.Value | None) -> None:
        code, numbers = self.code, self.numbers
        with self._each_row() as (line, target, inside), code.either(inside) as (filled, empty):
            with filled:
                first = line + x * step
                pair = [
                    at.load(0, step * numbers.lanes)
                    if mask is None
                    else code.masked_load(at, mask, step * numbers.lanes)
                    for at in (first, first + self.partner)
                ]
                alone = self.partner.equals(0)
                second = code.builder.select(alone, code.zero(pair[1].type), pair[1])
                join = numbers.join if step == 1 else numbers.join_every_other
                target.store(join(code, pair[0], second), x)
            with empty:
                target.store(code.zero(numbers.vector), x)

    def one_by_one(self, step: Int) -> None:
        """Elements that are further apart."""
        code = self.code
        with self._each_row() as (line, target, inside):
            code.fill_zero(target, self.columns)
            with code.loop(self.begin, code.select(inside, self.end, self.begin)) as x:
                first, second = line.load(x * step), line.load(x * step + self.partner)
                second = code.builder.select(self.partner.equals(0), I16(0), second)
                target.store(self.numbers.join(code, first, second), x)

    @contextmanager
    def _each_row(self) -> Iterator[tuple[Pointer, Pointer, ir.Value]]:
        """Where each row is read and written, and whether the source has it."""
        code, job = self.code, self.job
        with code.loop(0, job[Word.SLOTS]) as slot:
            row = self.row0 + job.table.read_index(self.slots + slot)
            inside = code.both(row >= 0, row < job[Word.HEIGHT])
            line = self.line + row * job[Word.SOURCE_H]
            yield line, self.target + slot * job[Word.PITCH], inside


def define_fill_panel(module: ir.Module, numbers: PairNumbers, at_once: int, *, by_taps: bool) -> Fill:
    """Panels of rows, a multiple of those that are written ``at_once``.

    They are ``panel[tap][pair][row]`` where they are ``by_taps``, else ``panel[pair][tap][row]``.
    """
    # Arguments: table, job, panel, weight (of this group), first row, rows.
    code = define(module, "pack_panel", [POINTER] * 4 + [I64] * 2)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0, rows = code.argument(4), code.argument(5)
    pairs, taps = job[Word.CHANNELS], job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    step, step_c = job[Word.WEIGHT_M], job[Word.WEIGHT_C]
    places = job.table + job[Word.WEIGHT_TAP_TABLE]
    last = job[Word.M] - 1
    with code.loop(0, rows, at_once) as r, code.loop(0, pairs) as c, code.loop(0, taps) as t:
        from_row = row0 + r
        begin = weight + (c * 2 * step_c + places.read_index(t))
        alone = (c * 2 + 1).equals(job[Word.SOURCE_CHANNELS])
        partner = begin + code.select(alone, 0, step_c)
        product = t * pairs + c if by_taps else c * taps + t
        target = panel + (product * rows + r)
        side_by_side = code.both(step.equals(1), from_row + at_once <= last + 1)
        with code.either(side_by_side) as (together, apart):
            with together:
                second = partner.load(from_row, at_once)
                second = code.builder.select(alone, code.zero(second.type), second)
                target.store(numbers.join(code, begin.load(from_row, at_once), second))
            with apart, code.loop(0, at_once) as lane:
                place = (from_row + lane).minimum(last) * step
                second = code.builder.select(alone, I16(0), partner.load(place))
                target.store(numbers.join(code, begin.load(place), second), lane)
    code.done()
    function = code.function
    return lambda code, job, *what: code.call(function, job.table, job.words, *what)
