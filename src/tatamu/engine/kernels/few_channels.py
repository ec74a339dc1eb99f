"""Direct convolution of a few channels that lie side by side, as scalars of a single one.

results[pixel][m] = sum over (tap, channel) of source[pixel + tap][channel] * panel[tap, channel][m]

It reads its operands as the planar kernel does, but so few products are summed and finished in registers at
once, and each pixel's results are written where its channels begin.
"""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.interleaved import read_biases, store_pixels
from tatamu.engine.kernels.ir import I8, I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.lane_descriptions import FewChannelsKernel
from tatamu.engine.kernels.microkernel import Sums
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.planar import (
    Pack,
    Place,
    define_list_places,
    gathered,
    pack_task,
    packed_of_group,
    store_progression,
    weight_packing,
)
from tatamu.engine.kernels.planes import define_pack_planes
from tatamu.engine.target import Target


def build(kernel: FewChannelsKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    module, numbers = module_for(target, kernel.ending), Numbers(kernel.element, target)
    pack = weight_packing(module, numbers)
    define_entry(module, kernel.name(target), _task(kernel, module, numbers, pack), pack_task(numbers, pack))
    return module


def _task(kernel: FewChannelsKernel, module: ir.Module, numbers: Numbers, pack: Pack) -> Task:
    lanes = numbers.lanes
    list_places, list_results = define_list_places(module, numbers), _define_list_results(module, numbers)
    pack_planes = define_pack_planes(module, numbers)
    multiply = {v: _define_multiply(kernel, module, numbers, v) for v in kernel.widths}

    def task(
        code: Code, job: Job, arguments: Arguments, packed: Pointer, scratch: Pointer, task: Int
    ) -> None:
        at = Place.of(job, task)
        source = arguments.source.of(numbers.stored) + at.image * job[Word.SOURCE_N]
        weight = arguments.second.of(numbers.stored)
        target = arguments.target.of(numbers.stored) + at.image * job[Word.TARGET_N]
        panels, slab, biases = (
            scratch.moved_bytes(job[word]).of(numbers.computed)
            for word in (Word.PANEL_AT, Word.SLAB_AT, Word.BIAS_AT)
        )
        products, shares = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS], job[Word.WEIGHT_PANEL] > 0
        width = job[Word.VECTORS] * lanes
        of_group = packed_of_group(job, packed.of(numbers.computed), at.group, lanes)
        panel_step = code.select(shares, job[Word.WEIGHT_PANEL], products * lanes)
        code.call(list_places, job.table, job.words, scratch, at.images, at.rows)
        code.call(list_results, job.words, scratch, target, at.images, at.row, at.rows)
        read_biases(numbers, code, job, arguments, biases, at.group * job[Word.M] + at.m0, at.m_end - at.m0)
        origin = gathered(numbers, job, pack_planes, at, source, slab, code.index(1))
        with code.loop(at.m0, at.m_end, width) as m:
            across = (at.m_end - m).minimum(width)
            registers = (across + (lanes - 1)) // lanes
            with code.when(code.builder.not_(shares)), code.loop(0, registers) as v:
                to, row = panels + v * panel_step, m + v * lanes
                pack(code, job, to, weight, row, code.index(0), code.index(1))
            common = of_group + (m // lanes) * job[Word.WEIGHT_PANEL]
            panel = Pointer(code, code.builder.select(shares, common.raw, panels.raw), numbers.computed)
            pixels, of_channels = at.images * at.rows * job[Word.GRID_W], biases + (m - at.m0)
            for number, microkernel in multiply.items():
                with code.when(registers.equals(number)):
                    code.call(microkernel, job.words, scratch, origin, panel, panel_step, pixels, of_channels,
                              m, across)  # fmt: skip

    return task


def _define_multiply(
    kernel: FewChannelsKernel, module: ir.Module, numbers: Numbers, vectors: int
) -> ir.Function:
    """Tiles of ``vectors`` registers of result channels, for all pixels of a task.

    Arguments: job, scratch, origin of the places, panel, elements from a register of it to the next, pixels,
    biases (from the first result channel on), first result channel, result channels.
    """
    code = define(module, f"multiply_{vectors}", [POINTER] * 4 + [I64] * 2 + [POINTER] + [I64] * 2)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    scratch, origin, panel = code.pointer(1, I8), *(code.pointer(n, numbers.computed) for n in (2, 3))
    panel_step, pixels, m, across = (code.argument(n) for n in (4, 5, 7, 8))
    biases, lanes = code.pointer(6, numbers.computed), numbers.lanes
    places, offsets, results = (
        scratch.moved_bytes(job[word]).of(I64) for word in (Word.ROWS_AT, Word.ADDRESSES_AT, Word.RESULTS_AT)
    )
    tile = scratch.moved_bytes(job[Word.TILES_AT]).of(numbers.computed)
    products = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    sums = Sums(code, numbers, kernel.rows, vectors, vectors * lanes)
    with code.loop(0, pixels, kernel.rows) as pixel:
        lines = [origin.moved_bytes(places.read_index(pixel + r)) for r in range(kernel.rows)]
        # A store waits for its line of memory, unless that was asked for while products are summed.
        for r in range(kernel.rows):
            written = Pointer(code, results.of(POINTER).load(pixel + r), numbers.stored) + m
            for v in range(vectors):
                code.prefetch(written + v * lanes, writes=True)
        with code.loop(0, products, STRETCH) as k0:
            end = (k0 + STRETCH).minimum(products)
            sums.clear()
            with code.loop(k0, end) as k:
                offset = offsets.read_index(k)
                sums.add_products([line.moved_bytes(offset) for line in lines], panel + k * lanes, panel_step)
            first = k0.equals(0)
            with code.either(end < products) as (waiting, done):
                with waiting:
                    sums.flush(tile, first)
                with done:
                    sums.add_tile(tile, first)
                    present = (pixels - pixel).minimum(kernel.rows)
                    store_pixels(sums, results.of(POINTER) + pixel, m, biases, present, across)
    code.done()
    return code.function


def _define_list_results(module: ir.Module, numbers: Numbers) -> ir.Function:
    """List where the channels of each result of a task begin; the last of them is repeated.

    Arguments: job, scratch, target (of the first image), images, first row, rows.
    """
    code = define(module, "list_results", [POINTER] * 3 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    results = code.pointer(1, I8).moved_bytes(job[Word.RESULTS_AT]).of(I64)
    target = code.pointer(2, numbers.stored)
    images, row0, rows = (code.argument(n) for n in range(3, 6))
    columns, step = job[Word.GRID_W], job[Word.TARGET_W] * numbers.element.item_bytes
    with code.loop(0, images) as image, code.loop(0, rows) as row:
        line = target + (image * job[Word.TARGET_N] + (row0 + row) * job[Word.TARGET_H])
        begin = Int(code, code.builder.ptrtoint(line.raw, I64))
        store_progression(code, results + (image * rows + row) * columns, begin, step, columns)
    pixels = images * rows * columns
    last = results.load(pixels - 1)
    with code.loop(pixels, pixels + job[Word.SPARE_ROWS]) as x:
        results.store(last, x)
    code.done()
    return code.function
