"""Direct convolution one tap at a time, where many taps see nothing but padding.

    of each tap: sums[pixel][m] += sum over channels of source[pixel + tap][channel] * panel[tap, channel][m]

The pixels of a tap are those that see the source through it, so padding costs nothing, wherever it begins;
and each weight is packed once for all pixels of an image. (Known as kn2row: A. Vasudevan et al., "Parallel
multi channel convolution using general matrix multiplication", 2017; here in blocks that stay in the cache.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.ir import I8, I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import LINE_BYTES, StreamTap, Word
from tatamu.engine.kernels.lane_descriptions import TAPWISE_ENTRY, TapwiseKernel
from tatamu.engine.kernels.microkernel import Sums
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.pixel_rows import define_pack_pixels
from tatamu.engine.kernels.planar import Pack, weight_packing
from tatamu.engine.kernels.planar_store import define_store_channels
from tatamu.engine.target import Target


def build(kernel: TapwiseKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    module, numbers = module_for(target, kernel.ending), Numbers(kernel.element, target)
    pack = weight_packing(module, numbers)
    define_entry(module, kernel.name(target), _task(kernel, module, numbers, pack))
    return module


def _task(kernel: TapwiseKernel, module: ir.Module, numbers: Numbers, pack: Pack) -> Task:
    """A task is an image, a group and some of its result channels."""
    lanes = numbers.lanes
    list_pixels = _define_list_pixels(kernel, module, numbers)
    pack_pixels = define_pack_pixels(module, numbers, kernel.source_interleaved)
    multiply = [_define_multiply(kernel, module, numbers, v) for v in range(1, kernel.vectors + 1)]
    store = define_store_channels(module, numbers)

    def upcoming(code: Code, job: Job, source: Pointer, c0: Int, m: Int) -> tuple[Pointer, Int]:
        """Where the channels begin that are gathered next, and how many bytes a pixel's are."""
        after = c0 + job[Word.CHANNEL_BLOCK]
        count = (job[Word.CHANNELS] - after).maximum(0).minimum(job[Word.CHANNEL_BLOCK])
        return source + after * job[Word.SOURCE_C], code.select(
            m.equals(0), count * numbers.element.item_bytes, 0
        )

    def task(code: Code, job: Job, arguments: Arguments, _: Pointer, scratch: Pointer, task: Int) -> None:
        width, taps = job[Word.VECTORS] * lanes, job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
        m0, task = (task % job[Word.M_BLOCKS]) * job[Word.M_BLOCK], task // job[Word.M_BLOCKS]
        group, image = task % job[Word.GROUPS], task // job[Word.GROUPS]
        block = (job[Word.M] - m0).minimum(job[Word.M_BLOCK])
        source = arguments.source.of(numbers.stored)
        source = source + (group * job[Word.SOURCE_G] + image * job[Word.SOURCE_N])
        target = arguments.target.of(numbers.stored)
        target = target + (group * job[Word.TARGET_G] + image * job[Word.TARGET_N])
        weight = arguments.second.of(numbers.stored) + group * job[Word.WEIGHT_G]
        bias = arguments.bias.of(numbers.stored) + group * job[Word.M] * job[Word.BIAS_C]
        panels, slab, tiles = (
            scratch.moved_bytes(job[word]).of(numbers.computed)
            for word in (Word.PANEL_AT, Word.SLAB_AT, Word.TILES_AT)
        )
        code.call(list_pixels, job.table, job.words, scratch)
        code.fill_zero(tiles, (block + (lanes - 1)) // lanes * lanes * job[Word.TILE_PITCH])
        with code.loop(0, job[Word.CHANNELS], job[Word.CHANNEL_BLOCK]) as c0:
            channels = (job[Word.CHANNELS] - c0).minimum(job[Word.CHANNEL_BLOCK])
            panel_step = channels * taps * lanes
            code.call(pack_pixels, job.words, slab, source + c0 * job[Word.SOURCE_C], channels)
            with code.loop(0, block, width) as m:
                registers = ((block - m).minimum(width) + (lanes - 1)) // lanes
                with code.loop(0, registers) as v:
                    pack(code, job, panels + v * panel_step, weight, m0 + m + v * lanes, c0, channels)
                for number, microkernel in enumerate(multiply, 1):
                    with code.when(registers.equals(number)):
                        of_rows = tiles + m * job[Word.TILE_PITCH]
                        ahead = upcoming(code, job, source, c0, m)
                        code.call(microkernel, job.table, job.words, scratch, of_rows, channels, *ahead)
        pixels = job[Word.GRID_H] * job[Word.GRID_W]
        none = code.index(0)
        code.call(store, job.words, tiles, target, bias, m0, block, none, pixels, none, job[Word.GRID_H])

    return task


def _define_multiply(kernel: TapwiseKernel, module: ir.Module, numbers: Numbers, vectors: int) -> ir.Function:
    """Add the products of some channels to the sums of all pixels: tap after tap.

    Arguments: table, job, scratch, tiles ``[register][pixel][lane]``, channels; the channels of the source
    that come next, and how many bytes a pixel's are.
    """
    code = define(module, f"multiply_{vectors}", [POINTER] * 4 + [I64, POINTER, I64])
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    scratch, tiles, channels = code.pointer(2, I8), code.pointer(3, numbers.computed), code.argument(4)
    panels, slab = (
        scratch.moved_bytes(job[word]).of(numbers.computed) for word in (Word.PANEL_AT, Word.SLAB_AT)
    )
    lanes, taps = numbers.lanes, job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    step = taps * lanes
    panel_step = step * channels
    # The tap in the middle sees the most pixels.
    middle, ahead, bytes_ahead = taps // 2, code.pointer(5, numbers.stored), code.argument(6)
    sums = Sums(code, numbers, kernel.rows, vectors, lanes, job[Word.TILE_PITCH] * lanes)
    with _taps(kernel, job, scratch) as (tap, _, listed, count):
        panel = panels + tap * lanes
        with code.loop(0, count, kernel.rows) as pixel:
            pairs = [listed + (pixel + r) * TAPWISE_ENTRY for r in range(kernel.rows)]
            lines = [slab.moved_bytes(pair.read_index()) for pair in pairs]
            if kernel.source_interleaved:
                # The few channels of a pixel lie far from those of the next: nothing else foresees them.
                with code.loop(0, code.select(tap.equals(middle), bytes_ahead, 0), LINE_BYTES) as line:
                    for pair in pairs:
                        code.prefetch(ahead.moved_bytes(pair.read_index(2) + line))
            sums.clear()
            with code.loop(0, channels) as c:
                sums.add_products([line + c for line in lines], panel + c * step, panel_step)
            sums.add_to([tiles.moved_bytes(pair.read_index(1)) for pair in pairs])
    code.done()
    return code.function


@contextmanager
def _taps(kernel: TapwiseKernel, job: Job, scratch: Pointer) -> Iterator[tuple[Int, Pointer, Pointer, Int]]:
    """Loop over the taps. Gives the tap, its entry, its list of pixels and their number."""
    code = job.code
    lists = scratch.moved_bytes(job[Word.ADDRESSES_AT]).of(I64)
    begin = code.variable(0)
    with code.loop(0, job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]) as tap:
        entry = job.table + (job[Word.STREAM_TABLE] + tap * StreamTap.LENGTH)
        rows = entry.read_index(StreamTap.BOTTOM) - entry.read_index(StreamTap.TOP)
        count = rows * (entry.read_index(StreamTap.RIGHT) - entry.read_index(StreamTap.LEFT))
        yield tap, entry, lists + begin.now, count
        whole = (count + (kernel.rows - 1)) // kernel.rows * kernel.rows
        begin.become(begin.now + whole * TAPWISE_ENTRY)


def _define_list_pixels(kernel: TapwiseKernel, module: ir.Module, numbers: Numbers) -> ir.Function:
    """List, for each tap, the pixels that see the source through it: where their channels and sums begin.

    Arguments: table, job, scratch. Lists are filled up to whole register tiles with a pixel whose sums no
    result is read from.
    """
    code = define(module, "list_pixels", [POINTER] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    scratch = code.pointer(2, I8)
    pixel_bytes, sum_bytes = job[Word.PITCH] * numbers.computed_bytes, numbers.target.vector_bytes
    grid_w, columns = job[Word.GRID_W], job[Word.SLAB_COLUMNS]
    source_bytes = job[Word.SOURCE_W] * numbers.element.item_bytes

    def add(listed: Pointer, number: Int, source: Int, pixel: Int) -> None:
        listed.store((source * pixel_bytes).value, number * TAPWISE_ENTRY)
        listed.store((pixel * sum_bytes).value, number * TAPWISE_ENTRY + 1)
        listed.store((source * source_bytes).value, number * TAPWISE_ENTRY + 2)

    with _taps(kernel, job, scratch) as (_, entry, listed, count):
        top, left, right = (
            entry.read_index(word) for word in (StreamTap.TOP, StreamTap.LEFT, StreamTap.RIGHT)
        )
        run = right - left
        with code.loop(top, entry.read_index(StreamTap.BOTTOM)) as y:
            line = y * job[Word.STRIDE_H] * columns + entry.read_index(StreamTap.SHIFT)
            with code.loop(left, right) as x:
                add(listed, (y - top) * run + x - left, line + x * job[Word.STRIDE_W], y * grid_w + x)
        whole = (count + (kernel.rows - 1)) // kernel.rows * kernel.rows
        with code.loop(count, whole) as number:
            add(listed, number, code.index(0), job[Word.GRID_H] * grid_w)
    code.done()
    return code.function
