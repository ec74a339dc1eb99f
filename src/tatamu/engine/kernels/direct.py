"""Direct convolution (implicit GEMM): forward, and each stride phase of grad input.

results[m][pixel] = sum over (channel, tap) of weight[m][channel, tap] * slab[channel, tap][pixel]
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from tatamu.engine.kernels.entry import Arguments, define_entry, module_for
from tatamu.engine.kernels.epilogue import define_epilogue
from tatamu.engine.kernels.ir import I64, Code, Int, Pointer
from tatamu.engine.kernels.job import RowMode, RowTap, Word
from tatamu.engine.kernels.microkernel import define_table_microkernel
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job, channel_offset, define_pack_slab, define_pack_weights
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_STRETCH = 128
"""Products that are summed in registers before they are added to the tile."""


@dataclass(frozen=True)
class DirectKernel:
    """What one compiled direct kernel is for; sizes and strides are its arguments.

    The register tile is ``rows`` result channels by ``vectors`` registers of pixels.
    """

    element: ElementType
    rows: int
    vectors: int
    source_interleaved: bool
    target_interleaved: bool

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, layouts, target."""
        layouts = "".join("i" if flag else "p" for flag in (self.source_interleaved, self.target_interleaved))
        return f"{self.element.name}_direct_{self.rows}x{self.vectors}_{layouts}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR."""
        numbers = Numbers(self.element, target)
        module = module_for(target)
        width = self.vectors * numbers.lanes
        multiply = [
            define_table_microkernel(module, numbers, self.rows, v, width) for v in range(1, self.vectors + 1)
        ]
        pack_slab = define_pack_slab(module, numbers, self.source_interleaved)
        pack_weights = define_pack_weights(module, numbers, self.rows)
        epilogue = define_epilogue(module, numbers, self.rows, width, self.target_interleaved)
        item = numbers.element.compute_bytes

        def pack_task(
            code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
        ) -> None:
            panels = (job[Word.M] + (self.rows - 1)) // self.rows
            group, panel = task // panels, task % panels
            size = job[Word.CHANNELS] * job[Word.PACKED_TAPS] * self.rows
            at = shared.of(numbers.computed) + task * size
            weight = arguments.second.of(numbers.stored) + group * job[Word.WEIGHT_G]
            code.call(pack_weights, job.table, job.words, at, weight, panel * self.rows)

        def task(
            code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
        ) -> None:
            m_block = task % job[Word.M_BLOCKS]
            task = task // job[Word.M_BLOCKS]
            block = task % job[Word.BLOCKS]
            task = task // job[Word.BLOCKS]
            group, image = task % job[Word.GROUPS], task // job[Word.GROUPS]
            line0 = (block // job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_H]
            column0 = (block % job[Word.COLUMN_BLOCKS]) * job[Word.PITCH]
            columns = (job[Word.GRID_W] - column0).minimum(job[Word.PITCH])
            lines = (job[Word.GRID_H] - line0).minimum(job[Word.BLOCK_H])
            # A block is either whole lines or a stretch of one, so its pixels count through.
            pixels = code.select(lines > 1, lines * job[Word.PITCH], columns)

            row0 = m_block * job[Word.M_BLOCK]
            rows_end = (row0 + job[Word.M_BLOCK]).minimum(job[Word.M])
            source = arguments.source.of(numbers.stored) + (
                image * job[Word.SOURCE_N] + group * job[Word.SOURCE_G]
            )
            target_at = arguments.target.of(numbers.stored) + (
                image * job[Word.TARGET_N] + group * job[Word.TARGET_G] + job[Word.TARGET_BASE]
            )
            bias = arguments.bias.of(numbers.stored) + channel_offset(numbers, group * job[Word.M], job[Word.BIAS_C])
            channels, channel_block = job[Word.CHANNELS], job[Word.CHANNEL_BLOCK]
            panel_size = channels * job[Word.PACKED_TAPS] * self.rows
            panels = (
                shared.of(numbers.computed)
                + group * ((job[Word.M] + (self.rows - 1)) // self.rows) * panel_size
            )

            table = scratch.of(I64)
            slab = scratch.moved_bytes(job[Word.SLAB_AT]).of(numbers.computed)
            tiles = scratch.moved_bytes(job[Word.TILES_AT]).of(numbers.computed)
            single = channels <= channel_block
            tile_rows = (rows_end - row0 + (self.rows - 1)) // self.rows
            with code.loop(0, channels, channel_block) as c0:
                present = (channels - c0).minimum(channel_block)
                code.call(pack_slab, job.table, job.words, slab, source, c0, present, line0, column0, columns)
                count = self._write_table(code, job, table, present, line0, lines, item)
                last = c0 + channel_block >= channels
                first = code.select(c0.equals(0), 1, 0)
                with code.loop(0, pixels, width) as pixel:
                    wide = (pixels - pixel).minimum(width)
                    registers = (wide + (numbers.lanes - 1)) // numbers.lanes
                    with code.loop(0, tile_rows) as r:
                        row = row0 + r * self.rows
                        number = code.select(single, 0, (pixel // width) * tile_rows + r)
                        tile = tiles + number * (self.rows * width)
                        panel = panels + (
                            (row // self.rows) * panel_size + c0 * job[Word.PACKED_TAPS] * self.rows
                        )
                        for v, kernel in enumerate(multiply, 1):
                            with code.when(registers.equals(v)), code.loop(0, count.maximum(1), _STRETCH) as k:
                                begin = code.select(k > 0, 0, first)
                                stretch = (count - k).minimum(_STRETCH)
                                code.call(kernel, panel, slab + pixel, table + k * 2, stretch, tile, begin)
                        with code.when(last):
                            code.call(
                                epilogue,
                                job.words,
                                tile,
                                target_at,
                                bias,
                                row,
                                (rows_end - row).minimum(self.rows),
                                pixel,
                                wide,
                                line0,
                                column0,
                            )

        define_entry(module, self.name(target), task, pack_task)
        return module

    def _write_table(
        self, code: Code, job: Job, table: Pointer, channels: Int, line0: Int, lines: Int, item: int
    ) -> Int:
        """List (weight, slab) byte offsets of every product of a block; taps that meet padding alone are left out."""
        count = code.variable(0)
        taps, plane = job[Word.COLUMN_TAPS], job[Word.PLANE]
        with code.loop(0, channels) as c, code.loop(0, job[Word.ROW_TAPS]) as i:
            entry = job.table + (job[Word.ROW_TAP_TABLE] + i * RowTap.LENGTH)
            top = line0 * job[Word.STRIDE_H] + entry.read_index(RowTap.OFFSET)
            bottom = top + (lines - 1) * job[Word.STRIDE_H]
            outside = code.builder.or_(bottom < 0, top >= job[Word.HEIGHT])
            skipped = code.both(job[Word.ROW_MODE].equals(RowMode.ZEROS), outside)
            with code.when(code.builder.not_(skipped)):
                slot = entry.read_index(RowTap.SLOT)
                with code.loop(0, taps) as j:
                    at = count.now * 2
                    tap = job.table.read_index(
                        job[Word.TAP_TABLE] + i * taps + j
                    )
                    table.store(((c * job[Word.PACKED_TAPS] + tap) * (self.rows * item)).value, at)
                    table.store((((c * taps + j) * plane + slot * job[Word.PITCH]) * item).value, at + 1)
                    count.become(count.now + 1)
        return count.now
