"""Any layout, any dtype, any padding mode → slabs of plain numbers.

A *slab* holds, for a block of channels, the source rows that a block of results needs, already aligned
with the results, in one of the forms of `engine/slabs.py`. Padding, stride and dilation are settled
while it is written, so the microkernel meets none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import ColumnTap, RowMode, Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job, Sign, channel_offset, copy_run
from tatamu.engine.kernels.permutation import transpose


def _source_row(code: Code, row: Int, height: Int, mode: Int) -> Int:
    """The row of the source that stands for ``row``, or -1 for a row of zeros."""
    last = height - 1
    reflected = code.select(row < 0, 0 - row, code.select(row > last, last * 2 - row, row))
    clamped = row.maximum(0).minimum(last)
    wrapped = code.select(row < 0, row + height, code.select(row > last, row - height, row))
    mapped = code.select(
        mode.equals(RowMode.REFLECT),
        reflected,
        code.select(
            mode.equals(RowMode.REPLICATE), clamped, code.select(mode.equals(RowMode.CIRCULAR), wrapped, row)
        ),
    )
    return code.select(code.both(mapped >= 0, mapped < height), mapped, -1)


def define_pack_slab(module: ir.Module, numbers: Numbers, interleaved: bool) -> ir.Function:
    """Write the slab of a block of results.

    Arguments: table, job, slab, source (of this image and group), first channel, number of channels,
    first result row, first result column, number of slab columns, position of the first slot's source row
    in the table, room for one integer per slot.
    """
    code = define(module, "pack_slab", [POINTER] * 4 + [I64] * 6 + [POINTER])
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    slab, source = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    first, channels, row0, column0, columns = (code.argument(n) for n in range(4, 9))
    slots, rows = code.argument(9), code.pointer(10, I64)
    with code.loop(0, job[Word.SLOTS]) as slot:
        wanted = row0 * job[Word.STRIDE_H] + job.table.read_index(slots + slot)
        rows.store(_source_row(code, wanted, job[Word.HEIGHT], job[Word.ROW_MODE]).value, slot)
    writer = _Writer(
        code, numbers, job, column0, columns, rows, Sign(code, numbers, job[Word.SOURCE_NEGATED])
    )
    if interleaved:
        writer.interleaved(slab, source + first, first, channels)
    else:
        with code.loop(0, channels) as c, code.loop(0, job[Word.COLUMN_TAPS]) as j:
            target = slab + (c * job[Word.PLANES] + j) * job[Word.PLANE]
            begin = source + channel_offset(numbers, first + c, job[Word.SOURCE_C])
            writer.plane(target, begin, writer.tap(j), first + c)
    code.done()
    return code.function


@dataclass(frozen=True)
class _Tap:
    """A column tap on a block: columns [begin, end) read the source itself, the others are edges."""

    edges: Int
    low: Int
    high: Int
    begin: Int
    end: Int
    offset: Int
    """Elements from the start of a source row to what the block's column 0 reads, or would read."""


@dataclass(frozen=True)
class _Writer:
    """Writes the rows of one slab."""

    code: Code
    numbers: Numbers
    job: Job
    column0: Int
    columns: Int
    rows: Pointer
    sign: Sign

    @property
    def _step(self) -> Int:
        return self.job[Word.SOURCE_W] * self.job[Word.STRIDE_W]

    def tap(self, j: Int) -> _Tap:
        """Column tap ``j``."""
        entry = self.job.table + (self.job[Word.COLUMN_TAP_TABLE] + j * ColumnTap.LENGTH)
        low, high = entry.read_index(ColumnTap.LOW), entry.read_index(ColumnTap.HIGH)
        begin = (low - self.column0).maximum(0).minimum(self.columns)
        end = (high - self.column0).minimum(self.columns).maximum(begin)
        column = self.column0 * self.job[Word.STRIDE_W] + entry.read_index(ColumnTap.OFFSET)
        return _Tap(
            entry.read_index(ColumnTap.EDGES), low, high, begin, end, column * self.job[Word.SOURCE_W]
        )

    def plane(self, target: Pointer, source: Pointer, tap: _Tap, channel: Int) -> None:
        """All slots of one channel and tap, where a source row's elements are a constant step apart."""
        code, job = self.code, self.job
        pitch, slots, step = job[Word.PITCH], job[Word.SLOTS], self._step
        if not self.numbers.target.masks:
            self._plane_by_runs(target, source, tap, channel)
            return
        with code.either(code.both(step >= 1, step <= 2)) as (masked, general):
            with masked:
                with code.loop(0, slots) as slot:
                    row = Int(code, self.rows.load(slot))
                    end = code.select(row < 0, 0, tap.end)
                    line = source + (row.maximum(0) * job[Word.SOURCE_H] + tap.offset)
                    with code.either(step.equals(1)) as (dense, sparse):
                        with dense:
                            self._masked_row(target + slot * pitch, line, tap.begin, end, channel, 1)
                        with sparse:
                            self._masked_row(target + slot * pitch, line, tap.begin, end, channel, 2)
                # Masked lanes are zero already: only another padding mode leaves edges to write.
                with code.when(job[Word.EDGES_ARE_ZERO].equals(0)), code.loop(0, slots) as slot:
                    row = Int(code, self.rows.load(slot))
                    with code.when(row >= 0):
                        self._edges(target + slot * pitch, source + row * job[Word.SOURCE_H], tap, channel)
            with general:
                self._plane_by_runs(target, source, tap, channel)

    def _masked_row(
        self, target: Pointer, line: Pointer, begin: Int, end: Int, channel: Int, step: int
    ) -> None:
        """One row, zero outside [begin, end); writes up to a register past the last column."""
        code, lanes = self.code, self.numbers.lanes
        with code.loop(0, self.columns, lanes) as x:
            if step == 1:
                value = code.masked_load(line + x, code.lanes_between(begin - x, end - x, lanes), lanes)
            else:
                # The elements of a register that skips every other lie in two; the last may not exist.
                start, stop = (begin - x) * 2, (end - x) * 2 - 1
                low, high = [
                    code.masked_load(
                        line + (x * 2 + half), code.lanes_between(start - half, stop - half, lanes), lanes
                    )
                    for half in (0, lanes)
                ]
                value = code.shuffle(low, high, range(0, 2 * lanes, 2))
            target.store(self.sign.apply(self.numbers.widen(code, value), channel), x)

    def _plane_by_runs(self, target: Pointer, source: Pointer, tap: _Tap, channel: Int) -> None:
        code, job = self.code, self.job
        with code.loop(0, job[Word.SLOTS]) as slot:
            row, at = Int(code, self.rows.load(slot)), target + slot * job[Word.PITCH]
            with code.either(row < 0) as (empty, filled):
                with empty:
                    code.fill_zero(at, self.columns)
                with filled:
                    line = source + row * job[Word.SOURCE_H]
                    run = line + (tap.offset + tap.begin * self._step)
                    count = tap.end - tap.begin
                    copy_run(code, self.numbers, at + tap.begin, run, count, self._step, self.sign, channel)
                    self._edges(at, line, tap, channel)

    def _edges(self, target: Pointer, line: Pointer, tap: _Tap, channel: Int) -> None:
        """The columns that padding stands in for: each the sum of the columns on its list."""
        code = self.code
        bounds: tuple[tuple[Index, Index], ...] = ((0, tap.begin), (tap.end, self.columns))
        for start, stop in bounds:
            with code.loop(start, stop) as x:
                column = self.column0 + x
                place = tap.edges + code.select(column < tap.low, column, tap.low + column - tap.high)
                held = Variable(code, code.zero(self.numbers.computed))
                with code.loop(self.job.table.read_index(place), self.job.table.read_index(place + 1)) as at:
                    from_column = self.job.table.read_index(at) * self.job[Word.SOURCE_W]
                    read = self.sign.apply(self.numbers.load(code, line, from_column), channel)
                    held.set(code.add(held.get(), read))
                target.store(held.get(), x)

    def interleaved(self, slab: Pointer, source: Pointer, first: Int, channels: Int) -> None:
        """All slots, where the channels of a pixel lie side by side."""
        code, job = self.code, self.job
        taps = job[Word.COLUMN_TAPS]
        across = job[Word.PLANES] * job[Word.PLANE]
        with code.loop(0, job[Word.SLOTS]) as slot, code.loop(0, taps) as j:
            row = Int(code, self.rows.load(slot))
            target = slab + (j * job[Word.PLANE] + slot * job[Word.PITCH])
            with code.either(row < 0) as (empty, filled):
                with empty, code.loop(0, channels) as c:
                    code.fill_zero(target + c * across, self.columns)
                with filled:
                    line, tap = source + row * job[Word.SOURCE_H], self.tap(j)
                    run = line + (tap.offset + tap.begin * self._step)
                    self._turn(target + tap.begin, run, tap.end - tap.begin, first, channels, across)
                    with code.loop(0, channels) as c:
                        self._edges(target + c * across, line + c, tap, first + c)

    def _turn(
        self, target: Pointer, source: Pointer, count: Int, first: Int, channels: Int, across: Int
    ) -> None:
        """Pixels of side-by-side channels → one row per channel, a register block at a time.

        Lanes past ``count`` repeat the last pixel; rows of the target have room for them.
        """
        code, numbers, step = self.code, self.numbers, self._step
        lanes, masks = numbers.lanes, numbers.target.masks
        whole = channels - channels % lanes

        def block(x: Int, c: Int, mask: ir.Value | None) -> None:
            lines = []
            for lane in range(lanes):
                pixel = source + ((x + lane).minimum(count - 1) * step + c)
                stored = pixel.load(0, lanes) if mask is None else code.masked_load(pixel, mask, lanes)
                lines.append(numbers.widen(code, stored))
            for lane, line in enumerate(transpose(code, lines)):
                (target + ((c + lane) * across + x)).store(self.sign.apply(line, first + c + lane))

        with code.loop(0, count, lanes) as x:
            with code.loop(0, whole, lanes) as c:
                block(x, c, None)
            if masks:
                with code.when(whole < channels):
                    block(x, whole, code.first_lanes(channels - whole, lanes))
        if not masks:
            with code.loop(whole, channels) as c, code.loop(0, count) as x:
                value = numbers.load(code, source, x * step + c)
                (target + (c * across + x)).store(self.sign.apply(value, first + c))
