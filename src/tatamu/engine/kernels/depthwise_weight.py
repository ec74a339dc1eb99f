"""Grad weight of depthwise layers: the lanes of a register are channels of the input.

grad_weight[tap][lane] = sum over pixels of grad_output[pixel][lane] * slab[pixel * stride + tap][lane]

Where groups have several channels, so it is for each channel of grad output: its lanes are put in the order
in which they meet those of the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ahead import AheadList
from tatamu.engine.kernels.channel_slab import block_pitch, define_pack_channels, pack_registers
from tatamu.engine.kernels.channel_store import define_store_planes
from tatamu.engine.kernels.depthwise_weight_tile import Grads, Tiles
from tatamu.engine.kernels.descriptions import DepthwiseWeightKernel
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.ir import I64, Code, Int, Pointer, Variable
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.pixel_table import define_write_pixel_table
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
    gather = _read_in_place(module, numbers) if kernel.in_place else _pack(kernel, module, numbers)
    tiles = Tiles(kernel, module, numbers)
    lanes = numbers.lanes

    def task(
        code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        part, first = task % job[Word.PARTS], task // job[Word.PARTS] * job[Word.M_BLOCK]
        registers = (job[Word.REGISTERS] - first).minimum(job[Word.M_BLOCK])
        size = job[Word.PACKED_TAPS] * lanes
        sums = shared.of(numbers.computed) + (part * job[Word.REGISTERS] + first) * size
        code.fill_zero(sums, registers * size)
        blocks = job[Word.BLOCKS]
        begin = part * job[Word.BLOCKS_A_PART]
        end = (begin + job[Word.BLOCKS_A_PART]).minimum(job[Word.IMAGES] * blocks)
        ahead = scratch.moved_bytes(job[Word.AHEAD_AT]).of(I64) if kernel.in_place else None
        with code.loop(begin, end) as number:
            image, block = number // blocks, number % blocks
            line0 = block // job[Word.COLUMN_BLOCKS] * job[Word.BLOCK_H]
            column0 = block % job[Word.COLUMN_BLOCKS] * job[Word.BLOCK_W]
            lines = (job[Word.GRID_H] - line0).minimum(job[Word.BLOCK_H])
            width = (job[Word.GRID_W] - column0).minimum(job[Word.BLOCK_W])
            rows = (lines - 1) * job[Word.STRIDE_H] + job[Word.SPAN_H]
            columns = (width - 1) * job[Word.STRIDE_W] + job[Word.SPAN_W]
            source_grid = (line0 * job[Word.STRIDE_H], column0 * job[Word.STRIDE_W], rows, columns)
            at = _Block(image, first, registers, (line0, column0, lines, width), source_grid)
            slab, pitch, grads, grads_pitch = gather(code, job, arguments, scratch, at)
            if ahead is not None:
                _list_ahead(code, numbers, job, arguments, ahead, number + 1, end)
            stretch = job[Word.STRETCH_ROWS]
            with code.loop(0, registers) as register, code.loop(0, lines, stretch) as line:
                begins = slab.moved_bytes(line * job[Word.STRIDE_H] * columns * tiles.entry_bytes)
                tiles.accumulate(
                    code, job, begins.moved_bytes(register * pitch),
                    replace(grads, first=grads.first.moved_bytes(register * grads_pitch + line * grads.line)),
                    sums + register * size, (lines - line).minimum(stretch), width, columns,
                    register * numbers.target.vector_bytes, ahead,
                )  # fmt: skip

    return task


@dataclass(frozen=True)
class _Block:
    """Some registers of channels of a rectangle of grad output, and what they read of the padded source.

    The grids are first row and column, rows and columns.
    """

    image: Int
    first: Int
    registers: Int
    grads: tuple[Int, Int, Int, Int]
    source: tuple[Int, Int, Int, Int]


_Gather = Callable[[Code, Job, Arguments, Pointer, _Block], tuple[Pointer, Int, Grads, Int]]
"""Makes the slab and the grads of a block: each, and bytes from one register to the next."""


def _pack(kernel: DepthwiseWeightKernel, module: ir.Module, numbers: Numbers) -> _Gather:
    """Both are copied, a register after the other."""
    packers = {flag: define_pack_channels(module, numbers, flag) for flag in {*kernel.interleaved}}
    lanes, register = numbers.lanes, numbers.target.vector_bytes

    def gather(
        code: Code, job: Job, arguments: Arguments, scratch: Pointer, at: _Block
    ) -> tuple[Pointer, Int, Grads, Int]:
        slab, panel = (
            scratch.moved_bytes(job[word]).of(numbers.computed) for word in (Word.SLAB_AT, Word.PANEL_AT)
        )
        for words, operand, interleaved, room, grid in (
            (job, arguments.source, kernel.interleaved[0], slab, at.source),
            (_second(code, job), arguments.second, kernel.interleaved[1], panel, at.grads),
        ):
            channel = at.first * words[Word.SOURCE_LANES]
            present = (words[Word.CHANNELS] - channel).minimum(at.registers * words[Word.SOURCE_LANES])
            place = operand.of(numbers.stored) + (
                at.image * words[Word.SOURCE_N] + channel * words[Word.SOURCE_C]
            )
            pack_registers(code, numbers, packers[interleaved], words, room, place, present, grid)
        pitch, grads_pitch = (
            block_pitch(grid[2], grid[3], lanes) * numbers.element.compute_bytes
            for grid in (at.source, at.grads)
        )
        return slab, pitch, Grads(panel, at.grads[3] * register, code.index(register)), grads_pitch

    return gather


def _read_in_place(module: ir.Module, numbers: Numbers) -> _Gather:
    """The slab is a table of the addresses of pixels; a register is further behind each of them."""
    item, register = numbers.element.compute_bytes, numbers.target.vector_bytes
    write_table = define_write_pixel_table(module, item)

    def gather(
        code: Code, job: Job, arguments: Arguments, scratch: Pointer, at: _Block
    ) -> tuple[Pointer, Int, Grads, Int]:
        table, zeros = (
            scratch.moved_bytes(job[word]).of(numbers.computed) for word in (Word.SLAB_AT, Word.PANEL_AT)
        )
        second, channel = _second(code, job), at.first * numbers.lanes
        code.fill_zero(zeros, at.registers * numbers.lanes)
        source = arguments.source.of(numbers.stored) + (at.image * job[Word.SOURCE_N] + channel)
        code.call(write_table, job.table, job.words, table, source, zeros, *at.source, code.index(0))
        line0, column0, *_ = at.grads
        grads = arguments.second.of(numbers.stored) + (at.image * second[Word.SOURCE_N] + channel)
        grads = grads + (line0 * second[Word.SOURCE_H] + column0 * second[Word.SOURCE_W])
        steps = (second[word] * item for word in (Word.SOURCE_H, Word.SOURCE_W))
        return table, code.index(0), Grads(grads, *steps), code.index(register)

    return gather


def _list_ahead(
    code: Code, numbers: Numbers, job: Job, arguments: Arguments, words: Pointer, number: Int, end: Int
) -> None:
    """List what the block of a number is to read, if there is one: whole lines of both operands."""
    listed, item = AheadList(code, words), numbers.element.compute_bytes
    with code.when(code.both(number < end, job[Word.AHEAD].equals(1))):
        blocks = job[Word.BLOCKS]
        image, line0 = number // blocks, number % blocks // job[Word.COLUMN_BLOCKS] * job[Word.BLOCK_H]
        lines = (job[Word.GRID_H] - line0).minimum(job[Word.BLOCK_H])
        # What is there of the last block is there already.
        top = (line0 * job[Word.STRIDE_H] - job[Word.ROW_BEFORE]).maximum(0)
        bottom = (line0 + lines) * job[Word.STRIDE_H] + job[Word.SPAN_H] - job[Word.ROW_BEFORE]
        for words_, operand, row, rows in (
            (job, arguments.source, top, (bottom.minimum(job[Word.HEIGHT]) - top).maximum(1)),
            (_second(code, job), arguments.second, line0, lines),
        ):
            place = operand.of(numbers.stored) + (image * words_[Word.SOURCE_N] + row * words_[Word.SOURCE_H])
            listed.run(place, rows * words_[Word.SOURCE_H] * item)
    listed.close()


def _second(code: Code, job: Job) -> Job:
    """Grad output is gathered as the source is, by the words of the record that follows."""
    return Job(code, job.table, job.words + int(Word.LENGTH))


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
