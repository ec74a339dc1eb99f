"""Grad weight and grad bias → their kernels."""

from __future__ import annotations

from tatamu.engine import taps
from tatamu.engine.kernels.channel_sums import ChannelSumsKernel
from tatamu.engine.kernels.grad_weight import GradWeightKernel
from tatamu.engine.kernels.job import RowMode, Word
from tatamu.engine.lowering.common import Lowered, Operand, grain, scalars
from tatamu.engine.plan import Work, plan_grad_weight
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Rows, Table, add_columns, add_rows, aligned
from tatamu.engine.target import Target
from tatamu.geometry import Geometry


def lower_grad_weight(
    geometry: Geometry, element: ElementType, target: Target, source: Operand, grad_output: Operand, result: Operand
) -> Lowered:
    """The gradient of the weight; ``source`` is the input."""
    parts, groups = element.parts, geometry.groups
    channels, m = geometry.in_channels // groups * parts, geometry.out_channels // groups * parts
    row_taps = taps.forward(geometry.rows, "zeros")
    columns = taps.forward(geometry.columns, geometry.padding_mode)
    rows = Rows(row_taps.taps, row_taps.stride, row_taps.grid, 0, 1)
    kernel_h, kernel_w = geometry.kernel_size
    count = kernel_h * kernel_w
    span = geometry.rows.effective_kernel
    work = Work(geometry.batch, groups, m, channels, rows.grid, columns.grid, kernel_h, kernel_w, span, rows.stride)
    plan = plan_grad_weight(work, element, target)
    interleaved = (
        source.layout(geometry.input_size) is Layout.INTERLEAVED,
        grad_output.layout(geometry.output_size) is Layout.INTERLEAVED,
    )
    kernel = GradWeightKernel(element, plan.rows, plan.vectors, plan.dot, *interleaved)
    tile_columns = kernel.tile_columns(target)
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes

    table = Table(1)
    words = {**add_rows(table, rows, plan.block_h), **add_columns(table, columns)}
    plane = -(-(words[Word.SLOTS] * plan.block_w + lanes) // lanes) * lanes
    pixels = plan.block_h * plan.block_w
    pairs = -(-plan.channel_block * count // plan.rows)
    slab_at = aligned(8 * pairs * plan.rows)
    slab_channels = -(-plan.channel_block // lanes) * lanes if interleaved[0] else plan.channel_block
    panel_at = slab_at + aligned((slab_channels * kernel_w * plane + lanes) * item)
    panel_items = (pixels + 3 * lanes) * plan.vectors if plan.dot else pixels * tile_columns
    tiles_at = panel_at + aligned((panel_items + lanes) * item)
    tile_count = pairs * -(-plan.m_block // tile_columns)
    scratch = tiles_at + aligned(tile_count * plan.rows * tile_columns * item)

    x, gy, gw = (scalars(operand.strides, parts) for operand in (source, grad_output, result))
    column_blocks = -(-columns.grid // plan.block_w)
    blocks = -(-rows.grid // plan.block_h) * column_blocks
    m_blocks = -(-m // plan.m_block)
    tasks = groups * -(-channels // plan.channel_block) * m_blocks
    operations = geometry.batch * geometry.out_channels * parts * rows.grid * columns.grid * channels * count
    together = gy[2] == plan.block_w * gy[3] and column_blocks == 1
    tap_strides_dense = (kernel_w == 1 or gw[3] == 1) and (kernel_h == 1 or gw[2] == kernel_w)
    words |= {
        Word.TASKS: tasks, Word.GROUPS: groups, Word.BLOCKS: blocks, Word.COLUMN_BLOCKS: column_blocks,
        Word.M_BLOCKS: m_blocks, Word.M_BLOCK: plan.m_block,
        Word.SOURCE_N: x[0], Word.SOURCE_G: x[1] * (channels // parts), Word.SOURCE_C: x[1], Word.SOURCE_H: x[2],
        Word.SOURCE_W: x[3], Word.SOURCE_NEGATED: int(source.conjugated), Word.CHANNELS: channels,
        Word.CHANNEL_BLOCK: plan.channel_block, Word.HEIGHT: geometry.rows.size,
        Word.ROW_MODE: RowMode[geometry.padding_mode.upper()], Word.PITCH: plan.block_w, Word.PLANE: plane,
        Word.GRID_H: rows.grid, Word.GRID_W: columns.grid, Word.BLOCK_H: plan.block_h, Word.M: m,
        Word.TARGET_N: gw[0], Word.TARGET_G: gw[0] * (m // parts), Word.TARGET_C: gw[1], Word.TARGET_H: gw[2], Word.TARGET_W: gw[3],
        Word.RUN: pixels if together else plan.block_w, Word.WEIGHT_CONTIGUOUS: int(tap_strides_dense),
        Word.SECOND_N: gy[0], Word.SECOND_G: gy[1] * (m // parts), Word.SECOND_C: gy[1], Word.SECOND_H: gy[2], Word.SECOND_W: gy[3],
        Word.SECOND_NEGATED: int(grad_output.conjugated), Word.IMAGES: geometry.batch,
        Word.SLAB_AT: slab_at, Word.PANEL_AT: panel_at, Word.TILES_AT: tiles_at,
    }  # fmt: skip
    table.set_job(0, words)
    table.set_header(JOBS=1, TASKS=tasks, GRAIN=grain(tasks, operations), SHARED=0, SCRATCH=scratch)
    return Lowered(kernel, table.words, 0, scratch, operations, plan.reason)


def lower_grad_bias(geometry: Geometry, element: ElementType, target: Target, grad_output: Operand) -> Lowered:
    """The gradient of the bias: (out_channels,) side by side."""
    interleaved = grad_output.layout(geometry.output_size) is Layout.INTERLEAVED
    kernel = ChannelSumsKernel(element, interleaved)
    channels = geometry.out_channels * element.parts
    tasks = -(-channels // kernel.channels(target))
    gy = scalars(grad_output.strides, element.parts)
    table = Table(1)
    operations = geometry.batch * channels * geometry.rows.output * geometry.columns.output
    words = {
        Word.TASKS: tasks, Word.CHANNELS: channels, Word.SOURCE_N: gy[0], Word.SOURCE_C: gy[1], Word.SOURCE_H: gy[2],
        Word.SOURCE_W: gy[3], Word.SOURCE_NEGATED: int(grad_output.conjugated), Word.IMAGES: geometry.batch,
        Word.GRID_H: geometry.rows.output, Word.GRID_W: geometry.columns.output,
    }  # fmt: skip
    table.set_job(0, words)
    table.set_header(JOBS=1, TASKS=tasks, GRAIN=grain(tasks, operations), SHARED=0, SCRATCH=0)
    return Lowered(kernel, table.words, 0, 0, operations, "channel sums")
