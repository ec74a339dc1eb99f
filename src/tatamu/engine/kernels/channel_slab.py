"""Any layout, dtype and padding mode → slabs whose lanes are channels: ``slab[block][row][column][lane]``.

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
    """Write ``slab[block][row][column][lane]``, a stretch of the padded source; a block is `lanes` channels.

    Arguments: table, job, slab, source (of this image, at the first channel), channels present, first
    padded row, first padded column, rows, columns. Lanes past the channels present are zeros, and so are
    positions past the padded source. Complex elements are not served.
    """
    code = define(module, f"pack_channels_{'i' if interleaved else 'p'}", [POINTER] * 4 + [I64] * 5)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    slab, source = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    present, row0, column0, rows, columns = (code.argument(n) for n in range(4, 9))
    lanes, pitch = numbers.lanes, rows * columns * numbers.lanes
    begin = (job[Word.COLUMN_LOW] - column0).maximum(0).minimum(columns)
    end = (job[Word.COLUMN_HIGH] - column0).minimum(columns).maximum(begin)
    first = (column0 + begin - job[Word.COLUMN_BEFORE]) * job[Word.SOURCE_W]

    def writer(channel: Int) -> ChannelWriter:
        there = (present - channel).minimum(lanes)
        return ChannelWriter(code, numbers, there, job[Word.SOURCE_C], job[Word.SOURCE_W])

    with code.loop(0, rows) as row:
        at = slab + row * columns * lanes
        source_row = code.variable(-1)
        with code.when(row0 + row < job[Word.PADDED_ROWS]):
            source_row.become(job.table.read_index(job[Word.PADDED_ROW_TABLE] + row0 + row))
        with code.either(source_row.now < 0) as (empty, filled):
            with empty, code.loop(0, present, lanes) as channel:
                code.fill_zero(at + channel // lanes * pitch, columns * lanes)
            with filled:
                line = source + source_row.now * job[Word.SOURCE_H]
                with code.loop(0, present, lanes) as channel:
                    edge = at + channel // lanes * pitch
                    around = writer(channel)
                    there = line + channel * job[Word.SOURCE_C]
                    _edges(job, around, edge, there, column0, code.index(0), begin)
                    _edges(job, around, edge, there, column0, end, columns)
                    if not interleaved:
                        around.planar(edge + begin * lanes, there + first, end - begin)
                if interleaved:
                    _interleaved(
                        code, numbers, job, at + begin * lanes, line + first, end - begin, present, pitch
                    )
    code.done()
    return code.function


def _interleaved(
    code: Code,
    numbers: Numbers,
    job: Job,
    target: Pointer,
    source: Pointer,
    count: Int,
    present: Int,
    pitch: Int,
) -> None:
    """``count`` pixels whose channels lie side by side, in the order of memory; ``pitch`` from block to block."""
    lanes, step = numbers.lanes, job[Word.SOURCE_W]
    whole = present // lanes
    rest = present - whole * lanes
    mask = code.first_lanes(rest, lanes)
    with code.loop(0, count) as x:
        with code.loop(0, whole) as block:
            target.store(
                numbers.load(code, source, x * step + block * lanes, lanes), x * lanes + block * pitch
            )
        with code.when(rest > 0):
            at, tail = target + (x * lanes + whole * pitch), source + (x * step + whole * lanes)
            if numbers.target.masks:
                at.store(numbers.widen(code, code.masked_load(tail, mask, lanes)))
            else:
                ChannelWriter(code, numbers, rest, code.index(1), step).pixel(at, tail)


def _edges(
    job: Job, writer: ChannelWriter, target: Pointer, line: Pointer, column0: Int, start: Int, stop: Int
) -> None:
    """The columns that padding stands in for."""
    code, lanes = job.code, writer.numbers.lanes
    low, high = job[Word.COLUMN_LOW], job[Word.COLUMN_HIGH]
    with code.loop(start, stop) as x:
        position, at = column0 + x, target + x * lanes
        column = code.variable(-1)
        with code.when(position < job[Word.PADDED_COLUMNS]):
            entry = code.select(position < low, position, position - high + low)
            column.become(job.table.read_index(job[Word.PADDED_COLUMN_TABLE] + entry))
        with code.either(column.now < 0) as (empty, filled):
            with empty:
                at.store(code.zero(writer.numbers.vector))
            with filled:
                writer.pixel(at, line + column.now * job[Word.SOURCE_W])


@dataclass(frozen=True)
class ChannelWriter:
    """Turns elements of up to `lanes` channels into registers; ``step`` is from one pixel to the next."""

    code: Code
    numbers: Numbers
    present: Int
    stride_c: Int
    step: Int

    def pixel(self, target: Pointer, source: Pointer) -> None:
        """One pixel, lane by lane."""
        code = self.code
        target.store(code.zero(self.numbers.vector))
        with code.loop(0, self.present) as lane:
            target.store(self.numbers.load(code, source, lane * self.stride_c), lane)

    def planar(self, target: Pointer, source: Pointer, count: Int) -> None:
        """``count`` pixels of channels that lie apart: registers of pixels are transposed."""
        code, lanes = self.code, self.numbers.lanes
        begin = code.variable(0)
        with code.when(self.step.equals(1)):
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
            self.pixel(target + x * lanes, source + x * self.step)

    def _block(self, target: Pointer, source: Pointer, pixels: Int | None) -> None:
        """A register of pixels of each channel; of ``pixels`` of them and the channels present alone."""
        code, numbers, lanes = self.code, self.numbers, self.numbers.lanes
        lines = []
        for lane in range(lanes):
            line = source + self.stride_c * lane
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
