"""Any layout, dtype and padding mode → a slab whose lanes are channels: ``slab[row][column][lane]``.

One pixel of a block of channels is one register. The grid is the padded source; see `engine/padded.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, define, transpose
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job


def define_pack_channels(module: ir.Module, numbers: Numbers, interleaved: bool) -> ir.Function:
    """Write ``slab[row][column][lane]`` of up to `lanes` channels, a stretch of the padded source.

    Arguments: table, job, slab, source (of this image, at the first channel), channels present, first
    padded row, first padded column, rows, columns. Lanes past the channels present are zeros, and so are
    positions past the padded source. Complex elements are not served.
    """
    code = define(module, "pack_channels", [POINTER] * 4 + [I64] * 5)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    slab, source = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    present, row0, column0, rows, columns = (code.argument(n) for n in range(4, 9))
    writer = _Writer(code, numbers, job, present)
    begin = (job[Word.COLUMN_LOW] - column0).maximum(0).minimum(columns)
    end = (job[Word.COLUMN_HIGH] - column0).minimum(columns).maximum(begin)
    first = (column0 + begin - job[Word.COLUMN_BEFORE]) * job[Word.SOURCE_W]
    with code.loop(0, rows) as row:
        at = slab + row * columns * numbers.lanes
        source_row = code.variable(-1)
        with code.when(row0 + row < job[Word.PADDED_ROWS]):
            source_row.become(job.table.read_index(job[Word.PADDED_ROW_TABLE] + row0 + row))
        with code.either(source_row.now < 0) as (empty, filled):
            with empty:
                code.fill_zero(at, columns * numbers.lanes)
            with filled:
                line = source + source_row.now * job[Word.SOURCE_H]
                writer.edges(at, line, column0, code.index(0), begin)
                if interleaved:
                    writer.interleaved(at + begin * numbers.lanes, line + first, end - begin)
                else:
                    writer.planar(at + begin * numbers.lanes, line + first, end - begin)
                writer.edges(at, line, column0, end, columns)
    code.done()
    return code.function


@dataclass(frozen=True)
class _Writer:
    """Writes the pixels of one row."""

    code: Code
    numbers: Numbers
    job: Job
    present: Int

    def _pixel(self, target: Pointer, source: Pointer) -> None:
        """One pixel, lane by lane."""
        code = self.code
        target.store(code.zero(self.numbers.vector))
        with code.loop(0, self.present) as lane:
            target.store(self.numbers.load(code, source, lane * self.job[Word.SOURCE_C]), lane)

    def edges(self, target: Pointer, line: Pointer, column0: Int, start: Int, stop: Int) -> None:
        """The columns that padding stands in for."""
        code, job = self.code, self.job
        low, high = job[Word.COLUMN_LOW], job[Word.COLUMN_HIGH]
        with code.loop(start, stop) as x:
            position, at = column0 + x, target + x * self.numbers.lanes
            column = code.variable(-1)
            with code.when(position < job[Word.PADDED_COLUMNS]):
                entry = code.select(position < low, position, position - high + low)
                column.become(job.table.read_index(job[Word.PADDED_COLUMN_TABLE] + entry))
            with code.either(column.now < 0) as (empty, filled):
                with empty:
                    at.store(code.zero(self.numbers.vector))
                with filled:
                    self._pixel(at, line + column.now * job[Word.SOURCE_W])

    def interleaved(self, target: Pointer, source: Pointer, count: Int) -> None:
        """``count`` pixels whose channels lie side by side."""
        code, numbers, lanes, step = self.code, self.numbers, self.numbers.lanes, self.job[Word.SOURCE_W]
        with code.either(self.present.equals(lanes)) as (full, partial):
            with full, code.loop(0, count) as x:
                target.store(numbers.load(code, source, x * step, lanes), x * lanes)
            with partial:
                mask = code.first_lanes(self.present, lanes)
                with code.loop(0, count) as x:
                    if numbers.target.masks:
                        pixel = code.masked_load(source + x * step, mask, lanes)
                        target.store(numbers.widen(code, pixel), x * lanes)
                    else:
                        self._pixel(target + x * lanes, source + x * step)

    def planar(self, target: Pointer, source: Pointer, count: Int) -> None:
        """``count`` pixels of channels that lie apart: registers of pixels are transposed."""
        code, lanes = self.code, self.numbers.lanes
        begin = code.variable(0)
        with code.when(self.job[Word.SOURCE_W].equals(1)):
            whole = count - count % lanes
            full = code.select(self.present.equals(lanes), whole, 0)
            with code.loop(0, full, lanes) as x:
                self._block(target + x * lanes, source + x, None)
            begin.become(full)
            if self.numbers.target.masks:
                with code.loop(full, count, lanes) as x:
                    self._block(target + x * lanes, source + x, (count - x).minimum(lanes))
                begin.become(count)
        with code.loop(begin.now, count) as x:
            self._pixel(target + x * lanes, source + x * self.job[Word.SOURCE_W])

    def _block(self, target: Pointer, source: Pointer, pixels: Int | None) -> None:
        """A register of pixels of each channel; of ``pixels`` of them and the channels present alone."""
        code, numbers, lanes = self.code, self.numbers, self.numbers.lanes
        lines = []
        for lane in range(lanes):
            line = source + self.job[Word.SOURCE_C] * lane
            if pixels is None:
                stored = line.load(0, lanes)
            else:
                wanted = code.select(self.present > lane, pixels, 0)
                stored = code.masked_load(line, code.first_lanes(wanted, lanes), lanes)
            lines.append(numbers.widen(code, stored))
        for number, pixel in enumerate(transpose(code, lines)):
            if pixels is None:
                target.store(pixel, number * lanes)
            else:
                with code.when(pixels > number):
                    target.store(pixel, number * lanes)
