"""Depthwise grad weight: the lanes of a register are channels.

grad_weight[tap][lane] = sum over pixels of grad_output[pixel][lane] * slab[pixel * stride + tap][lane]
"""

from __future__ import annotations

from llvmlite import ir

from tatamu.engine.kernels.channel_slab import define_pack_channels
from tatamu.engine.kernels.channel_store import define_store_planes
from tatamu.engine.kernels.descriptions import DepthwiseWeightKernel
from tatamu.engine.kernels.entry import Arguments, define_entry, module_for
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.target import Target


def build(kernel: DepthwiseWeightKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target)
    packers = {flag: define_pack_channels(module, numbers, flag) for flag in {*kernel.interleaved}}
    tiles = _Tiles(kernel, module, numbers)
    store = define_store_planes(module, numbers)
    lanes = numbers.lanes

    def task(
        code: Code, job: Job, arguments: Arguments, _shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        part, channel = task % job[Word.M_BLOCKS], task // job[Word.M_BLOCKS] * lanes
        tap0 = part * job[Word.M_BLOCK]
        taps = (job[Word.ROW_TAPS] - tap0).minimum(job[Word.M_BLOCK])
        present = (job[Word.CHANNELS] - channel).minimum(lanes)
        sums = scratch.moved_bytes(job[Word.TILES_AT]).of(numbers.computed)
        slab = scratch.moved_bytes(job[Word.SLAB_AT]).of(numbers.computed)
        panel = scratch.moved_bytes(job[Word.PANEL_AT]).of(numbers.computed)
        code.fill_zero(sums, taps * job[Word.TAPS_ACROSS] * lanes)
        # Grad output is gathered as the source is, by the words of the record that follows.
        second = Job(code, job.table, job.words + int(Word.LENGTH))
        with code.loop(0, job[Word.IMAGES]) as image, code.loop(0, job[Word.BLOCKS]) as block:
            line0 = block // job[Word.COLUMN_BLOCKS] * job[Word.BLOCK_H]
            column0 = block % job[Word.COLUMN_BLOCKS] * job[Word.BLOCK_W]
            lines = (job[Word.GRID_H] - line0).minimum(job[Word.BLOCK_H])
            width = (job[Word.GRID_W] - column0).minimum(job[Word.BLOCK_W])
            row0 = line0 * job[Word.STRIDE_H] + tap0 * job[Word.TAP_STEP_H]
            rows = (lines - 1) * job[Word.STRIDE_H] + (taps - 1) * job[Word.TAP_STEP_H] + 1
            columns = (width - 1) * job[Word.STRIDE_W] + job[Word.SPAN_W]
            for words, pointer, interleaved, room, begin, extent in (
                (
                    job,
                    arguments.source,
                    kernel.interleaved[0],
                    slab,
                    (row0, column0 * job[Word.STRIDE_W]),
                    (rows, columns),
                ),
                (second, arguments.second, kernel.interleaved[1], panel, (line0, column0), (lines, width)),
            ):
                at = image * words[Word.SOURCE_N] + channel * words[Word.SOURCE_C]
                place = pointer.of(numbers.stored) + at
                code.call(packers[interleaved], job.table, words.words, room, place, present, *begin, *extent)
            stretch = job[Word.STRETCH_ROWS]
            with code.loop(0, lines, stretch) as line:
                tiles.accumulate(
                    code, job,
                    slab + line * job[Word.STRIDE_H] * columns * lanes,
                    panel + line * width * lanes,
                    sums, taps, (lines - line).minimum(stretch), width, columns,
                )  # fmt: skip
        result = arguments.target.of(numbers.stored) + (
            channel * job[Word.TARGET_N] + tap0 * job[Word.TARGET_H]
        )
        contiguous, across = job[Word.WEIGHT_CONTIGUOUS].equals(1), job[Word.TAPS_ACROSS]
        code.call(
            store, sums, result, present,
            code.select(contiguous, 1, taps), code.select(contiguous, taps * across, across),
            job[Word.TARGET_N], job[Word.TARGET_H], code.select(contiguous, 1, job[Word.TARGET_W]),
        )  # fmt: skip

    define_entry(module, kernel.name(target), task)
    return module


class _Tiles:
    """The register tiles that cover the taps: whole ones, and those at the end of an axis."""

    def __init__(self, kernel: DepthwiseWeightKernel, module: ir.Module, numbers: Numbers) -> None:
        self.kernel, self.numbers = kernel, numbers
        self.functions = {
            (down, across): self._define(module, down, across)
            for down in filter(None, kernel.rows)
            for across in filter(None, kernel.taps)
        }

    def accumulate(
        self, code: Code, job: Job, slab: Pointer, panel: Pointer, sums: Pointer, taps: Int, lines: Int,
        width: Int, columns: Int,
    ) -> None:  # fmt: skip
        """Add the products of some lines to the sums of all taps."""
        lanes, item = self.numbers.lanes, self.numbers.element.compute_bytes
        register = lanes * item
        row, tap = job[Word.TAP_STEP_H] * columns * lanes, job[Word.TAP_STEP_W] * lanes

        def tile(down: int, across: int, i: Int, k: Int) -> None:
            code.call(
                self.functions[down, across],
                slab + (i * row + k * tap),
                panel,
                sums + (i * job[Word.TAPS_ACROSS] + k) * lanes,
                lines,
                width,
                job[Word.STRIDE_H] * columns * register,
                job[Word.STRIDE_W] * register,
                row * item,
                tap * item,
                job[Word.TAPS_ACROSS] * register,
            )

        def tiles_of_rows(down: int, i: Int) -> None:
            (most, rest), across = self.kernel.taps, job[Word.TAPS_ACROSS]
            with code.loop(0, across - across % most, most) as k:
                tile(down, most, i, k)
            if rest:
                tile(down, rest, i, across - rest)

        most, rest = self.kernel.rows
        whole = taps - taps % most
        with code.loop(0, whole, most) as i:
            tiles_of_rows(most, i)
        if rest:
            with code.when(whole < taps):
                tiles_of_rows(rest, whole)

    def _define(self, module: ir.Module, down: int, across: int) -> ir.Function:
        """``sums[i][k] += sum over pixels of panel[pixel] * slab[pixel * stride + (i, k)]``.

        Arguments: slab, panel, sums, lines, pixels of a line; bytes in the slab from one line, pixel, row
        tap and column tap to the next; bytes from one row of sums to the next. Sums of sums: the error
        grows with the root of the pixels of a call.
        """
        code = define(module, f"accumulate_{down}x{across}", [POINTER] * 3 + [I64] * 7)
        lanes, computed = self.numbers.lanes, self.numbers.computed
        slab, panel, sums = (code.pointer(n, computed) for n in range(3))
        lines, width, line_step, pixel_step, row_step, tap_step, sums_step = (
            code.argument(n) for n in range(3, 10)
        )
        held = [[Variable(code, code.zero(self.numbers.vector)) for _ in range(across)] for _ in range(down)]
        with code.loop(0, lines) as line:
            begin, grads = slab.moved_bytes(line * line_step), panel + line * width * lanes
            with code.loop(0, width) as x:
                grad, pixel = grads.load(x * lanes, lanes), begin.moved_bytes(x * pixel_step)
                for i, row in enumerate(held):
                    taps = pixel.moved_bytes(row_step * i)
                    for k, total in enumerate(row):
                        at = taps + k * lanes if self.kernel.side_by_side else taps.moved_bytes(tap_step * k)
                        total.set(code.multiply_add(at.load(0, lanes), grad, total.get()))
        for i, row in enumerate(held):
            at = sums.moved_bytes(sums_step * i)
            for k, total in enumerate(row):
                at.store(code.add(at.load(k * lanes, lanes), total.get()), k * lanes)
        code.done()
        return code.function
