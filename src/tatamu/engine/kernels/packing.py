"""Any layout, any dtype, any padding mode → slabs and panels of plain numbers.

A *slab* holds, for a block of channels, the source rows that a block of results needs, once per
column tap and already aligned with the results: ``slab[channel][column tap][slot][column]``. Padding,
stride and dilation are settled while it is written, so the microkernel meets none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, Pointer, Variable, define, transpose
from tatamu.engine.kernels.job import ColumnTap, RowMode, Word
from tatamu.engine.kernels.numbers import Numbers


@dataclass(frozen=True)
class Job:
    """A job's words and tables as the kernel reads them."""

    code: Code
    table: Pointer
    words: Pointer

    def __getitem__(self, word: Word) -> Int:
        return self.words.read_index(int(word))


def channel_offset(numbers: Numbers, channel: Int, stride: Int) -> Int:
    """Where a channel begins; the parts of a complex channel are channels of their own, side by side."""
    parts = numbers.element.parts
    return channel * stride if parts == 1 else (channel // parts) * stride + channel % parts


class Sign:
    """Turns the sign of imaginary parts where a conjugate is asked for."""

    def __init__(self, code: Code, numbers: Numbers, negated: Int) -> None:
        self.code, self.numbers = code, numbers
        self.negated = negated if numbers.element.parts == 2 else None

    def apply(self, value: ir.Value, channel: Int) -> ir.Value:
        """The value as it counts for ``channel``."""
        if self.negated is None:
            return value
        turned = (self.negated * (channel % 2)).equals(1)
        return self.code.builder.select(turned, self.numbers.negate(self.code, value), value)


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


def _copy_run(
    code: Code,
    numbers: Numbers,
    target: Pointer,
    source: Pointer,
    count: Int,
    step: Int,
    sign: Sign,
    channel: Int,
) -> None:
    """Copy ``count`` elements, ``step`` apart in the source; may write up to a vector beyond them."""
    lanes = numbers.lanes

    def vector(value: ir.Value, at: Int) -> None:
        target.store(sign.apply(numbers.widen(code, value), channel), at)

    with code.either(step.equals(1)) as (dense, sparse):
        with dense:
            whole = count - count % lanes
            with code.loop(0, whole, lanes) as x:
                vector(source.load(x, lanes), x)
            with code.when(whole < count):
                if numbers.target.masks:
                    vector(
                        code.masked_load(source + whole, code.first_lanes(count - whole, lanes), lanes), whole
                    )
                else:
                    with code.loop(whole, count) as x:
                        target.store(sign.apply(numbers.load(code, source, x), channel), x)
        with sparse:
            # Two dense vectors hold the elements of one that skips every other; the last of them may
            # not exist, so the final vector is left to the loop below.
            done = code.variable(0)
            with code.when(step.equals(2)):
                last = (count - 1).maximum(0)
                whole = last - last % lanes
                with code.loop(0, whole, lanes) as x:
                    low, high = source.load(x * 2, lanes), source.load(x * 2 + lanes, lanes)
                    vector(code.shuffle(low, high, range(0, 2 * lanes, 2)), x)
                done.become(whole)
            with code.loop(done.now, count) as x:
                target.store(sign.apply(numbers.load(code, source, x * step), channel), x)


def _edge(
    code: Code,
    numbers: Numbers,
    job: Job,
    target: Pointer,
    source: Pointer,
    entry: Pointer,
    column: Int,
    low: Int,
    high: Int,
    width: Int,
    sign: Sign,
    channel: Int,
) -> None:
    """One element that padding stands in for: the sum of the source columns on its list (often none)."""
    number = code.select(column < low, column, low + column - high)
    place = entry.read_index(ColumnTap.EDGES) + number
    begin, end = job.table.read_index(place), job.table.read_index(place + 1)
    held = Variable(code, code.zero(numbers.computed))
    with code.loop(begin, end) as at:
        read = numbers.load(code, source, job.table.read_index(at) * width)
        held.set(code.add(held.get(), sign.apply(read, channel)))
    target.store(held.get())


def define_pack_slab(module: ir.Module, numbers: Numbers, interleaved: bool) -> ir.Function:
    """Write the slab of a block of results.

    Arguments: table, job, slab, source (of this image and group), first channel, number of channels,
    first result row, first result column, number of result columns.
    """
    code = define(module, "pack_slab", [POINTER] * 4 + [I64] * 5)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    slab, source = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    first, channels, row0, column0, columns = (code.argument(n) for n in range(4, 9))
    plane, pitch, taps = job[Word.PLANE], job[Word.PITCH], job[Word.COLUMN_TAPS]
    width, stride_c = job[Word.SOURCE_W], job[Word.SOURCE_C]
    step = width * job[Word.STRIDE_W]
    sign = Sign(code, numbers, job[Word.SOURCE_NEGATED])

    def rows(per_row: _PerRow) -> None:
        with code.loop(0, job[Word.SLOTS]) as slot:
            wanted = row0 * job[Word.STRIDE_H] + job.table.read_index(job[Word.SLOT_TABLE] + slot)
            per_row(slot, _source_row(code, wanted, job[Word.HEIGHT], job[Word.ROW_MODE]))

    def tap_of(j: Int) -> tuple[Pointer, Int, Int, Int, Int, Int]:
        entry = job.table + (job[Word.COLUMN_TAP_TABLE] + j * ColumnTap.LENGTH)
        low, high = entry.read_index(ColumnTap.LOW), entry.read_index(ColumnTap.HIGH)
        begin = (low - column0).maximum(0).minimum(columns)
        end = (high - column0).minimum(columns).maximum(begin)
        origin = (column0 + begin) * job[Word.STRIDE_W] + entry.read_index(ColumnTap.OFFSET)
        return entry, low, high, begin, end, origin * width

    def edges(
        entry: Pointer,
        low: Int,
        high: Int,
        target: Pointer,
        line: Pointer,
        channel: Int,
        start: Index,
        stop: Index,
    ) -> None:
        with code.loop(start, stop) as x:
            _edge(code, numbers, job, target + x, line, entry, column0 + x, low, high, width, sign, channel)

    if not interleaved:
        with code.loop(0, channels) as c:
            begin_c = source + channel_offset(numbers, first + c, stride_c)

            def planar_row(slot: Int, row: Int, c: Int = c, begin_c: Pointer = begin_c) -> None:
                with code.loop(0, taps) as j:
                    target = slab + ((c * taps + j) * plane + slot * pitch)
                    with code.either(row < 0) as (empty, filled):
                        with empty:
                            code.fill_zero(target, columns)
                        with filled:
                            line = begin_c + row * job[Word.SOURCE_H]
                            entry, low, high, begin, end, origin = tap_of(j)
                            edges(entry, low, high, target, line, first + c, 0, begin)
                            _copy_run(
                                code,
                                numbers,
                                target + begin,
                                line + origin,
                                end - begin,
                                step,
                                sign,
                                first + c,
                            )
                            edges(entry, low, high, target, line, first + c, end, columns)

            rows(planar_row)
    else:

        def interleaved_row(slot: Int, row: Int) -> None:
            with code.loop(0, taps) as j:
                target = slab + (j * plane + slot * pitch)
                across = taps * plane
                with code.either(row < 0) as (empty, filled):
                    with empty, code.loop(0, channels) as c:
                        code.fill_zero(target + c * across, columns)
                    with filled:
                        line = source + (row * job[Word.SOURCE_H] + first)
                        entry, low, high, begin, end, origin = tap_of(j)
                        _turn_pixels(
                            code,
                            numbers,
                            target + begin,
                            line + origin,
                            end - begin,
                            channels,
                            step,
                            across,
                            sign,
                        )
                        with code.loop(0, channels) as c:
                            for start, stop in ((0, begin), (end, columns)):
                                edges(entry, low, high, target + c * across, line + c, first + c, start, stop)

        rows(interleaved_row)
    code.done()
    return code.function


def _turn_pixels(
    code: Code,
    numbers: Numbers,
    target: Pointer,
    source: Pointer,
    count: Int,
    channels: Int,
    step: Int,
    across: Int,
    sign: Sign,
) -> None:
    """Pixels of side-by-side channels → one row per channel, a register block at a time.

    Lanes past ``count`` repeat the last pixel; rows of the target have room for them.
    """
    lanes = numbers.lanes
    whole = channels - channels % lanes

    def block(x: Int, c: Int, mask: ir.Value | None) -> None:
        lines = []
        for lane in range(lanes):
            pixel = source + ((x + lane).minimum(count - 1) * step + c)
            stored = pixel.load(0, lanes) if mask is None else code.masked_load(pixel, mask, lanes)
            lines.append(numbers.widen(code, stored))
        for lane, line in enumerate(transpose(code, lines)):
            (target + ((c + lane) * across + x)).store(sign.apply(line, c + lane))

    with code.loop(0, count, lanes) as x:
        with code.loop(0, whole, lanes) as c:
            block(x, c, None)
        if numbers.target.masks:
            with code.when(whole < channels):
                block(x, whole, code.first_lanes(channels - whole, lanes))
    if not numbers.target.masks:
        with code.loop(whole, channels) as c, code.loop(0, count) as x:
            (target + (c * across + x)).store(sign.apply(numbers.load(code, source, x * step + c), c))


class _PerRow:
    """Writes one slab row: called with its slot and its source row (-1 for zeros)."""

    def __call__(self, slot: Int, row: Int) -> None: ...


def define_pack_weights(module: ir.Module, numbers: Numbers, rows: int) -> ir.Function:
    """Write the panel of ``rows`` rows of weights: ``panel[channel][tap][row]``, zeros past the last row.

    Arguments: table, job, panel, weight (of this group), first row. A complex weight becomes the
    2 x 2 real matrix that multiplies by it.
    """
    code = define(module, "pack_weights", [POINTER] * 4 + [I64])
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0 = code.argument(4)
    taps, stride_m, stride_c = job[Word.PACKED_TAPS], job[Word.WEIGHT_M], job[Word.WEIGHT_C]
    places = job.table + job[Word.WEIGHT_TAP_TABLE]
    parts = numbers.element.parts
    present = (job[Word.M] - row0).minimum(rows)
    length = job[Word.CHANNELS] * taps
    with code.when(present < rows):
        code.fill_zero(panel, length * rows)
    begin = code.variable(0)
    if parts == 1:
        lanes = numbers.lanes
        dense = code.both(present.equals(rows), job[Word.WEIGHT_CONTIGUOUS].equals(1))
        with code.when(dense):
            begin.become(length - length % lanes)
        with code.loop(0, begin.now, lanes) as k:
            lines = [numbers.load(code, weight, (row0 + r) * stride_m + k, lanes) for r in range(rows)]
            for lane, line in enumerate(transpose(code, lines)):
                panel.store(line, (k + lane) * rows)
    with code.loop(begin.now, length) as k:
        channel, tap = k // taps, k % taps
        place = places.read_index(tap) + (channel // parts) * stride_c
        if parts == 1:
            side_by_side = code.both(stride_m.equals(1), present.equals(rows))
            with code.either(side_by_side) as (together, apart):
                with together:
                    panel.store(numbers.load(code, weight, place + row0, rows), k * rows)
                with apart, code.loop(0, present) as r:
                    panel.store(numbers.load(code, weight, place + (row0 + r) * stride_m), k * rows + r)
        else:
            with code.loop(0, present) as r:
                row = row0 + r
                crossed = (row + channel) % 2
                value = numbers.load(code, weight, place + (row // 2) * stride_m + crossed)
                # Real row, imaginary column: -w_i. A conjugate weight turns both signs of w_i.
                turned = (channel % 2 + job[Word.WEIGHT_NEGATED]) % 2
                flip = (crossed * turned).equals(1)
                panel.store(code.builder.select(flip, numbers.negate(code, value), value), k * rows + r)
    code.done()
    return code.function


def define_pack_second(module: ir.Module, numbers: Numbers, width: int, interleaved: bool) -> ir.Function:
    """Write the panel ``panel[pixel][x]`` of ``width`` channels of the second operand, zeros past the last.

    Arguments: job, panel, second operand (of this image and group), first channel, channels present,
    first pixel row, first pixel column, number of pixels, pixels of a row.
    """
    code = define(module, "pack_second", [POINTER] * 3 + [I64] * 6)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    panel, second = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    first, present, row0, column0, pixels, pitch = (code.argument(n) for n in range(3, 9))
    stride_c, stride_w = job[Word.SECOND_C], job[Word.SECOND_W]
    sign = Sign(code, numbers, job[Word.SECOND_NEGATED])
    lanes = numbers.lanes
    with code.when(present < width):
        code.fill_zero(panel, pixels * width)
    with code.loop(0, pixels // pitch) as row:
        line = second + ((row0 + row) * job[Word.SECOND_H] + column0 * stride_w)
        target = panel + row * pitch * width
        whole = present - present % lanes
        if interleaved:
            line = line + first
            with code.loop(0, pitch) as x:
                with code.loop(0, whole, lanes) as c:
                    value = numbers.load(code, line, x * stride_w + c, lanes)
                    target.store(sign_lanes(code, numbers, job, value), x * width + c)
                with code.loop(whole, present) as c:
                    target.store(
                        sign.apply(numbers.load(code, line, x * stride_w + c), first + c), x * width + c
                    )
        else:
            across = pitch - pitch % lanes
            dense = stride_w.equals(1)
            blocked = code.select(dense, across, 0)
            with code.loop(0, whole, lanes) as c, code.loop(0, blocked, lanes) as x:
                lines = []
                for lane in range(lanes):
                    at = line + channel_offset(numbers, first + c + lane, stride_c)
                    lines.append(sign.apply(numbers.load(code, at, x, lanes), first + c + lane))
                for lane, turned in enumerate(transpose(code, lines)):
                    target.store(turned, (x + lane) * width + c)
            with code.loop(0, present) as c:
                at = line + channel_offset(numbers, first + c, stride_c)
                with code.loop(code.select(c < whole, blocked, 0), pitch) as x:
                    target.store(sign.apply(numbers.load(code, at, x * stride_w), first + c), x * width + c)
    code.done()
    return code.function


def sign_lanes(code: Code, numbers: Numbers, job: Job, value: ir.Value) -> ir.Value:
    """Turn the sign of every odd lane (the imaginary parts) where a conjugate is asked for."""
    if numbers.element.parts == 1:
        return value
    turned = numbers.negate(code, value)
    alternating = code.shuffle(
        value, turned, [lane if lane % 2 == 0 else lane + numbers.lanes for lane in range(numbers.lanes)]
    )
    return code.builder.select(job[Word.SECOND_NEGATED].equals(1), alternating, value)


def define_pack_second_rows(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write rows ``panel[x][pixel]`` of the second operand, ``pitch`` elements from one to the next.

    Arguments: job, panel, second operand (of this image and group), first channel, channels present,
    first pixel row, first pixel column, number of pixels, pixels of a row, pitch.
    """
    code = define(module, "pack_second_rows", [POINTER] * 3 + [I64] * 7)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    panel, second = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    first, present, row0, column0, pixels, run, pitch = (code.argument(n) for n in range(3, 10))
    sign = Sign(code, numbers, job[Word.SECOND_NEGATED])
    step = job[Word.SECOND_W]
    with code.loop(0, present) as x:
        begin = second + channel_offset(numbers, first + x, job[Word.SECOND_C])
        with code.loop(0, pixels // run) as row:
            line = begin + ((row0 + row) * job[Word.SECOND_H] + column0 * step)
            target = panel + (x * pitch + row * run)
            _copy_run(code, numbers, target, line, run, step, sign, first + x)
        # The last copy may have written up to a register past the end.
        (panel + (x * pitch + pixels)).store(code.zero(numbers.vector))
    code.done()
    return code.function
