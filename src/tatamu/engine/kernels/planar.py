"""Direct convolution of planes with result channels in registers: scalars are pixels, wherever they lie.

results[m][pixel] = sum over (channel, tap) of source[channel][pixel + tap] * panel[channel, tap][m]

A pixel of the source is read at a place of its own plus an offset of its (channel, tap): in the source
itself, or, where padding is met, in a copy of the planes with their padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import (
    PLANAR_CHUNK,
    PLANAR_OVERRUN,
    PLANAR_PACK_CHANNELS,
    REST,
    REST_ROWS,
    STRETCH,
    PlanarKernel,
)
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.ir import I8, I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import LINE_BYTES, Header, WeightLines, Word
from tatamu.engine.kernels.microkernel import Sums
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.phases import define_pack_phases, define_store_phases
from tatamu.engine.kernels.planar_store import define_store_channels
from tatamu.engine.kernels.planes import define_pack_planes
from tatamu.engine.kernels.weights import define_pack_scattered, define_pack_weights
from tatamu.engine.target import Target


def build(kernel: PlanarKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    module, numbers = module_for(target, kernel.ending), Numbers(kernel.element, target)
    pack = _packing(kernel, module, numbers)
    define_entry(module, kernel.name(target), _task(kernel, module, numbers, pack), pack_task(numbers, pack))
    return module


Pack = Callable[[Code, Job, Pointer, Pointer, Int, Int, Int], None]
"""Writes a register of the panel: panel, weight (of this group), first row, first channel, channels."""


def _packing(kernel: PlanarKernel, module: ir.Module, numbers: Numbers) -> Pack:
    """How weights are packed: lanes are channels of the result, perhaps in one stride phase after another."""
    if kernel.phases:
        pack_phases = define_pack_phases(module, numbers)
        return lambda code, job, *what: code.call(pack_phases, job.table, job.words, *what)
    return weight_packing(module, numbers)


def weight_packing(module: ir.Module, numbers: Numbers) -> Pack:
    """How the weights of a kernel are packed, wherever they lie: lanes are channels of the result."""
    pack_lines = define_pack_weights(module, numbers, numbers.lanes)
    pack_scattered = define_pack_scattered(module, numbers)

    def pack(code: Code, job: Job, *what: Pointer | Int) -> None:
        scattered = job[Word.WEIGHT_LINES].equals(WeightLines.SCATTERED)
        with code.either(scattered) as (apart, together):
            with apart:
                code.call(pack_scattered, job.table, job.words, *what)
            with together:
                code.call(pack_lines, job.table, job.words, *what)

    return pack


def pack_task(numbers: Numbers, pack: Pack) -> Task:
    """Packs some channels of a register of result channels, for every job."""
    lanes = numbers.lanes

    def task(code: Code, job: Job, arguments: Arguments, shared: Pointer, _: Pointer, task: Int) -> None:
        channels, registers = job[Word.CHANNELS], (job[Word.M] + (lanes - 1)) // lanes
        blocks = (channels + (PLANAR_PACK_CHANNELS - 1)) // PLANAR_PACK_CHANNELS
        c0, register = (task % blocks) * PLANAR_PACK_CHANNELS, task // blocks
        present = (channels - c0).minimum(PLANAR_PACK_CHANNELS)
        weight = arguments.second.of(numbers.stored) + (register // registers) * job[Word.WEIGHT_G]
        with code.loop(0, job.table.read_index(Header.JOBS)) as j:
            each = Job(code, job.table, job.table + (j * int(Word.LENGTH) + int(Header.FIRST_JOB)))
            taps = each[Word.ROW_TAPS] * each[Word.TAPS_ACROSS]
            at = each[Word.PANEL_BASE] + register * each[Word.WEIGHT_PANEL] + c0 * taps * lanes
            panel = shared.of(numbers.computed) + at
            pack(code, each, panel, weight, (register % registers) * lanes, c0, present)

    return task


def _task(kernel: PlanarKernel, module: ir.Module, numbers: Numbers, pack: Pack) -> Task:
    lanes = numbers.lanes
    list_places = define_list_places(module, numbers)
    pack_planes = define_pack_planes(module, numbers)
    if kernel.phases:
        store = define_store_phases(module, numbers, kernel.vectors)
    else:
        store = define_store_channels(module, numbers)
    prefetch = _define_prefetch(kernel, module, numbers)
    multiply = [_define_multiply(kernel, module, numbers, v, prefetch) for v in range(1, kernel.vectors + 1)]

    def task(
        code: Code, job: Job, arguments: Arguments, packed: Pointer, scratch: Pointer, task: Int
    ) -> None:
        at = Place.of(job, task)
        source = arguments.source.of(numbers.stored) + (
            at.group * job[Word.SOURCE_G] + at.image * job[Word.SOURCE_N]
        )
        weight = arguments.second.of(numbers.stored) + at.group * job[Word.WEIGHT_G]
        target = arguments.target.of(numbers.stored) + (
            at.group * job[Word.TARGET_G] + at.image * job[Word.TARGET_N] + job[Word.TARGET_BASE]
        )
        bias = arguments.bias.of(numbers.stored) + at.group * job[Word.M] * job[Word.BIAS_C]
        panels, slab, tiles = (
            scratch.moved_bytes(job[word]).of(numbers.computed)
            for word in (Word.PANEL_AT, Word.SLAB_AT, Word.TILES_AT)
        )
        pixels = at.images * at.rows * job[Word.GRID_W]
        channels, channel_block = job[Word.CHANNELS], job[Word.CHANNEL_BLOCK]
        taps = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
        width = job[Word.VECTORS] * lanes
        shares = job[Word.WEIGHT_PANEL] > 0
        of_group = packed_of_group(job, packed.of(numbers.computed), at.group, lanes)
        code.call(list_places, job.table, job.words, scratch, at.images, at.rows)
        with code.loop(0, channels, channel_block) as c0:
            present = (channels - c0).minimum(channel_block)
            origin = gathered(numbers, job, pack_planes, at, source + c0 * job[Word.SOURCE_C], slab, present)
            count = present * taps
            last = c0 + channel_block >= channels
            # Sums that wait for no other channels are written a chunk at a time, from the same few lines.
            waits = channels > channel_block
            begun = code.select(c0.equals(0), 1, 0)
            coming_step = _coming_results(kernel, numbers, job, at, last)
            panel_step = code.select(shares, job[Word.WEIGHT_PANEL], count * lanes)
            with code.loop(at.m0, at.m_end, width) as m:
                across = (at.m_end - m).minimum(width)
                registers = (across + (lanes - 1)) // lanes
                with code.when(code.builder.not_(shares)), code.loop(0, registers) as v:
                    pack(code, job, panels + v * count * lanes, weight, m + v * lanes, c0, present)
                common = of_group + ((m // lanes) * job[Word.WEIGHT_PANEL] + c0 * taps * lanes)
                panel = Pointer(code, code.builder.select(shares, common.raw, panels.raw), numbers.computed)
                with code.loop(0, pixels, PLANAR_CHUNK) as pixel:
                    tile = tiles + code.select(waits, (m - at.m0) * job[Word.TILE_PITCH] + pixel * lanes, 0)
                    end = (pixel + PLANAR_CHUNK).minimum(pixels)
                    fetches = job[Word.PREFETCHES] * code.select(m.equals(at.m0), 2, 1)
                    coming = target + (m * job[Word.TARGET_C] + at.row * job[Word.TARGET_H] + pixel)
                    for number, microkernel in enumerate(multiply, 1):
                        with code.when(registers.equals(number)):
                            code.call(
                                microkernel, job.words, scratch, origin, panel, panel_step, tile, count,
                                pixel, end, begun, coming, coming_step, fetches,
                            )  # fmt: skip
                    with code.when(last):
                        code.call(
                            store, job.words, tile, target, bias, m, across, pixel, end, at.row, at.rows
                        )

    return task


def gathered(
    numbers: Numbers,
    job: Job,
    pack_planes: ir.Function,
    at: Place,
    source: Pointer,
    slab: Pointer,
    channels: Int,
) -> Pointer:
    """Where the places of a task count from: a copy of its planes that is made now, or the source itself."""
    code, first_row = job.code, at.row * job[Word.STRIDE_H]
    with code.when(job[Word.IN_PLACE].equals(0)):
        code.call(pack_planes, job.table, job.words, slab, source, channels, at.images, first_row,
                  (at.rows - 1) * job[Word.STRIDE_H] + job[Word.SLOTS])  # fmt: skip
    if numbers.stored != numbers.computed:
        return slab
    here = source + (first_row * job[Word.SOURCE_H] + job[Word.SOURCE_BASE])
    chosen = code.builder.select(job[Word.IN_PLACE].equals(1), here.raw, slab.raw)
    return Pointer(code, chosen, numbers.computed)


def _coming_results(kernel: PlanarKernel, numbers: Numbers, job: Job, at: Place, last: ir.Value) -> Int:
    """Bytes from a channel's results to the next where its pixels are finished and side by side; else 0."""
    code = job.code
    if kernel.phases:
        return code.index(0)
    dense = code.both(job[Word.TARGET_W].equals(1), job[Word.TARGET_H].equals(job[Word.GRID_W]))
    known = code.both(last, code.both(dense, at.images.equals(1)))
    return code.select(known, job[Word.TARGET_C] * numbers.element.item_bytes, 0)


def packed_of_group(job: Job, packed: Pointer, group: Int, lanes: int) -> Pointer:
    """The packed weights of a group, where tasks share them."""
    registers = (job[Word.M] + (lanes - 1)) // lanes
    return packed + (job[Word.PANEL_BASE] + group * registers * job[Word.WEIGHT_PANEL])


def _define_prefetch(kernel: PlanarKernel, module: ir.Module, numbers: Numbers) -> ir.Function:
    """Ask for the part of a tile in what the next line of pixels reads, and in where results are written.

    A function of its own: in the loop of products LLVM would hoist loads and run out of registers. Arguments:
    job, scratch, origin of the places, first pixel of the tile, and counted from the first of the chunk,
    first product and the one past the last, where the results of the chunk's first pixel will be written,
    bytes from a channel's to the next (0: somewhere else), 2 if the products' lines are asked for as well.
    """
    code = define(module, "prefetch", [POINTER] * 3 + [I64] * 4 + [POINTER, I64, I64])
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    scratch, origin, coming = code.pointer(1, I8), code.pointer(2, I8), code.pointer(7, numbers.stored)
    pixel, in_chunk, k0, k_end, step, fetches = (code.argument(n) for n in (3, 4, 5, 6, 8, 9))
    places, offsets = (scratch.moved_bytes(job[word]).of(I64) for word in (Word.ROWS_AT, Word.ADDRESSES_AT))
    tiles_a_line = max(1, LINE_BYTES // numbers.computed_bytes // kernel.rows)
    turn = in_chunk // kernel.rows % tiles_a_line
    with code.when(code.both(step > 0, k0.equals(0))):
        of_tile = coming + in_chunk
        with code.loop(turn, kernel.vectors * numbers.lanes, tiles_a_line) as channel:
            code.prefetch(of_tile.moved_bytes(channel * step), writes=True)
    with code.when(fetches.equals(2)):
        following = origin.moved_bytes(places.read_index(pixel + kernel.rows))
        with code.loop(k0 + turn, k_end, tiles_a_line) as k:
            code.prefetch(following.moved_bytes(offsets.read_index(k)))
    code.done()
    return code.function


def _define_multiply(
    kernel: PlanarKernel, module: ir.Module, numbers: Numbers, vectors: int, prefetch: ir.Function
) -> ir.Function:
    """Tiles of ``vectors`` registers of result channels, for some pixels of a task.

    Arguments: job, scratch, origin of the places, panel, elements from a register of it to the next, tiles
    ``[register][pixel][lane]`` (at the first pixel), products, first pixel and the one past the last, 1 if
    the tiles are begun; where the results of the first pixel will be written, and bytes from a channel's to
    the next; what to ask for early: nothing (0), results (1), what is read as well (2).
    """
    arguments = [POINTER] * 4 + [I64, POINTER] + [I64] * 4 + [POINTER, I64, I64]
    code = define(module, f"multiply_{vectors}", arguments)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    panel = code.pointer(3, numbers.computed)
    scratch, origin, tiles = (
        code.pointer(1, I8),
        code.pointer(2, numbers.computed),
        code.pointer(5, numbers.computed),
    )
    panel_step, count, begin, end, begun = (code.argument(n) for n in (4, 6, 7, 8, 9))
    coming, coming_step, fetches = code.pointer(10, I8), code.argument(11), code.argument(12)
    lanes = numbers.lanes
    places, offsets = (scratch.moved_bytes(job[word]).of(I64) for word in (Word.ROWS_AT, Word.ADDRESSES_AT))

    def tile_of(rows: int, pixel: Int) -> None:
        sums = Sums(code, numbers, rows, vectors, lanes, job[Word.TILE_PITCH] * lanes)
        lines = [origin.moved_bytes(places.read_index(pixel + r)) for r in range(rows)]
        tile = tiles + (pixel - begin) * lanes
        with code.loop(0, count.maximum(1), STRETCH) as k0:
            k_end = (k0 + STRETCH).minimum(count)
            if rows > REST_ROWS:
                with code.when(fetches > 0):
                    code.call(prefetch, job.words, scratch, origin, pixel, pixel - begin, k0, k_end, coming,
                              coming_step, fetches)  # fmt: skip
            sums.clear()
            with code.loop(k0, k_end) as k:
                offset = offsets.read_index(k)
                sums.add_products(
                    [begin.moved_bytes(offset) for begin in lines], panel + k * lanes, panel_step
                )
            sums.flush(tile, code.both(begun.equals(1), k0.equals(0)))

    # A few pixels that are left over would waste most of a tile.
    rest = (end - begin) % kernel.rows
    whole = code.select(rest > REST, end, end - rest)
    with code.loop(begin, whole, kernel.rows) as pixel:
        tile_of(kernel.rows, pixel)
    with code.loop(whole, end, REST_ROWS) as pixel:
        tile_of(REST_ROWS, pixel)
    code.done()
    return code.function


def store_progression(code: Code, target: Pointer, begin: Int, step: Int, count: Int) -> None:
    """Write ``count`` numbers a step apart, and up to `PLANAR_OVERRUN` less one beyond them."""
    first = ir.Constant(ir.VectorType(I64, PLANAR_OVERRUN), list(range(PLANAR_OVERRUN)))
    steps = code.builder.mul(code.splat(step.value, PLANAR_OVERRUN), first)
    with code.loop(0, count, PLANAR_OVERRUN) as x:
        target.store(code.builder.add(code.splat((begin + x * step).value, PLANAR_OVERRUN), steps), x)


def define_list_places(module: ir.Module, numbers: Numbers) -> ir.Function:
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
        store_progression(code, places + (image * rows + row) * grid_w, begin, job[Word.STRIDE_W] * w, grid_w)
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
class Place:
    """What a task computes: a group, a block of its result channels, rows of some images."""

    group: Int
    m0: Int
    m_end: Int
    image: Int
    images: Int
    row: Int
    rows: Int

    @staticmethod
    def of(job: Job, task: Int) -> Place:
        """The task of a number: result channels vary fastest, then rows, then images, then groups."""
        m0 = (task % job[Word.M_BLOCKS]) * job[Word.M_BLOCK]
        task = task // job[Word.M_BLOCKS]
        row = (task % job[Word.BLOCKS]) * job[Word.BLOCK_H]
        task = task // job[Word.BLOCKS]
        image_blocks = (job[Word.IMAGES] + job[Word.IMAGES_A_TASK] - 1) // job[Word.IMAGES_A_TASK]
        image = (task % image_blocks) * job[Word.IMAGES_A_TASK]
        return Place(
            group=task // image_blocks,
            m0=m0,
            m_end=(m0 + job[Word.M_BLOCK]).minimum(job[Word.M]),
            image=image,
            images=(job[Word.IMAGES] - image).minimum(job[Word.IMAGES_A_TASK]),
            row=row,
            rows=(job[Word.GRID_H] - row).minimum(job[Word.BLOCK_H]),
        )
