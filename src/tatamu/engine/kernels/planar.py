"""Direct convolution of planes with result channels in registers: scalars are pixels, wherever they lie.

results[m][pixel] = sum over (channel, tap) of source[channel][pixel + tap] * panel[channel, tap][m]

A pixel of the source is read at a place of its own plus an offset of its (channel, tap): in the source
itself, or, where padding is met, in a copy of the planes with their padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from tatamu.engine.kernels.channel_results import biases_in_lanes, store_planes
from tatamu.engine.kernels.descriptions import STRETCH, PlanarKernel
from tatamu.engine.kernels.ending import finished
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.ir import I8, I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import WeightLines, Word
from tatamu.engine.kernels.microkernel import Sums
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.phases import define_pack_phases, define_store_phases
from tatamu.engine.kernels.planes import define_pack_planes
from tatamu.engine.kernels.weights import define_pack_scattered, define_pack_weights
from tatamu.engine.target import Target


def build(kernel: PlanarKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    module = module_for(target, kernel.ending)
    define_entry(module, kernel.name(target), _task(kernel, module, Numbers(kernel.element, target)))
    return module


def _task(kernel: PlanarKernel, module: ir.Module, numbers: Numbers) -> Task:
    lanes = numbers.lanes
    list_places = _define_list_places(module, numbers)
    pack_planes = define_pack_planes(module, numbers)
    if kernel.phases:
        pack, store_results = _phases(kernel, module, numbers)
    else:
        pack, store_results = _channels(module, numbers)
    multiply = [_define_multiply(kernel, module, numbers, v) for v in range(1, kernel.vectors + 1)]
    in_place = numbers.stored == numbers.computed

    def task(code: Code, job: Job, arguments: Arguments, _: Pointer, scratch: Pointer, task: Int) -> None:
        at = _Place.of(job, task)
        source = arguments.source.of(numbers.stored) + (
            at.group * job[Word.SOURCE_G] + at.image * job[Word.SOURCE_N]
        )
        weight = arguments.second.of(numbers.stored) + at.group * job[Word.WEIGHT_G]
        panel, slab, tiles = (
            scratch.moved_bytes(job[word]).of(numbers.computed)
            for word in (Word.PANEL_AT, Word.SLAB_AT, Word.TILES_AT)
        )
        pixels = at.images * at.rows * job[Word.GRID_W]
        channels, channel_block = job[Word.CHANNELS], job[Word.CHANNEL_BLOCK]
        taps = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
        vectors = job[Word.VECTORS]
        width = vectors * lanes
        first_row = at.row * job[Word.STRIDE_H]
        code.call(list_places, job.table, job.words, scratch, at.images, at.rows)
        with code.loop(0, channels, channel_block) as c0:
            present = (channels - c0).minimum(channel_block)
            of_channels = source + c0 * job[Word.SOURCE_C]
            here = of_channels + (first_row * job[Word.SOURCE_H] + job[Word.SOURCE_BASE])
            origin = slab
            if in_place:
                direct = job[Word.IN_PLACE].equals(1)
                origin = Pointer(code, code.builder.select(direct, here.raw, slab.raw), numbers.computed)
            with code.when(job[Word.IN_PLACE].equals(0)):
                code.call(pack_planes, job.table, job.words, slab, of_channels, present, at.images, first_row,
                          (at.rows - 1) * job[Word.STRIDE_H] + job[Word.SLOTS])  # fmt: skip
            count = present * taps
            last = c0 + channel_block >= channels
            with code.loop(at.m0, at.m_end, width) as m:
                across = (at.m_end - m).minimum(width)
                registers = (across + (lanes - 1)) // lanes
                with code.loop(0, registers) as v:
                    pack(code, job, panel + v * count * lanes, weight, m + v * lanes, c0, present)
                tile = tiles + (m - at.m0) * job[Word.TILE_PITCH]
                for number, microkernel in enumerate(multiply, 1):
                    with code.when(registers.equals(number)):
                        code.call(
                            microkernel,
                            job.words,
                            scratch,
                            origin,
                            tile,
                            count,
                            pixels,
                            code.select(c0.equals(0), 1, 0),
                        )
                with code.when(last):
                    store_results(code, job, arguments, at, tile, m, across)

    return task


Pack = Callable[[Code, Job, Pointer, Pointer, Int, Int, Int], None]
"""Writes a register of the panel: panel, weight (of this group), first row, first channel, channels."""
Store = Callable[[Code, Job, Arguments, "_Place", Pointer, Int, Int], None]
"""Writes finished tiles: tiles, first result channel, result channels."""


def _channels(module: ir.Module, numbers: Numbers) -> tuple[Pack, Store]:
    """Lanes are channels of the result."""
    lanes = numbers.lanes
    pack_lines = define_pack_weights(module, numbers, lanes)
    pack_scattered = define_pack_scattered(module, numbers)
    store = _define_store(module, numbers)

    def pack(code: Code, job: Job, *what: Pointer | Int) -> None:
        scattered = job[Word.WEIGHT_LINES].equals(WeightLines.SCATTERED)
        with code.either(scattered) as (apart, together):
            with apart:
                code.call(pack_scattered, job.table, job.words, *what)
            with together:
                code.call(pack_lines, job.table, job.words, *what)

    def store_results(
        code: Code, job: Job, arguments: Arguments, at: _Place, tile: Pointer, m: Int, across: Int
    ) -> None:
        target = arguments.target.of(numbers.stored) + (
            at.group * job[Word.TARGET_G]
            + at.image * job[Word.TARGET_N]
            + at.row * job[Word.TARGET_H]
            + job[Word.TARGET_BASE]
        )
        bias = arguments.bias.of(numbers.stored) + at.group * job[Word.M] * job[Word.BIAS_C]
        with code.loop(0, across, lanes) as v:
            code.call(
                store,
                job.words,
                tile + v * job[Word.TILE_PITCH],
                target + (m + v) * job[Word.TARGET_C],
                bias + (m + v) * job[Word.BIAS_C],
                (across - v).minimum(lanes),
                at.images,
                at.rows,
            )

    return pack, store_results


def _phases(kernel: PlanarKernel, module: ir.Module, numbers: Numbers) -> tuple[Pack, Store]:
    """Lanes are channels of the result in one stride phase after another."""
    pack_phases = define_pack_phases(module, numbers)
    store = define_store_phases(module, numbers, kernel.vectors)

    def pack(code: Code, job: Job, *what: Pointer | Int) -> None:
        code.call(pack_phases, job.table, job.words, *what)

    def store_results(
        code: Code, job: Job, arguments: Arguments, at: _Place, tile: Pointer, m: Int, across: Int
    ) -> None:
        target = arguments.target.of(numbers.stored) + (
            at.group * job[Word.TARGET_G] + at.image * job[Word.TARGET_N]
        )
        code.call(store, job.words, tile, target, m, across, at.images, at.row, at.rows)

    return pack, store_results


def _define_multiply(kernel: PlanarKernel, module: ir.Module, numbers: Numbers, vectors: int) -> ir.Function:
    """Tiles of ``vectors`` registers of result channels, for all pixels of a task.

    Arguments: job, scratch, origin of the places, tiles ``[register][pixel][lane]``, products, pixels,
    1 if the tiles are begun.
    """
    code = define(module, f"multiply_{kernel.rows}x{vectors}", [POINTER] * 4 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    scratch, origin, tiles = (
        code.pointer(1, I8),
        code.pointer(2, numbers.computed),
        code.pointer(3, numbers.computed),
    )
    count, pixels, begun = (code.argument(n) for n in range(4, 7))
    lanes = numbers.lanes
    places, offsets = (scratch.moved_bytes(job[word]).of(I64) for word in (Word.ROWS_AT, Word.ADDRESSES_AT))
    panel = scratch.moved_bytes(job[Word.PANEL_AT]).of(numbers.computed)
    sums = Sums(code, numbers, kernel.rows, vectors, lanes, job[Word.TILE_PITCH] * lanes)
    panel_step = count * lanes
    with code.loop(0, pixels, kernel.rows) as pixel:
        lines = [origin.moved_bytes(places.read_index(pixel + r)) for r in range(kernel.rows)]
        tile = tiles + pixel * lanes
        with code.loop(0, count.maximum(1), STRETCH) as k0:
            sums.clear()
            with code.loop(k0, (k0 + STRETCH).minimum(count)) as k:
                offset = offsets.read_index(k)
                sums.add_products([line.moved_bytes(offset) for line in lines], panel + k * lanes, panel_step)
            sums.flush(tile, code.both(begun.equals(1), k0.equals(0)))
    code.done()
    return code.function


def _define_store(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write one register of result channels of all pixels of a task.

    Arguments: job, tiles ``[pixel][lane]``, target, bias (both at the first channel), channels present,
    images, rows.
    """
    code = define(module, "store", [POINTER] * 4 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    tiles, target = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    bias = code.pointer(3, numbers.stored)
    present, images, rows = (code.argument(n) for n in range(4, 7))
    biases = biases_in_lanes(code, numbers, job, bias, present)
    grid_w, step = job[Word.GRID_W], job[Word.TARGET_W]
    # Rows that follow one another in the result are one.
    joined = (grid_w * step).equals(job[Word.TARGET_H])
    lines, run = code.select(joined, 1, rows), code.select(joined, rows * grid_w, grid_w)
    with code.loop(0, images) as image, code.loop(0, lines) as line:
        at = target + (image * job[Word.TARGET_N] + line * job[Word.TARGET_H])
        sums = tiles + (image * lines + line) * run * numbers.lanes
        with code.either(step.equals(1)) as (dense, apart):
            with dense:
                store_planes(code, numbers, job, at, sums, biases, run, present)
            with apart:
                room = code.stack(numbers.computed, numbers.lanes)
                with code.loop(0, run) as x:
                    room.store(code.add(sums.load(x * numbers.lanes, numbers.lanes), biases))
                    with code.loop(0, present) as lane:
                        place = at + (x * step + lane * job[Word.TARGET_C])
                        numbers.store(code, finished(code, numbers, room.load(lane), place), place)
    code.done()
    return code.function


def _define_list_places(module: ir.Module, numbers: Numbers) -> ir.Function:
    """List where each pixel of a block is read, and how much further each (channel, tap): in bytes.

    Arguments: table, job, scratch, images, rows. The places end with repetitions of the last, for the
    rows that a tile has too many.
    """
    code = define(module, "list_places", [POINTER] * 3 + [I64] * 2)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    scratch, images, rows = code.pointer(2, I8), code.argument(3), code.argument(4)
    places, offsets = (scratch.moved_bytes(job[word]).of(I64) for word in (Word.ROWS_AT, Word.ADDRESSES_AT))
    item = numbers.computed_bytes
    grid_w = job[Word.GRID_W]
    n, c, h, w = (job[word] * item for word in (Word.PLACE_N, Word.PLACE_C, Word.PLACE_H, Word.PLACE_W))
    with code.loop(0, images) as image, code.loop(0, rows) as row:
        begin = image * n + row * job[Word.STRIDE_H] * h
        with code.loop(0, grid_w) as x:
            places.store((begin + x * job[Word.STRIDE_W] * w).value, (image * rows + row) * grid_w + x)
    pixels = images * rows * grid_w
    last = places.load(pixels - 1)
    with code.loop(pixels, pixels + job[Word.SPARE_ROWS]) as x:
        places.store(last, x)
    row_taps, column_taps = job[Word.ROW_TAPS], job[Word.TAPS_ACROSS]
    with (
        code.loop(0, job[Word.CHANNEL_BLOCK]) as channel,
        code.loop(0, row_taps) as i,
        code.loop(0, column_taps) as j,
    ):
        down = job.table.read_index(job[Word.ROW_TAP_TABLE] + i) * h
        across = job.table.read_index(job[Word.COLUMN_TAP_TABLE] + j) * w
        offsets.store((channel * c + down + across).value, (channel * row_taps + i) * column_taps + j)
    code.done()
    return code.function


@dataclass(frozen=True)
class _Place:
    """What a task computes: a group, a block of its result channels, rows of some images."""

    group: Int
    m0: Int
    m_end: Int
    image: Int
    images: Int
    row: Int
    rows: Int

    @staticmethod
    def of(job: Job, task: Int) -> _Place:
        """The task of a number: result channels vary fastest, then rows, then images, then groups."""
        m0 = (task % job[Word.M_BLOCKS]) * job[Word.M_BLOCK]
        task = task // job[Word.M_BLOCKS]
        row = (task % job[Word.BLOCKS]) * job[Word.BLOCK_H]
        task = task // job[Word.BLOCKS]
        image_blocks = (job[Word.IMAGES] + job[Word.IMAGES_A_TASK] - 1) // job[Word.IMAGES_A_TASK]
        image = (task % image_blocks) * job[Word.IMAGES_A_TASK]
        return _Place(
            group=task // image_blocks,
            m0=m0,
            m_end=(m0 + job[Word.M_BLOCK]).minimum(job[Word.M]),
            image=image,
            images=(job[Word.IMAGES] - image).minimum(job[Word.IMAGES_A_TASK]),
            row=row,
            rows=(job[Word.GRID_H] - row).minimum(job[Word.BLOCK_H]),
        )
