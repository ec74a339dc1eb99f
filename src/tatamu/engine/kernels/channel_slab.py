"""Any layout, dtype and padding mode → slabs whose lanes are channels: ``slab[block][row][column][lane]``.

One pixel of a block of channels is one register. The grid is the padded source; see `engine/padded.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import transpose


def block_pitch(rows: Int, columns: Int, lanes: int) -> Int:
    """Elements from one block of a slab to the next: odd in registers, to spread blocks over cache sets."""
    registers = rows * columns
    return (registers + (1 - registers % 2)) * lanes


def define_pack_channels(module: ir.Module, numbers: Numbers, interleaved: bool) -> ir.Function:
    """Write ``slab[block][row][column][lane]``, a stretch of the padded source; a block is `lanes` channels.

    Arguments: table, job, slab, source (of this image, at the first channel), channels present, first
    padded row, first padded column, rows, columns. Lanes past the channels present are zeros, and so are
    positions past the padded source. Blocks lie `block_pitch` apart. Complex elements are not served.
    """
    pixels = (define_interleaved_pixels if interleaved else define_planar_pixels)(module, numbers)
    code = define(module, f"pack_channels_{'i' if interleaved else 'p'}", [POINTER] * 4 + [I64] * 5)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    slab, source = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    present, row0, column0, rows, columns = (code.argument(n) for n in range(4, 9))
    lanes, pitch = numbers.lanes, block_pitch(rows, columns, numbers.lanes)
    begin = (job[Word.COLUMN_LOW] - column0).maximum(0).minimum(columns)
    end = (job[Word.COLUMN_HIGH] - column0).minimum(columns).maximum(begin)
    first = (column0 + begin - job[Word.COLUMN_BEFORE]) * job[Word.SOURCE_W]
    edges = _Edges(code, numbers, job, column0, begin, end, columns)
    low, high = job[Word.ROW_LOW], job[Word.ROW_HIGH]
    # Whole rows that follow one another in memory are written in one go: no register of them is half empty.
    width = end - begin
    whole = code.both(
        width.equals(job[Word.SOURCE_H]), width.equals(job[Word.COLUMN_HIGH] - job[Word.COLUMN_LOW])
    )
    flat = code.index(0)
    if not interleaved:
        flat = code.select(code.both(whole, job[Word.EDGES_ARE_ZERO].equals(1)), job[Word.SOURCE_W], 0)

    def write(at: Pointer, line: Pointer, lines: Int) -> None:
        code.call(
            pixels, at + begin * lanes, line + first, width * lines, present, pitch, job[Word.SOURCE_C],
            job[Word.SOURCE_W], width, columns - width,
        )  # fmt: skip

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
                    edges.write(
                        at + channel // lanes * pitch,
                        line + channel * job[Word.SOURCE_C],
                        (present - channel).minimum(lanes),
                    )
                with code.when(code.builder.not_(flat.equals(1))):
                    write(at, line, code.index(1))
    if not interleaved:
        inside = low.maximum(row0)
        lines = (high.minimum(row0 + rows) - inside).maximum(0)
        with code.when(flat.equals(1)):
            line = source + (inside - job[Word.ROW_BEFORE]) * job[Word.SOURCE_H]
            write(slab + (inside - row0) * columns * lanes, line, lines)
    code.done()
    return code.function


def pack_registers(
    code: Code, numbers: Numbers, pack: ir.Function, job: Job, slab: Pointer, source: Pointer, present: Int,
    grid: Sequence[Int],
) -> None:  # fmt: skip
    """Call ``pack``, see `define_pack_channels`, for registers of which each holds `SOURCE_LANES` channels.

    ``grid`` is the first padded row and column, rows and columns.
    """
    lanes, pitch = job[Word.SOURCE_LANES], block_pitch(grid[2], grid[3], numbers.lanes)
    together = code.select(lanes.equals(numbers.lanes), present, lanes)
    with code.loop(0, present, together) as c:
        place, channels = slab + c // lanes * pitch, source + c * job[Word.SOURCE_C]
        there = (present - c).minimum(together)
        code.call(pack, job.table, job.words, place, channels, there, *grid)


@dataclass(frozen=True)
class _Edges:
    """The columns of a row that padding stands in for: those before ``begin`` and from ``end`` on."""

    code: Code
    numbers: Numbers
    job: Job
    column0: Int
    begin: Int
    end: Int
    columns: Int

    def write(self, target: Pointer, line: Pointer, present: Int) -> None:
        """The edges of one block of channels."""
        code = self.code
        with code.either(self.job[Word.EDGES_ARE_ZERO].equals(1)) as (zeros, listed):
            with zeros:
                self._each(lambda x: (target + x * self.numbers.lanes).store(code.zero(self.numbers.vector)))
            with listed:
                self._each(lambda x: self._listed(target + x * self.numbers.lanes, line, x, present))

    def _each(self, write: Callable[[Int], None]) -> None:
        bounds: tuple[tuple[Index, Index], ...] = ((0, self.begin), (self.end, self.columns))
        for start, stop in bounds:
            with self.code.loop(start, stop) as x:
                write(x)

    def _listed(self, target: Pointer, line: Pointer, x: Int, present: Int) -> None:
        code, job, position = self.code, self.job, self.column0 + x
        low, high = job[Word.COLUMN_LOW], job[Word.COLUMN_HIGH]
        column = code.variable(-1)
        with code.when(position < job[Word.PADDED_COLUMNS]):
            entry = code.select(position < low, position, position - high + low)
            column.become(job.table.read_index(job[Word.PADDED_COLUMN_TABLE] + entry))
        with code.either(column.now < 0) as (empty, filled):
            with empty:
                target.store(code.zero(self.numbers.vector))
            with filled:
                write_pixel(
                    code,
                    self.numbers,
                    target,
                    line + column.now * job[Word.SOURCE_W],
                    present,
                    job[Word.SOURCE_C],
                )


def write_pixel(
    code: Code, numbers: Numbers, target: Pointer, source: Pointer, present: Int, stride_c: Index
) -> None:
    """One register, lane by lane; lanes past those present are zeros."""
    target.store(code.zero(numbers.vector))
    with code.loop(0, present) as lane:
        target.store(numbers.load(code, source, lane * stride_c), lane)


def _pixels(module: ir.Module, numbers: Numbers, name: str) -> tuple[Code, Pointer, Pointer, list[Int]]:
    """Begin a function that writes a run of pixels to the slab.

    Arguments: slab, source, number of pixels, channels present, elements from one block of channels to
    the next, the source's elements from one channel and pixel to the next; pixels of a slab row, and the
    registers between the end of one and the beginning of the next.
    """
    code = define(module, name, [POINTER] * 2 + [I64] * 7)
    target, source = code.pointer(0, numbers.computed), code.pointer(1, numbers.stored)
    return code, target, source, [code.argument(n) for n in range(2, 9)]


def define_interleaved_pixels(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write pixels of one row whose channels lie side by side; see `_pixels`."""
    code, target, source, (count, present, pitch, _, step, _, _) = _pixels(
        module, numbers, "interleaved_pixels"
    )
    lanes = numbers.lanes
    whole = present // lanes
    rest = present - whole * lanes
    mask = code.first_lanes(rest, lanes)
    with code.loop(0, count) as x, code.loop(0, whole) as block:
        pixel = numbers.load(code, source, x * step + block * lanes, lanes)
        target.store(pixel, x * lanes + block * pitch)
    with code.when(rest > 0), code.loop(0, count) as x:
        tail, end = source + (x * step + whole * lanes), target + (x * lanes + whole * pitch)
        if numbers.target.masks:
            end.store(numbers.widen(code, code.masked_load(tail, mask, lanes)))
        else:
            write_pixel(code, numbers, end, tail, rest, 1)
    code.done()
    return code.function


def define_planar_pixels(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write pixels of channels that lie apart, a register of each transposed at a time; see `_pixels`."""
    existing = module.functions.get("planar_pixels")
    if existing is not None:
        return existing
    code, target, source, arguments = _pixels(module, numbers, "planar_pixels")
    count, present, pitch, stride_c, step, run, gap = arguments
    lanes = numbers.lanes
    room = code.stack(numbers.stored, lanes * lanes)
    with code.loop(0, present, lanes) as channel:
        there = (present - channel).minimum(lanes)
        first = source + channel * stride_c
        place = _Place(code, numbers, target + channel // lanes * pitch, run, gap)
        with code.either(step.equals(1)) as (dense, sparse):
            with dense, code.loop(0, count, lanes) as x:
                _block(code, numbers, place, first + x, stride_c, there, (count - x).minimum(lanes), room)
            with sparse, code.loop(0, count) as x:
                write_pixel(code, numbers, place.take(), first + x * step, there, stride_c)
    code.done()
    return code.function


class _Place:
    """Where the next pixel goes: rows of ``run`` pixels with ``gap`` registers between them."""

    def __init__(self, code: Code, numbers: Numbers, start: Pointer, run: Int, gap: Int) -> None:
        self.code, self.start, self.lanes, self.run, self.gap = code, start, numbers.lanes, run, gap
        self.column, self.register = code.variable(0), code.variable(0)
        self.room = code.stack(numbers.computed, numbers.lanes * numbers.lanes)

    def take(self, pixels: int = 1) -> Pointer:
        """The place of this pixel, and of those beside it; the next call is about the next."""
        place = self.start + self.register.now * self.lanes
        following = self.column.now + pixels
        ended = following.equals(self.run)
        self.column.become(self.code.select(ended, 0, following))
        self.register.become(self.register.now + self.code.select(ended, self.gap + pixels, pixels))
        return place

    def write(self, registers: Sequence[ir.Value], pixels: Int) -> None:
        """Up to a register of pixels: side by side where the row has room for all."""
        code, lanes = self.code, self.lanes
        fits = code.both(pixels.equals(lanes), self.column.now + lanes <= self.run)
        with code.either(fits) as (together, apart):
            with together:
                place = self.take(lanes)
                for number, register in enumerate(registers):
                    place.store(register, number * lanes)
            with apart:
                for number, register in enumerate(registers):
                    self.room.store(register, number * lanes)
                with code.loop(0, pixels) as pixel:
                    self.take().store(self.room.load(pixel * lanes, lanes))


def _block(
    code: Code,
    numbers: Numbers,
    place: _Place,
    source: Pointer,
    stride_c: Int,
    channels: Int,
    pixels: Int,
    room: Pointer,
) -> None:
    """A register of pixels of each channel, turned. What is less than that is gathered in a room first."""
    lanes = numbers.lanes
    part = code.builder.or_(channels < lanes, pixels < lanes)
    with code.when(part):
        code.fill_zero(room, code.index(lanes * lanes))
        with code.loop(0, channels) as channel:
            line, at = source + channel * stride_c, room + channel * lanes
            if numbers.target.masks:
                at.store(code.masked_load(line, code.first_lanes(pixels, lanes), lanes))
            else:
                with code.loop(0, pixels) as x:
                    at.store(line.load(x), x)
    begin = Pointer(code, code.builder.select(part, room.raw, source.raw), numbers.stored)
    step = code.select(part, lanes, stride_c)
    lines = [numbers.load(code, begin, step * lane, lanes) for lane in range(lanes)]
    place.write(transpose(code, lines), pixels)
