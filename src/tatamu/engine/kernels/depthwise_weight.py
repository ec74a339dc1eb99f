"""Grad weight of depthwise layers: the lanes of a register are channels of the input.

grad_weight[tap][lane] = sum over pixels of grad_output[pixel][lane] * slab[pixel * stride + tap][lane]

Where groups have several channels, so it is for each channel of grad output: its lanes are put in the order
in which they meet those of the input.
"""

from __future__ import annotations

from llvmlite import ir

from tatamu.engine.kernels.channel_slab import block_pitch, define_pack_channels, pack_registers
from tatamu.engine.kernels.channel_store import define_store_planes
from tatamu.engine.kernels.depthwise_weight_tile import Tiles
from tatamu.engine.kernels.descriptions import DepthwiseWeightKernel
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.ir import Code, Int, Pointer, Variable
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.target import Target


def build(kernel: DepthwiseWeightKernel, target: Target) -> ir.Module:
    """The kernel as IR: parts of the pixels are summed, then the parts."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target)
    summing, adding = _sum_part(kernel, module, numbers), _add_parts(module, numbers)
    define_entry(module, kernel.name(target), adding, summing)
    return module


def _sum_part(kernel: DepthwiseWeightKernel, module: ir.Module, numbers: Numbers) -> Task:
    """Each task sums one part of the pixels for some registers of channels."""
    packers = {flag: define_pack_channels(module, numbers, flag) for flag in {*kernel.interleaved}}
    tiles = Tiles(kernel, module, numbers)
    lanes = numbers.lanes

    def task(
        code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        part, first = task % job[Word.PARTS], task // job[Word.PARTS] * job[Word.M_BLOCK]
        registers = (job[Word.REGISTERS] - first).minimum(job[Word.M_BLOCK])
        slab = scratch.moved_bytes(job[Word.SLAB_AT]).of(numbers.computed)
        panel = scratch.moved_bytes(job[Word.PANEL_AT]).of(numbers.computed)
        size = job[Word.PACKED_TAPS] * lanes
        sums = shared.of(numbers.computed) + (part * job[Word.REGISTERS] + first) * size
        code.fill_zero(sums, registers * size)
        # Grad output is gathered as the source is, by the words of the record that follows.
        second = Job(code, job.table, job.words + int(Word.LENGTH))
        blocks = job[Word.BLOCKS]
        begin = part * job[Word.BLOCKS_A_PART]
        end = (begin + job[Word.BLOCKS_A_PART]).minimum(job[Word.IMAGES] * blocks)
        with code.loop(begin, end) as number:
            image, block = number // blocks, number % blocks
            line0 = block // job[Word.COLUMN_BLOCKS] * job[Word.BLOCK_H]
            column0 = block % job[Word.COLUMN_BLOCKS] * job[Word.BLOCK_W]
            lines = (job[Word.GRID_H] - line0).minimum(job[Word.BLOCK_H])
            width = (job[Word.GRID_W] - column0).minimum(job[Word.BLOCK_W])
            rows = (lines - 1) * job[Word.STRIDE_H] + job[Word.SPAN_H]
            columns = (width - 1) * job[Word.STRIDE_W] + job[Word.SPAN_W]
            source_grid = (line0 * job[Word.STRIDE_H], column0 * job[Word.STRIDE_W], rows, columns)
            for words, operand, interleaved, room, grid in (
                (job, arguments.source, kernel.interleaved[0], slab, source_grid),
                (second, arguments.second, kernel.interleaved[1], panel, (line0, column0, lines, width)),
            ):
                channel = first * words[Word.SOURCE_LANES]
                present = (words[Word.CHANNELS] - channel).minimum(registers * words[Word.SOURCE_LANES])
                at = operand.of(numbers.stored) + (
                    image * words[Word.SOURCE_N] + channel * words[Word.SOURCE_C]
                )
                pack_registers(code, numbers, packers[interleaved], words, room, at, present, grid)
            stretch = job[Word.STRETCH_ROWS]
            with code.loop(0, registers) as register, code.loop(0, lines, stretch) as line:
                tiles.accumulate(
                    code, job,
                    slab + (register * block_pitch(rows, columns, lanes)
                            + line * job[Word.STRIDE_H] * columns * lanes),
                    panel + (register * block_pitch(lines, width, lanes) + line * width * lanes),
                    sums + register * size, (lines - line).minimum(stretch), width, columns,
                )  # fmt: skip

    return task


def _add_parts(module: ir.Module, numbers: Numbers) -> Task:
    """Each task adds the parts of a register of channels, in order, and writes the results."""
    store = define_store_planes(module, numbers)
    lanes = numbers.lanes

    def task(
        code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        sums = scratch.moved_bytes(job[Word.TILES_AT]).of(numbers.computed)
        size, run = job[Word.PACKED_TAPS] * lanes, job[Word.WEIGHT_RUN]
        parts = shared.of(numbers.computed) + task * size
        with code.loop(0, size, lanes) as x:
            total = Variable(code, parts.load(x, lanes))
            with code.loop(1, job[Word.PARTS]) as part:
                total.set(code.add(total.get(), parts.load(part * job[Word.REGISTERS] * size + x, lanes)))
            sums.store(total.get(), x)
        result = arguments.target.of(numbers.stored) + task * job[Word.WEIGHT_BLOCK]
        present = (job[Word.CHANNELS] - task * job[Word.SOURCE_LANES]).minimum(job[Word.SOURCE_LANES])
        with code.loop(0, job[Word.PACKED_TAPS], run) as first:
            place = result + job.table.read_index(job[Word.WEIGHT_TAP_TABLE] + first // run)
            # A single weight of each lane is not worth turning a block.
            step = code.select(run.equals(1), 0, 1)
            code.call(
                store, sums + first * lanes, place, job.table + job[Word.WEIGHT_LANE_TABLE], present,
                code.index(1), run, code.index(0), step,
            )  # fmt: skip

    return task
