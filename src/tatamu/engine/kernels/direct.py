"""Direct convolution (implicit GEMM): forward, and each stride phase of grad input.

results[m][pixel] = sum over (channel, tap) of weight[m][channel, tap] * slab[channel, tap][pixel]
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from tatamu.engine.kernels.descriptions import STRETCH, DirectKernel
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.epilogue import define_epilogue
from tatamu.engine.kernels.ir import I1, I64, Code, Int, Pointer
from tatamu.engine.kernels.job import TABLE_HEADER, Word
from tatamu.engine.kernels.microkernel import define_table_microkernel
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job, channel_offset, define_pack_weights
from tatamu.engine.kernels.slab import define_pack_slab
from tatamu.engine.target import Target


def build(kernel: DirectKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target)
    pack = _pack_task(kernel, module, numbers) if kernel.packs_weights else None
    define_entry(module, kernel.name(target), _task(kernel, module, numbers), pack)
    return module


def _pack_task(kernel: DirectKernel, module: ir.Module, numbers: Numbers) -> Task:
    pack_weights = define_pack_weights(module, numbers, kernel.rows)

    def pack(code: Code, job: Job, arguments: Arguments, shared: Pointer, _: Pointer, task: Int) -> None:
        panels = (job[Word.M] + (kernel.rows - 1)) // kernel.rows
        group, panel = task // panels, task % panels
        at = shared.of(numbers.computed) + task * _panel_size(kernel, job)
        weight = arguments.second.of(numbers.stored) + group * job[Word.WEIGHT_G]
        code.call(pack_weights, job.table, job.words, at, weight, panel * kernel.rows)

    return pack


def _panel_size(kernel: DirectKernel, job: Job) -> Int:
    return job[Word.CHANNELS] * job[Word.PACKED_TAPS] * kernel.rows


def _task(kernel: DirectKernel, module: ir.Module, numbers: Numbers) -> Task:
    width = kernel.vectors * numbers.lanes
    multiply = [
        define_table_microkernel(module, numbers, kernel.rows, v, width, packed=kernel.packs_weights)
        for v in range(1, kernel.vectors + 1)
    ]
    pack_slab = define_pack_slab(module, numbers, kernel.source_interleaved)
    epilogue = define_epilogue(module, numbers, kernel.rows, width, kernel.target_interleaved)
    item = numbers.element.compute_bytes

    def task(
        code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        at = _Place.of(job, task)
        source = arguments.source.of(numbers.stored) + (
            at.image * job[Word.SOURCE_N] + at.group * job[Word.SOURCE_G]
        )
        target = arguments.target.of(numbers.stored) + (
            at.image * job[Word.TARGET_N] + at.group * job[Word.TARGET_G] + job[Word.TARGET_BASE]
        )
        first_bias = channel_offset(numbers, at.group * job[Word.M], job[Word.BIAS_C])
        bias = arguments.bias.of(numbers.stored) + first_bias
        row_bytes = job[Word.WEIGHT_M] * item
        table = scratch.of(I64) + TABLE_HEADER
        gathered = scratch.moved_bytes(job[Word.SLAB_AT]).of(numbers.computed)
        tiles = scratch.moved_bytes(job[Word.TILES_AT]).of(numbers.computed)
        channels, channel_block = job[Word.CHANNELS], job[Word.CHANNEL_BLOCK]
        single = channels <= channel_block
        tile_rows = (at.rows_end - at.row0 + (kernel.rows - 1)) // kernel.rows
        in_place = _in_place(kernel, code, numbers, job, at)
        with code.loop(0, channels, channel_block) as c0:
            present = (channels - c0).minimum(channel_block)
            there = source.of(numbers.computed) + (at.column0 + c0 * job[Word.SOURCE_C])
            slab = Pointer(code, code.builder.select(in_place, there.raw, gathered.raw), numbers.computed)
            with code.when(code.builder.not_(in_place)):
                _gather(code, job, pack_slab, gathered, source, scratch, at, c0, present)
            count = _write_table(kernel, code, job, scratch.of(I64), present, in_place, item)
            last = c0 + channel_block >= channels
            first = code.select(c0.equals(0), 1, 0)
            with code.loop(0, tile_rows) as r:
                row = at.row0 + r * kernel.rows
                present_rows = (at.rows_end - row).minimum(kernel.rows)
                weights = _weights(kernel, numbers, job, arguments, shared, at.group, row, c0)
                with code.loop(0, at.pixels, width) as pixel:
                    wide = (at.pixels - pixel).minimum(width)
                    registers = (wide + (numbers.lanes - 1)) // numbers.lanes
                    number = code.select(single, 0, (pixel // width) * tile_rows + r)
                    tile = tiles + number * (kernel.rows * width)
                    for v, microkernel in enumerate(multiply, 1):
                        with (
                            code.when(registers.equals(v)),
                            code.loop(0, count.maximum(1), STRETCH) as k,
                        ):
                            begin = code.select(k > 0, 0, first)
                            stretch = (count - k).minimum(STRETCH)
                            code.call(
                                microkernel, weights, slab + pixel, table + k * 2, stretch, tile, begin,
                                row_bytes, present_rows,
                            )  # fmt: skip
                    with code.when(last):
                        code.call(
                            epilogue, job.words, tile, target, bias, row, present_rows, pixel, wide,
                            at.line0, at.column0,
                        )  # fmt: skip

    return task


def _weights(
    kernel: DirectKernel,
    numbers: Numbers,
    job: Job,
    arguments: Arguments,
    shared: Pointer,
    group: Int,
    row: Int,
    c0: Int,
) -> Pointer:
    """The weights of a tile row from channel ``c0`` on."""
    if not kernel.packs_weights:
        place = group * job[Word.WEIGHT_G] + row * job[Word.WEIGHT_M] + c0 * job[Word.WEIGHT_C]
        return arguments.second.of(numbers.computed) + place
    panels = (job[Word.M] + (kernel.rows - 1)) // kernel.rows
    panel = (group * panels + row // kernel.rows) * _panel_size(kernel, job)
    return shared.of(numbers.computed) + (panel + c0 * job[Word.PACKED_TAPS] * kernel.rows)


def _in_place(kernel: DirectKernel, code: Code, numbers: Numbers, job: Job, at: _Place) -> ir.Value:
    """Whether this block's pixels are read where they lie: none to convert, turn, pad or leave over."""
    if kernel.packs_weights or kernel.source_interleaved:
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
    kernel: DirectKernel, code: Code, job: Job, scratch: Pointer, channels: Int, in_place: ir.Value, item: int
) -> Int:
    """List (weight, slab) byte offsets of every product, unless the list of the last block serves.

    Returns the number of pairs.
    """
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
            tap = job.table.read_index(job[Word.TAP_TABLE] + t)
            if kernel.packs_weights:
                weight = (c * job[Word.PACKED_TAPS] + tap) * kernel.rows
            else:
                weight = c * job[Word.WEIGHT_C] + places.read_index(tap)
            place = c * across + job.table.read_index(job[Word.PLACE_TABLE] + t)
            number = (c * products + t) * 2
            table.store((weight * item).value, number)
            table.store((place * item).value, number + 1)
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
