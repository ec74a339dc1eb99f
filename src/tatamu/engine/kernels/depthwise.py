"""Depthwise convolution, forward and grad input: the lanes of a register are channels.

result[pixel][lane] = bias[lane] + sum over taps of weight[tap][lane] * slab[pixel * stride + tap][lane]

Where groups have several channels, a register holds those of several groups, and the sum is over the channels
of a group too: for each of them, the lanes of the slab are put in its order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.channel_slab import block_pitch, define_pack_channels, pack_registers
from tatamu.engine.kernels.channel_store import define_store_planes
from tatamu.engine.kernels.depthwise_line import Line, define_multiply_line, entry_bytes
from tatamu.engine.kernels.descriptions import DepthwiseKernel, depthwise_tiles
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.ir import Code, Int, Pointer
from tatamu.engine.kernels.job import TapPhase, Word
from tatamu.engine.kernels.lane_panel import define_pack_lanes
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.pixel_table import define_write_pixel_table
from tatamu.engine.target import Target


def build(kernel: DepthwiseKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target, kernel.ending)
    main = _task(kernel, module, numbers)
    define_entry(module, kernel.name(target), main, _pack_task(module, numbers))
    return module


def _panel_items(job: Job, lanes: int) -> Int:
    """Of one register of channels: the bias, then the weights, tap by tap in their own order."""
    return (job[Word.PACKED_TAPS] + 1) * lanes


def _pack_task(module: ir.Module, numbers: Numbers) -> Task:
    """Each task writes the panel of a register of channels: ``bias[lane]``, then ``weight[lane][tap]``."""
    pack_lanes = define_pack_lanes(module, numbers)

    def pack(code: Code, job: Job, arguments: Arguments, shared: Pointer, _: Pointer, task: Int) -> None:
        c0 = task * job[Word.RESULT_LANES]
        panel = shared.of(numbers.computed) + task * _panel_items(job, numbers.lanes)
        bias = arguments.bias.of(numbers.stored) + c0 * job[Word.BIAS_C]
        present = (job[Word.M] - c0).minimum(job[Word.RESULT_LANES])
        panel.store(code.zero(numbers.vector))
        with code.when(job[Word.HAS_BIAS].equals(1)), code.loop(0, present) as lane:
            panel.store(numbers.load(code, bias, lane * job[Word.BIAS_C]), lane)
        weight = arguments.second.of(numbers.stored) + task * job[Word.WEIGHT_BLOCK]
        code.call(pack_lanes, job.table, job.words, panel + numbers.lanes, weight, present)

    return pack


@dataclass(frozen=True)
class _Place:
    """What a task computes: an image, a block of channels and a block of results."""

    image: Int
    channel: Int
    present: Int
    line0: Int
    column0: Int
    lines: Int
    columns: Int

    @staticmethod
    def of(job: Job, task: Int, channels_first: bool) -> _Place:
        """The task of a number: what lies side by side in memory varies fastest."""
        if channels_first:
            channel_block, task = task % job[Word.M_BLOCKS], task // job[Word.M_BLOCKS]
            block, image = task % job[Word.BLOCKS], task // job[Word.BLOCKS]
        else:
            block, task = task % job[Word.BLOCKS], task // job[Word.BLOCKS]
            channel_block, image = task % job[Word.M_BLOCKS], task // job[Word.M_BLOCKS]
        line0 = (block // job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_H]
        column0 = (block % job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_W]
        channel = channel_block * job[Word.M_BLOCK]
        return _Place(
            image,
            channel,
            (job[Word.M] - channel).minimum(job[Word.M_BLOCK]),
            line0,
            column0,
            (job[Word.GRID_H] - line0).minimum(job[Word.BLOCK_H]),
            (job[Word.GRID_W] - column0).minimum(job[Word.BLOCK_W]),
        )

    def result(self, job: Job, target: Pointer) -> Pointer:
        """The first of its results."""
        return target + (
            self.image * job[Word.TARGET_N]
            + self.channel * job[Word.TARGET_C]
            + self.line0 * job[Word.TARGET_H]
            + self.column0 * job[Word.TARGET_W]
        )


@dataclass(frozen=True)
class _Phase:
    """The taps of the results of one phase along one axis."""

    taps: Int
    position: Int
    first: Int

    @staticmethod
    def of(job: Job, table: Word, number: Int) -> _Phase:
        entry = job.table + (job[table] + number * int(TapPhase.LENGTH))
        return _Phase(
            entry.read_index(TapPhase.TAPS),
            entry.read_index(TapPhase.POSITION),
            entry.read_index(TapPhase.FIRST),
        )


_Gather = Callable[[Code, Job, Pointer, Pointer, Pointer, Int, tuple[Int, Int, Int, Int]], None]
"""Makes the slab of a task: slab, source, buffer, channels, then first row and column, rows and columns."""


def _gather(kernel: DepthwiseKernel, module: ir.Module, numbers: Numbers) -> _Gather:
    if kernel.in_place:
        stored = numbers.element.bits // 8
        write_table = define_write_pixel_table(module, stored)

        def point(code: Code, job: Job, slab: Pointer, source: Pointer, buffer: Pointer, present: Int,
                  grid: tuple[Int, Int, Int, Int]) -> None:  # fmt: skip
            zeros = buffer.of(numbers.stored)
            code.fill_zero(zeros, present)
            # The last tile may have pixels too many; and rows below the last are asked for beforehand.
            below = job[Word.TAP_STEP_H] * grid[3]
            beyond = job[Word.STRIDE_W] * (below + depthwise_tiles(numbers.target)[0][0])
            code.call(write_table, job.table, job.words, slab, source, zeros, *grid, beyond)

        return point
    pack_channels = define_pack_channels(module, numbers, kernel.source_interleaved)

    def pack(code: Code, job: Job, slab: Pointer, source: Pointer, _: Pointer, present: Int,
             grid: tuple[Int, Int, Int, Int]) -> None:  # fmt: skip
        pack_registers(code, numbers, pack_channels, job, slab, source, present, grid)

    return pack


def _registers(kernel: DepthwiseKernel, job: Job, at: _Place, result_lanes: Int) -> tuple[Int, Int, Int]:
    """The first register of a task's channels; its first channel of the source, and how many there are."""
    first = at.channel // result_lanes
    if not kernel.grouped:
        return first, at.channel, at.present
    channel = first * job[Word.SOURCE_LANES]
    block = job[Word.M_BLOCK] // result_lanes * job[Word.SOURCE_LANES]
    return first, channel, (job[Word.CHANNELS] - channel).minimum(block)


def _task(kernel: DepthwiseKernel, module: ir.Module, numbers: Numbers) -> Task:
    gather = _gather(kernel, module, numbers)
    counts: set[int | None] = set(kernel.taps) or {None}
    multiply = {taps: define_multiply_line(module, numbers, kernel, taps) for taps in counts}
    store = None if kernel.target_interleaved else define_store_planes(module, numbers)
    lanes, item, entry = numbers.lanes, numbers.element.compute_bytes, entry_bytes(kernel, numbers)

    def task(
        code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        at = _Place.of(job, task, kernel.source_interleaved)
        result_lanes = job[Word.RESULT_LANES] if kernel.grouped else code.index(lanes)
        first, from_channel, from_present = _registers(kernel, job, at, result_lanes)
        slab = scratch.moved_bytes(job[Word.SLAB_AT]).of(numbers.computed)
        buffer = scratch.moved_bytes(job[Word.TILES_AT]).of(numbers.computed)
        panels = shared.of(numbers.computed) + first * _panel_items(job, lanes)
        source = arguments.source.of(numbers.stored) + (
            at.image * job[Word.SOURCE_N] + from_channel * job[Word.SOURCE_C]
        )
        result = at.result(job, arguments.target.of(numbers.stored))
        down = job[Word.ROW_PHASES]
        across = code.index(len(kernel.taps)) if kernel.taps else job[Word.COLUMN_PHASES]
        top = at.line0 // down * job[Word.STRIDE_H]
        bottom = top + (at.lines - 1) // down * job[Word.STRIDE_H] + job[Word.SPAN_H]
        # Rows of zeros are not multiplied, so they are not written either.
        row0 = top.maximum(job[Word.ROW_LOW])
        rows = (bottom.minimum(job[Word.ROW_HIGH]) - row0).maximum(0)
        column0 = at.column0 // across * job[Word.STRIDE_W]
        columns = (at.columns - 1) // across * job[Word.STRIDE_W] + job[Word.SPAN_W]
        gather(code, job, slab, source, buffer, from_present, (row0, column0, rows, columns))
        pitch = code.index(0) if kernel.in_place else block_pitch(rows, columns, lanes) * item
        with code.loop(0, at.lines) as line:
            step, down_phase = job[Word.TAP_STEP_H], _Phase.of(job, Word.ROW_PHASE_TABLE, line % down)
            padded = top + line // down * job[Word.STRIDE_H] + down_phase.position
            begin, end = (
                ((job[bound] - padded + (step - 1)).maximum(0) // step).minimum(down_phase.taps)
                for bound in (Word.ROW_LOW, Word.ROW_HIGH)
            )
            first_row = (padded + begin * step - row0) * columns
            weight_row = (down_phase.first + begin * job[Word.PANEL_STEP_H]) * job[Word.PANEL_ROW]

            def write(j: Int, taps: int | None) -> None:
                """The results of one column phase, of all channels."""
                phase = _Phase.of(job, Word.COLUMN_PHASE_TABLE, j)
                count = (at.columns - j + (across - 1)) // across
                with code.loop(0, at.present, result_lanes) as c:
                    register = c // result_lanes
                    panel = panels + register * _panel_items(job, lanes)
                    if kernel.target_interleaved:
                        out = result + (line * job[Word.TARGET_H] + j * job[Word.TARGET_W] + c)
                    else:
                        out = buffer + (line * at.columns + j) * lanes
                    arguments = Line(
                        slab=slab.moved_bytes(register * pitch + (first_row + phase.position) * entry),
                        weights=panel + (weight_row + phase.first * job[Word.PANEL_COLUMN] + 1) * lanes,
                        bias=panel,
                        out=out,
                        rows=end - begin,
                        taps=phase.taps,
                        row_step=step * columns * entry,
                        tap_step=job[Word.TAP_STEP_W] * entry,
                        result_step=job[Word.STRIDE_W] * entry,
                        weight_row_step=job[Word.PANEL_STEP_H] * job[Word.PANEL_ROW] * (lanes * item),
                        weight_tap_step=job[Word.PANEL_STEP_W] * job[Word.PANEL_COLUMN] * (lanes * item),
                        out_step=across * (job[Word.TARGET_W] if kernel.target_interleaved else lanes),
                        count=count,
                        present=(at.present - c).minimum(result_lanes),
                        stretch=job[Word.STRETCH_ROWS],
                        channel=c * (numbers.element.bits // 8),
                        depth=job[Word.DEPTH],
                        weight_channel_step=job[Word.PANEL_CHANNEL] * (lanes * item),
                        patterns=job.table + job[Word.PATTERN_TABLE],
                    )
                    code.call(multiply[taps], *arguments.values())

            for number, taps in enumerate(kernel.taps):
                write(code.index(number), taps)
            if not kernel.taps:
                with code.loop(0, across.minimum(at.columns)) as j:
                    write(j, None)
        if store is not None:
            whole = job[Word.TARGET_H].equals(at.columns * job[Word.TARGET_W])
            code.call(
                store,
                buffer,
                result,
                job.table + job[Word.TARGET_LANE_TABLE],
                at.present,
                code.select(whole, 1, at.lines),
                code.select(whole, at.lines * at.columns, at.columns),
                job[Word.TARGET_H],
                job[Word.TARGET_W],
            )

    return task
