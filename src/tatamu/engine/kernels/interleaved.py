"""Direct convolution where channels lie side by side: a register holds result channels, not pixels.

results[pixel][m] = sum over (tap, channel) of source[pixel + tap][channel] * panel[tap, channel][m]

The source is read where it lies, through a list of addresses for each tap (an indirection buffer: M. Dukhan,
"The Indirect Convolution Algorithm", 2019), in which a line of zeros stands for padding.
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import REST, REST_ROWS, InterleavedKernel
from tatamu.engine.kernels.ending import finished
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.ir import I8, I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import LINE_BYTES, ColumnTap, Word
from tatamu.engine.kernels.microkernel import Sums
from tatamu.engine.kernels.numbers import Numbers, PairNumbers
from tatamu.engine.kernels.packed_rows import Fill, pack_task, packed_rows
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.pairs import define_fill_panel
from tatamu.engine.kernels.weights import define_pack_columns
from tatamu.engine.target import Target

_ADDRESSES = 8
"""Written at a time: a list may be overrun by as many, less one."""


def build(kernel: InterleavedKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    module = module_for(target, kernel.ending)
    if kernel.dots:
        pairs = PairNumbers(kernel.element, target)
        fill = define_fill_panel(module, pairs, pairs.lanes, by_taps=True)
        define_entry(module, kernel.name(target), _task(kernel, module, pairs, None), pack_task(pairs, fill))
        return module
    numbers = Numbers(kernel.element, target)
    pack = define_pack_columns(module, numbers)
    if kernel.packs_before:
        before = pack_task(numbers, _all_channels(numbers, pack))
        define_entry(module, kernel.name(target), _task(kernel, module, numbers, None), before)
    else:
        define_entry(module, kernel.name(target), _task(kernel, module, numbers, pack))
    return module


def _all_channels(numbers: Numbers, pack: ir.Function) -> Fill:
    def fill(code: Code, job: Job, panel: Pointer, weight: Pointer, row0: Int, rows: Int) -> None:
        registers = rows // numbers.lanes
        code.call(
            pack, job.table, job.words, panel, weight, row0, registers, code.index(0), job[Word.CHANNELS]
        )

    return fill


def _task(kernel: InterleavedKernel, module: ir.Module, numbers: Numbers, pack: ir.Function | None) -> Task:
    """With what packs the weights of a block of channels; None where all are packed before."""
    list_sources = _define_list_sources(module, numbers)
    multiply = [_define_multiply(kernel, module, numbers, v) for v in range(1, kernel.vectors + 1)]

    def task(
        code: Code, job: Job, arguments: Arguments, packed: Pointer, scratch: Pointer, task: Int
    ) -> None:
        at = _Place.of(job, task)
        source = arguments.source.of(numbers.stored) + at.group * job[Word.SOURCE_G]
        target = arguments.target.of(numbers.stored) + (at.group * job[Word.TARGET_G] + job[Word.TARGET_BASE])
        weight = arguments.second.of(numbers.stored) + at.group * job[Word.WEIGHT_G]
        panel, biases = (
            scratch.moved_bytes(job[word]).of(numbers.computed) for word in (Word.PANEL_AT, Word.BIAS_AT)
        )
        code.call(list_sources, job.table, job.words, scratch, source, target, at.pixel0, at.pixels)
        first_row = at.group * job[Word.M] + at.m0
        read_biases(numbers, code, job, arguments, biases, first_row, at.m_end - at.m0)
        channels, channel_block = job[Word.CHANNELS], job[Word.CHANNEL_BLOCK]
        width = job[Word.VECTORS] * numbers.lanes
        with code.loop(at.m0, at.m_end, width) as m, code.loop(0, channels, channel_block) as c0:
            across = (at.m_end - m).minimum(width)
            vectors = (across + (numbers.lanes - 1)) // numbers.lanes
            present = (channels - c0).minimum(channel_block)
            if pack is None:
                of_rows = packed_rows(job, packed.of(numbers.computed), at.group, m)
                of_block, pitch = of_rows + c0 * vectors * numbers.lanes, channels
            else:
                of_block, pitch = panel, present
                code.call(pack, job.table, job.words, panel, weight, m, vectors, c0, present)
            for v, microkernel in enumerate(multiply, 1):
                with code.when(vectors.equals(v)):
                    of_channels = biases + (m - at.m0)
                    code.call(
                        microkernel, job.words, scratch, c0, present, at.pixels, m, across, of_channels,
                        of_block, pitch,
                    )  # fmt: skip

    return task


def read_biases(
    numbers: Numbers, code: Code, job: Job, arguments: Arguments, biases: Pointer, first: Int, count: Int
) -> None:
    """The biases of some channels, one after another; zeros where there are none."""
    bias = arguments.bias.of(numbers.stored)
    with code.either(job[Word.HAS_BIAS].equals(1)) as (given, absent):
        with given, code.loop(0, count) as m:
            biases.store(numbers.load(code, bias, (first + m) * job[Word.BIAS_C]), m)
        with absent:
            code.fill_zero(biases, count)


def _define_multiply(
    kernel: InterleavedKernel, module: ir.Module, numbers: Numbers, vectors: int
) -> ir.Function:
    """Tiles of ``vectors`` registers of result channels, for all pixels of a task.

    Arguments: job, scratch, first channel, channels, pixels, first result channel, result channels,
    biases (from that channel on), panel, channels that each of its taps has.
    """
    arguments = [POINTER] * 2 + [I64] * 5 + [POINTER] * 2 + [I64]
    code = define(module, f"multiply_{kernel.rows}x{vectors}", arguments)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    scratch, biases = code.pointer(1, I8), code.pointer(7, numbers.computed)
    c0, channels, pixels, m, across = (code.argument(n) for n in range(2, 7))
    addresses, results, tiles = (
        scratch.moved_bytes(job[word]) for word in (Word.ADDRESSES_AT, Word.RESULTS_AT, Word.TILES_AT)
    )
    panel, panel_channels = code.pointer(8, numbers.computed), code.argument(9)
    taps, pitch = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS], job[Word.ADDRESSES]
    taps_at_once, channels_at_once = job[Word.TAPS_A_STRETCH], job[Word.CHANNELS_A_STRETCH]
    width, far = vectors * numbers.lanes, job[Word.PREFETCHES].equals(1)
    # Channels for which the next tile's lines are asked for at a time: those of a line, or once for all.
    at_once = code.select(far, LINE_BYTES // numbers.computed_bytes, channels_at_once)
    # Tiles wait for the next block of channels; where there is none, all use the same place.
    tile_step = code.select(job[Word.CHANNELS] <= job[Word.CHANNEL_BLOCK], 0, width)

    def tile_of(rows: int, pixel: Int) -> None:
        sums = Sums(code, numbers, rows, vectors, width)
        tile = tiles.of(numbers.computed) + pixel * tile_step
        # The next tile's lines come while this one is multiplied; past the last they are any address.
        following = range(rows, 2 * rows) if rows > REST_ROWS else ()
        with code.when(far):
            for r in following:
                result = Pointer(code, results.of(POINTER).load(pixel + r), numbers.stored) + m
                for at in range(0, width * numbers.element.item_bytes, LINE_BYTES):
                    code.prefetch(result.moved_bytes(at), writes=True)
        with (
            code.loop(0, taps.maximum(1), taps_at_once) as t,
            code.loop(0, channels, channels_at_once) as c,
        ):
            t_end, c_end = (t + taps_at_once).minimum(taps), (c + channels_at_once).minimum(channels)
            sums.clear()
            with code.loop(t, t_end) as tap:
                found = addresses.of(POINTER) + (tap * pitch + pixel)
                lines, coming = (
                    [Pointer(code, found.load(r), numbers.computed) + c0 for r in numbered]
                    for numbered in (range(rows), following)
                )
                of_tap = panel + tap * panel_channels * width
                with code.loop(c, c_end, at_once) as k0:
                    for place in coming:
                        code.prefetch(place + k0)
                    with code.loop(k0, (k0 + at_once).minimum(c_end)) as k:
                        sums.add_products([begin + k for begin in lines], of_tap + k * width)
            first = code.both(t.equals(0), (c0 + c).equals(0))
            complete = code.both(c0 + c_end >= job[Word.CHANNELS], t_end >= taps)
            with code.either(complete) as (done, waiting):
                with done:
                    sums.add_tile(tile, first)
                    present = (pixels - pixel).minimum(rows)
                    store_pixels(sums, results.of(POINTER) + pixel, m, biases, present, across)
                with waiting:
                    sums.flush(tile, first)

    # A few pixels that are left over would waste most of a tile.
    rest = pixels % kernel.rows
    whole = code.select(rest > REST, pixels, pixels - rest)
    with code.loop(0, whole, kernel.rows) as pixel:
        tile_of(kernel.rows, pixel)
    with code.loop(whole, pixels, REST_ROWS) as pixel:
        tile_of(REST_ROWS, pixel)
    code.done()
    return code.function


def store_pixels(sums: Sums, results: Pointer, m: Int, biases: Pointer, present: Int, across: Int) -> None:
    """Add the biases to finished sums and write each pixel where its address says."""
    code, numbers = sums.code, sums.numbers
    lanes = numbers.lanes
    last = (sums.vectors - 1) * lanes
    bias = [biases.load(v * lanes, lanes) for v in range(sums.vectors)]
    rest: ir.Value | Pointer = (
        code.first_lanes(across - last, lanes) if numbers.target.masks else code.stack(numbers.stored, lanes)
    )
    for r in range(sums.rows):
        with code.when(code.index(r) < present):
            at = Pointer(code, results.load(r), numbers.stored) + m
            values = [code.add(held, of_channel) for held, of_channel in zip(sums.row(r), bias, strict=True)]
            for v, value in enumerate(values[:-1]):
                numbers.store(code, finished(code, numbers, value, at + v * lanes), at, v * lanes)
            value = finished(code, numbers, values[-1], at + last, across - last)
            value = numbers.narrow(code, value)
            if not isinstance(rest, Pointer):
                code.masked_store(value, at + last, rest, lanes)
                continue
            with code.either(across.equals(last + lanes)) as (full, partial):
                with full:
                    at.store(value, last)
                with partial:
                    rest.store(value)
                    with code.loop(last, across) as x:
                        at.store(rest.load(x - last), x)


def _define_list_sources(module: ir.Module, numbers: Numbers) -> ir.Function:
    """List where each pixel of a block is read for each tap, and where it is written.

    Arguments: table, job, scratch, source, target (of this group), first pixel, number of pixels. Pixels
    count through all images. A list ends with addresses of zeros, for the rows that a tile has too many.
    """
    code = define(module, "list_sources", [POINTER] * 5 + [I64] * 2)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    scratch = code.pointer(2, I8)
    source, target = code.pointer(3, numbers.stored), code.pointer(4, numbers.stored)
    pixel0, pixels = code.argument(5), code.argument(6)
    item = numbers.element.item_bytes
    addresses, results = (
        scratch.moved_bytes(job[word]).of(I64) for word in (Word.ADDRESSES_AT, Word.RESULTS_AT)
    )
    zeros = scratch.moved_bytes(job[Word.ZEROS_AT])
    code.fill_zero(zeros.of(numbers.computed), job[Word.CHANNELS])
    nothing = code.splat(code.builder.ptrtoint(zeros.raw, I64), _ADDRESSES)
    numbers_from_0 = ir.Constant(ir.VectorType(I64, _ADDRESSES), list(range(_ADDRESSES)))

    def progression(start: Int, step: Int) -> ir.Value:
        steps = code.builder.mul(code.splat(step.value, _ADDRESSES), numbers_from_0)
        return code.builder.add(code.splat(start.value, _ADDRESSES), steps)

    grid_h, grid_w = job[Word.GRID_H], job[Word.GRID_W]
    done = code.variable(0)
    x0, line = code.variable(pixel0 % grid_w), code.variable(pixel0 // grid_w)
    row_taps, column_taps = job[Word.ROW_TAPS], job[Word.TAPS_ACROSS]
    with code.repeat_while(lambda: done.now < pixels):
        x, at = x0.now, done.now
        image, y = line.now // grid_h, line.now % grid_h
        run = (grid_w - x).minimum(pixels - at)
        first = target + (image * job[Word.TARGET_N] + y * job[Word.TARGET_H] + x * job[Word.TARGET_W])
        place, step = Int(code, code.builder.ptrtoint(first.raw, I64)), job[Word.TARGET_W] * item
        with code.loop(0, run, _ADDRESSES) as q:
            results.store(progression(place + q * step, step), at + q)
        step = job[Word.SOURCE_W] * job[Word.STRIDE_W] * item
        with code.loop(0, row_taps) as i:
            row = y * job[Word.STRIDE_H] + job.table.read_index(job[Word.ROW_TAP_TABLE] + i)
            inside = code.both(row >= 0, row < job[Word.HEIGHT])
            begin = source + (image * job[Word.SOURCE_N] + row * job[Word.SOURCE_H])
            with code.loop(0, column_taps) as j:
                tap = job.table + (job[Word.COLUMN_TAP_TABLE] + j * ColumnTap.LENGTH)
                low = code.select(inside, tap.read_index(ColumnTap.LOW), run)
                high = code.select(inside, tap.read_index(ColumnTap.HIGH), 0)
                offset = x * job[Word.STRIDE_W] + tap.read_index(ColumnTap.OFFSET)
                place = Int(code, code.builder.ptrtoint((begin + offset * job[Word.SOURCE_W]).raw, I64))
                found = addresses + ((i * column_taps + j) * job[Word.ADDRESSES] + at)
                with code.loop(0, run, _ADDRESSES) as q:
                    kept = code.lanes_between(low - x - q, high - x - q, _ADDRESSES)
                    listed = progression(place + q * step, step)
                    found.store(code.builder.select(kept, listed, nothing), q)
        done.become(at + run)
        x0.become(0)
        line.become(line.now + 1)
    with code.loop(0, row_taps * column_taps) as t:
        addresses.store(nothing, t * job[Word.ADDRESSES] + pixels)
    code.done()
    return code.function


@dataclass(frozen=True)
class _Place:
    """What a task computes: a group, a block of its result channels, a block of pixels."""

    group: Int
    m0: Int
    m_end: Int
    pixel0: Int
    pixels: Int

    @staticmethod
    def of(job: Job, task: Int) -> _Place:
        """The task of a number: result channels vary fastest, then pixels, then groups."""
        m0 = (task % job[Word.M_BLOCKS]) * job[Word.M_BLOCK]
        task = task // job[Word.M_BLOCKS]
        pixel0 = (task % job[Word.BLOCKS]) * job[Word.PIXEL_BLOCK]
        all_pixels = job[Word.IMAGES] * job[Word.GRID_H] * job[Word.GRID_W]
        return _Place(
            group=task // job[Word.BLOCKS],
            m0=m0,
            m_end=(m0 + job[Word.M_BLOCK]).minimum(job[Word.M]),
            pixel0=pixel0,
            pixels=(all_pixels - pixel0).minimum(job[Word.PIXEL_BLOCK]),
        )
