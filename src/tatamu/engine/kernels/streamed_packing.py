"""What grad weight of streams packs: panels of the second operand, and a padded copy of the source."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I1, I64, POINTER, Code, Int, Pointer, define, scalar_bytes
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import transpose

_PIXELS_AT_ONCE = 8


def define_pack_panels(module: ir.Module, numbers: Numbers, width: int, interleaved: bool) -> ir.Function:
    """Write panels ``panel[pixel][x]`` of ``width`` channels each of the second operand.

    Arguments: job, panels, second operand (first channel, pixel), channels, rows, columns. Lanes past the
    last channel are zeros; up to a register of pixels past the last is written too.
    """
    code = define(module, "pack_panels", [POINTER] * 3 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    panels, second = code.pointer(1, numbers.computed), code.pointer(2, numbers.computed)
    channels, rows, columns = (code.argument(n) for n in range(3, 6))
    # Whole rows that follow one another are one long row.
    # (The stride of a single column says nothing of where pixels lie that are side by side.)
    step = job[Word.SECOND_W] if interleaved else code.index(1)
    follow = job[Word.SECOND_H].equals(columns * step)
    whole = code.both(columns.equals(job[Word.GRID_W]), follow)
    run = code.select(whole, rows * columns, columns)
    with code.loop(0, code.select(whole, 1, rows)) as row:
        to, line = panels + row * run * width, second + row * job[Word.SECOND_H]
        if interleaved:
            _copy_pixels(code, numbers, job, to, width, line, channels, run)
        else:
            with code.loop(0, channels, numbers.lanes) as c:
                at = to + ((c // width) * job[Word.PANEL_PITCH] + c % width)
                present = (channels - c).minimum(numbers.lanes)
                _turn_pixels(code, numbers, job, at, width, line + c * job[Word.SECOND_C], present, run)
    code.done()
    return code.function


def _copy_pixels(
    code: Code,
    numbers: Numbers,
    job: Job,
    panels: Pointer,
    width: int,
    line: Pointer,
    channels: Int,
    run: Int,
) -> None:
    """All registers of each pixel, in the order of memory, from channels that lie side by side."""
    lanes, step = numbers.lanes, job[Word.SECOND_W]
    whole = channels - channels % lanes
    with code.loop(0, run) as x:
        pixel, to = line + x * step, panels + x * width
        with code.loop(0, whole, lanes) as c:
            to.store(pixel.load(c, lanes), (c // width) * job[Word.PANEL_PITCH] + c % width)
        with code.when(whole < channels):
            at, left = (whole // width) * job[Word.PANEL_PITCH] + whole % width, channels - whole
            if numbers.target.masks:
                mask = code.first_lanes(left, lanes)
                to.store(code.masked_load(pixel + whole, mask, lanes), at)
            else:
                _copy_pixel(code, numbers, job, to + at, pixel + whole, left)


def _copy_pixel(
    code: Code, numbers: Numbers, job: Job, target: Pointer, source: Pointer, channels: Int
) -> None:
    target.store(code.zero(numbers.vector))
    with code.loop(0, channels) as lane:
        target.store(source.load(lane * job[Word.SECOND_C]), lane)


def _turn_pixels(
    code: Code, numbers: Numbers, job: Job, panel: Pointer, width: int, line: Pointer, channels: Int, run: Int
) -> None:
    """The same from pixels that lie side by side, a square block at a time."""
    lanes, step = numbers.lanes, job[Word.SECOND_C]
    whole = code.select(channels.equals(lanes), run - run % lanes, 0)

    def block(x: Int, present: Int | None) -> None:
        lines = []
        for lane in range(lanes):
            at = line + (step * lane + x)
            if present is None:
                lines.append(at.load(0, lanes))
            else:
                wanted = code.select(channels > lane, present, 0)
                lines.append(code.masked_load(at, code.first_lanes(wanted, lanes), lanes))
        for number, pixel in enumerate(transpose(code, lines)):
            panel.store(pixel, (x + number) * width)

    with code.loop(0, whole, lanes) as x:
        block(x, None)
    if numbers.target.masks:
        with code.loop(whole, run, lanes) as x:
            block(x, (run - x).minimum(lanes))
    else:
        with code.loop(whole, run) as x:
            _copy_pixel(code, numbers, job, panel + x * width, line + x, channels)


def define_pack_streams(module: ir.Module, numbers: Numbers, rows: int) -> ir.Function:
    """Write ``packed[tile][pixel][row]``: the streams of some register tiles.

    Arguments: packed, elements from one tile to the next, tiles, source, streams (bytes, one per row), lines
    (pairs, of which the first is a stream's), number of lines, pixels of a line, bytes from one pixel to the
    next.
    """
    code = define(module, "pack_streams", [POINTER, I64, I64] + [POINTER] * 3 + [I64] * 3)
    packed, source = code.pointer(0, numbers.computed), code.pointer(3, numbers.computed)
    pitch, tiles = code.argument(1), code.argument(2)
    streams, lines = code.pointer(4, I64), code.pointer(5, I64)
    count, pixels, step = (code.argument(n) for n in range(6, 9))
    item = numbers.element.compute_bytes
    # Few pixels of all tiles at a time: tiles share lines of the cache.
    with (
        code.loop(0, count) as line,
        code.loop(0, pixels, _PIXELS_AT_ONCE) as x0,
        code.loop(0, tiles) as tile,
    ):
        begin = source.moved_bytes(lines.read_index(line * 2) + x0 * step)
        to = packed + (tile * pitch + (line * pixels + x0) * rows)
        places = [streams.read_index(tile * rows + r) for r in range(rows)]
        side_by_side = code.index(0).equals(0)
        for r, place in enumerate(places):
            side_by_side = code.both(side_by_side, place.equals(places[0] + r * item))
        scalars = [begin.moved_bytes(place) for place in places]
        present = (pixels - x0).minimum(_PIXELS_AT_ONCE)
        with code.either(side_by_side) as (together, apart):
            with together, code.loop(0, present) as x:
                to.store(scalars[0].moved_bytes(x * step).load(0, rows), x * rows)
            with apart, code.loop(0, present) as x:
                for r, scalar in enumerate(scalars):
                    to.store(scalar.moved_bytes(x * step).load(), x * rows + r)
    code.done()
    return code.function


def define_gather(module: ir.Module, numbers: Numbers, interleaved: bool) -> ir.Function:
    """Copy rows of all channels of the source with their padding of zeros, in the source's own order.

    Arguments: job, slab, source (of this image and group), first row, first column (either may lie outside).
    The slab is ``[row][column][channel]`` where channels lie side by side in the source, else
    ``[channel][row][column]``.
    """
    code = define(module, "gather", [POINTER] * 3 + [I64] * 2)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    slab, source = code.pointer(1, numbers.computed), code.pointer(2, numbers.computed)
    row0, column0 = code.argument(3), code.argument(4)
    columns, channels = job[Word.SLAB_COLUMNS], job[Word.PACKS]
    begin = (code.index(0) - column0).maximum(0).minimum(columns)
    end = (job[Word.COLUMN_HIGH] - column0).minimum(columns).maximum(begin)
    pixel = channels if interleaved else code.index(1)
    with (
        code.loop(0, code.index(1) if interleaved else channels) as c,
        code.loop(0, job[Word.SLOTS]) as slot,
    ):
        row = row0 + slot
        at = slab + (c * job[Word.PLANE] + slot * job[Word.PITCH])
        with code.either(code.both(row >= 0, row < job[Word.HEIGHT])) as (inside, outside):
            with outside:
                code.fill_zero(at, columns * pixel)
            with inside:
                line = source + (c * job[Word.SOURCE_C] + row * job[Word.SOURCE_H])
                code.fill_zero(at, begin * pixel)
                code.fill_zero(at + end * pixel, (columns - end) * pixel)
                first, count = line + (column0 + begin) * job[Word.SOURCE_W], end - begin
                if interleaved:
                    dense = job[Word.SOURCE_W].equals(channels)
                    with code.either(dense) as (together, apart):
                        with together:
                            _copy(code, at + begin * pixel, first, count * pixel)
                        with apart, code.loop(0, count) as x, code.loop(0, channels) as channel:
                            value = first.load(x * job[Word.SOURCE_W] + channel)
                            at.store(value, (begin + x) * pixel + channel)
                else:
                    _copy(code, at + begin, first, count)
    code.done()
    return code.function


def _copy(code: Code, target: Pointer, source: Pointer, count: Int) -> None:
    name = "llvm.memcpy.p0.p0.i64"
    found = code.module.functions.get(name)
    if found is None:
        found = ir.Function(code.module, name, [POINTER, POINTER, I64, I1])
    size = count * scalar_bytes(target.element)
    code.builder.call(found, [target.raw, source.raw, size.value, I1(0)])
