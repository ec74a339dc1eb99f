"""Direct convolution (implicit GEMM): forward, and each stride phase of grad input.

results[m][pixel] = sum over (channel, tap) of weight[m][channel, tap] * slab[channel, tap][pixel]
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import STRETCH, DirectKernel
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.epilogue import define_epilogue
from tatamu.engine.kernels.ir import I1, I8, I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import LINE_BYTES, TABLE_HEADER, Word
from tatamu.engine.kernels.microkernel import define_table_microkernel
from tatamu.engine.kernels.numbers import Numbers, PairNumbers
from tatamu.engine.kernels.packed_rows import pack_task, packed_rows
from tatamu.engine.kernels.packing import Job, channel_offset
from tatamu.engine.kernels.pairs import define_fill_panel, define_pack_pairs
from tatamu.engine.kernels.slab import define_pack_slab
from tatamu.engine.kernels.weights import define_pack_weights
from tatamu.engine.target import Target


def build(kernel: DirectKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    module = module_for(target, kernel.ending)
    if kernel.dots:
        pairs = PairNumbers(kernel.element, target)
        pack = None
        if kernel.packs_weights:
            pack = pack_task(pairs, define_fill_panel(module, pairs, kernel.rows, by_taps=False), kernel.rows)
        define_entry(
            module, kernel.name(target), _task(kernel, module, pairs, define_pack_pairs(module, pairs)), pack
        )
        return module
    numbers = Numbers(kernel.element, target)
    pack_slab = define_pack_slab(module, numbers, kernel.source_interleaved)
    define_entry(module, kernel.name(target), _task(kernel, module, numbers, pack_slab))
    return module


def _task(kernel: DirectKernel, module: ir.Module, numbers: Numbers, pack_slab: ir.Function) -> Task:
    multiply = _define_multiply_pixels(kernel, module, numbers)
    pack_weights = None
    if kernel.packs_weights and not kernel.dots:
        pack_weights = define_pack_weights(module, numbers, kernel.rows)

    def task(
        code: Code, job: Job, arguments: Arguments, packed: Pointer, scratch: Pointer, task: Int
    ) -> None:
        at = _Place.of(job, task)
        source = arguments.source.of(numbers.stored) + (
            at.image * job[Word.SOURCE_N] + at.group * job[Word.SOURCE_G]
        )
        target = arguments.target.of(numbers.stored) + (
            at.image * job[Word.TARGET_N] + at.group * job[Word.TARGET_G] + job[Word.TARGET_BASE]
        )
        of_weight = numbers.computed if kernel.dots else numbers.stored
        weight = arguments.second.of(of_weight) + at.group * job[Word.WEIGHT_G]
        gathered, panels, biases = (
            scratch.moved_bytes(job[word]).of(numbers.computed)
            for word in (Word.SLAB_AT, Word.PANEL_AT, Word.BIAS_AT)
        )
        _read_biases(numbers, code, job, arguments, biases, at)
        channels, channel_block = job[Word.CHANNELS], job[Word.CHANNEL_BLOCK]
        in_place = _in_place(kernel, code, numbers, job, at)
        with code.loop(0, channels, channel_block) as c0:
            present = (channels - c0).minimum(channel_block)
            there = source.of(numbers.computed) + (at.column0 + c0 * job[Word.SOURCE_C])
            slab = Pointer(code, code.builder.select(in_place, there.raw, gathered.raw), numbers.computed)
            with code.when(code.builder.not_(in_place)):
                _gather(code, job, pack_slab, gathered, source, scratch, at, c0, present)
            count = _write_table(kernel, code, job, scratch.of(I64), present, in_place)
            if kernel.dots and kernel.packs_weights:
                of_rows = packed_rows(job, packed.of(numbers.computed), at.group, at.row0)
                weights = of_rows + c0 * job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS] * kernel.rows
            elif pack_weights is None:
                weights = weight + (at.row0 * job[Word.WEIGHT_M] + c0 * job[Word.WEIGHT_C])
            else:
                weights = panels
                with code.loop(at.row0, at.rows_end, kernel.rows) as row:
                    panel = panels + (row - at.row0) * count
                    code.call(pack_weights, job.table, job.words, panel, weight, row, c0, present)
            with code.loop(0, at.pixels, kernel.vectors * numbers.lanes) as pixel:
                code.call(
                    multiply, job.words, scratch, slab, target, weights, count, c0, pixel, at.pixels,
                    at.row0, at.rows_end, at.line0, at.column0,
                )  # fmt: skip

    return task


def _define_multiply_pixels(kernel: DirectKernel, module: ir.Module, numbers: Numbers) -> ir.Function:
    """Multiply one tile's pixels by all weights of a task, and write what is finished.

    Arguments: job, scratch, slab, target (of this image and group), weights (or panels) of the first row,
    number of products, first channel, first pixel, pixels of the block, first row, end of the rows, first
    result row and column of the block.
    """
    width = kernel.vectors * numbers.lanes
    # Parts of complex results share a row and interleaved results a column: that is the epilogue's business.
    stores = kernel.element.parts == 1 and not kernel.target_interleaved
    multiply = [
        define_table_microkernel(
            module, numbers, kernel.rows, v, width, packed=kernel.packs_weights, stores=stores
        )
        for v in range(1, kernel.vectors + 1)
    ]
    epilogue = define_epilogue(module, numbers, kernel.rows, width, kernel.target_interleaved)
    prefetch = _define_prefetch(kernel, module, numbers)
    code = define(module, "multiply_pixels", [POINTER] * 5 + [I64] * 8)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    scratch = code.pointer(1, I8)
    slab, target = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    weights = code.pointer(4, numbers.computed)
    count, c0, pixel, pixels, row0, rows_end, line0, column0 = (code.argument(n) for n in range(5, 13))
    biases, tiles = (
        scratch.moved_bytes(job[word]).of(numbers.computed) for word in (Word.BIAS_AT, Word.TILES_AT)
    )
    row_step = count if kernel.packs_weights else job[Word.WEIGHT_M]
    if kernel.dots and kernel.packs_weights:  # The panel has all channels, not those of the block alone.
        row_step = job[Word.CHANNELS] * job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    row_bytes = job[Word.WEIGHT_M] * numbers.element.compute_bytes
    table = scratch.of(I64) + TABLE_HEADER
    wide = (pixels - pixel).minimum(width)
    registers = (wide + (numbers.lanes - 1)) // numbers.lanes
    single = job[Word.CHANNELS] <= job[Word.CHANNEL_BLOCK]
    last = c0 + job[Word.CHANNEL_BLOCK] >= job[Word.CHANNELS]
    first_tile = code.select(
        single, 0, (pixel // width) * ((rows_end - row0 + kernel.rows - 1) // kernel.rows)
    )
    tile_step = code.select(single, 0, width)
    start, straight = _results(numbers, job, target, line0, column0, pixel, wide)
    straight = code.both(last, straight) if stores else I1(0)
    with code.loop(row0, rows_end, kernel.rows) as row:
        present = (rows_end - row).minimum(kernel.rows)
        tile = tiles + (first_tile * (kernel.rows * width) + (row - row0) * tile_step)
        of_row = weights + (row - row0) * row_step
        bias = biases + (row - row0)
        with code.when(job[Word.PREFETCHES].equals(1)):
            code.call(
                prefetch, slab + pixel, table, count, (row - row0) // kernel.rows,
                (rows_end - row0 + (kernel.rows - 1)) // kernel.rows, start + row * job[Word.TARGET_C],
                job[Word.TARGET_C],
            )  # fmt: skip
        for v, microkernel in enumerate(multiply, 1):
            with code.when(registers.equals(v)), code.loop(0, count.maximum(1), STRETCH) as k:
                where: tuple[Int | Pointer | ir.Value, ...] = ()
                if stores:
                    finished = code.both(straight, k + STRETCH >= count)
                    results = (start + row * job[Word.TARGET_C]).raw
                    chosen = code.builder.select(finished, results, code.zero(POINTER))
                    where = (chosen, job[Word.TARGET_C], bias, wide)
                code.call(
                    microkernel, of_row, slab + pixel, table + k * 2, (count - k).minimum(STRETCH), tile,
                    (c0 + k).equals(0), row_bytes, present, *where,
                )  # fmt: skip
        with code.when(code.both(last, code.builder.not_(straight))):
            code.call(
                epilogue, job.words, tile, target, bias, row, present, pixel, wide, line0, column0
            )  # fmt: skip
    code.done()
    return code.function


def _define_prefetch(kernel: DirectKernel, module: ir.Module, numbers: Numbers) -> ir.Function:
    """Ask for the lines of a tile's results, and for its part of what the next tile of pixels reads.

    A function, so that nothing of it is computed where operands are near. Arguments: slab (at the first
    pixel), table of products, their number, number of the tile among those above each other, how many these
    are, results of the first row, elements from one row of them to the next.
    """
    code = define(module, "prefetch", [POINTER] * 2 + [I64] * 3 + [POINTER, I64])
    slab, table = code.pointer(0, numbers.computed), code.pointer(1, I64)
    count, number, tiles, step = (code.argument(n) for n in (2, 3, 4, 6))
    results = code.pointer(5, numbers.stored)
    width = kernel.vectors * numbers.lanes
    for r in range(kernel.rows):
        for at in range(0, width * numbers.element.item_bytes, LINE_BYTES):
            code.prefetch((results + step * r).moved_bytes(at), writes=True)
    with code.loop(number, count, tiles) as k:
        following = slab.moved_bytes(table.read_index(k * 2 + 1)) + width
        for at in range(0, width * numbers.computed_bytes, LINE_BYTES):
            code.prefetch(following.moved_bytes(at))
    code.done()
    return code.function


def _read_biases(
    numbers: Numbers, code: Code, job: Job, arguments: Arguments, biases: Pointer, at: _Place
) -> None:
    """The biases of the rows of a task, one after another; zeros where there are none."""
    bias = arguments.bias.of(numbers.stored)
    first = at.group * job[Word.M] + at.row0
    with code.either(job[Word.HAS_BIAS].equals(1)) as (given, absent):
        with given, code.loop(0, at.rows_end - at.row0) as r:
            biases.store(numbers.load(code, bias, channel_offset(numbers, first + r, job[Word.BIAS_C])), r)
        with absent:
            code.fill_zero(biases, at.rows_end - at.row0)


def _results(
    numbers: Numbers, job: Job, target: Pointer, line0: Int, column0: Int, pixel: Int, wide: Int
) -> tuple[Pointer, ir.Value]:
    """Where the results of a tile begin, and whether its pixels lie side by side there."""
    code = job.code
    line = pixel // job[Word.PERIOD]
    column = pixel - line * job[Word.PERIOD]
    straight = code.both(job[Word.TARGET_W].equals(1), column + wide <= job[Word.RUN])
    if not numbers.target.masks:
        straight = code.both(straight, (wide % numbers.lanes).equals(0))
    return target + ((line0 + line) * job[Word.TARGET_H] + column0 + column), straight


def _in_place(kernel: DirectKernel, code: Code, numbers: Numbers, job: Job, at: _Place) -> ir.Value:
    """Whether this block's pixels are read where they lie: none to convert, turn, pad or leave over."""
    if kernel.source_interleaved or numbers.stored != numbers.computed or kernel.element.parts > 1:
        return I1(0)
    whole = (at.columns % numbers.lanes).equals(0)
    return code.both(job[Word.IN_PLACE].equals(1), whole)


def _gather(
    code: Code,
    job: Job,
    pack_slab: ir.Function,
    slab: Pointer,
    source: Pointer,
    scratch: Pointer,
    at: _Place,
    c0: Int,
    present: Int,
) -> None:
    """Write the slab of all images of a task."""
    with code.loop(0, at.images) as image, code.loop(0, job[Word.PACKS]) as pack:
        place = pack * job[Word.COLUMN_TAPS] * job[Word.PLANE] + image * job[Word.IMAGE_PITCH]
        code.call(
            pack_slab, job.table, job.words, slab + place, source + image * job[Word.SOURCE_N],
            c0, present, at.line0, at.column0, at.columns + job[Word.EXTRA_COLUMNS],
            job[Word.SLOT_TABLE] + pack * job[Word.SLOTS], scratch.moved_bytes(job[Word.ROWS_AT]),
        )  # fmt: skip


def _write_table(
    kernel: DirectKernel, code: Code, job: Job, scratch: Pointer, channels: Int, in_place: ir.Value
) -> Int:
    """List (weight, slab) byte offsets of every product, unless the list of the last block serves.

    Returns the number of pairs.
    """
    item = kernel.element.compute_bytes
    products = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    made_for = [
        Int(code, code.builder.ptrtoint(job.words.raw, I64)),
        code.select(in_place, -1 - channels, channels),
    ]
    same = code.both(*(scratch.read_index(n).equals(part) for n, part in enumerate(made_for)))
    with code.when(code.builder.not_(same)):
        for n, part in enumerate(made_for):
            scratch.store(part.value, n)
        table = scratch + TABLE_HEADER
        places = job.table + job[Word.WEIGHT_TAP_TABLE]
        across = code.select(in_place, job[Word.SOURCE_C], job[Word.PLANES] * job[Word.PLANE])
        with code.loop(0, channels) as c, code.loop(0, products) as t:
            number = c * products + t
            weight = number * kernel.rows
            if not kernel.packs_weights:
                weight = c * job[Word.WEIGHT_C] + places.read_index(t)
            place = c * across + job.table.read_index(job[Word.PLACE_TABLE] + t)
            table.store((weight * item).value, number * 2)
            table.store((place * item).value, number * 2 + 1)
    return channels * products


@dataclass(frozen=True)
class _Place:
    """What a task computes: an image, a group, rows of the product and a block of pixels."""

    image: Int
    images: Int
    group: Int
    row0: Int
    rows_end: Int
    line0: Int
    column0: Int
    lines: Int
    columns: Int
    pixels: Int

    @staticmethod
    def of(job: Job, task: Int) -> _Place:
        """The task of a number: rows of the product vary fastest, then blocks, groups and images."""
        m_block = task % job[Word.M_BLOCKS]
        task = task // job[Word.M_BLOCKS]
        block = task % job[Word.BLOCKS]
        task = task // job[Word.BLOCKS]
        line0 = (block // job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_H]
        column0 = (block % job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_W]
        columns = (job[Word.GRID_W] - column0).minimum(job[Word.BLOCK_W])
        lines = (job[Word.GRID_H] - line0).minimum(job[Word.BLOCK_H])
        row0 = m_block * job[Word.M_BLOCK]
        image = (task // job[Word.GROUPS]) * job[Word.IMAGES_A_TASK]
        images = (job[Word.IMAGES] - image).minimum(job[Word.IMAGES_A_TASK])
        return _Place(
            image=image,
            images=images,
            group=task % job[Word.GROUPS],
            row0=row0,
            rows_end=(row0 + job[Word.M_BLOCK]).minimum(job[Word.M]),
            line0=line0,
            column0=column0,
            lines=lines,
            columns=columns,
            pixels=(images - 1) * job[Word.IMAGE_PITCH] + (lines - 1) * job[Word.PITCH] + columns,
        )
