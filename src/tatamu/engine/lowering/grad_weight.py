"""Grad weight and grad bias → their kernels."""

from __future__ import annotations

from tatamu.engine import taps
from tatamu.engine.kernels.descriptions import ChannelSumsKernel, GradWeightKernel
from tatamu.engine.kernels.job import RowMode, Word
from tatamu.engine.lowering.common import Lowered, Operand, flattened, grain, operand_words
from tatamu.engine.planning.common import Work
from tatamu.engine.planning.grad_weight import plan_grad_weight
from tatamu.engine.slabs import Form, lay_out
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Rows, Table, aligned
from tatamu.engine.target import Target
from tatamu.geometry import Geometry


def lower_grad_weight(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    grad_output: Operand,
    result: Operand,
) -> Lowered:
    """The gradient of the weight; ``source`` is the input."""
    geometry = flattened(geometry, source, grad_output)
    parts, groups = element.parts, geometry.groups
    channels, m = geometry.in_channels // groups * parts, geometry.out_channels // groups * parts
    row_taps = taps.forward(geometry.rows, "zeros")
    columns = taps.forward(geometry.columns, geometry.padding_mode)
    rows = Rows(row_taps.taps, row_taps.stride, row_taps.grid, 0, 1)
    kernel_h, kernel_w = geometry.kernel_size
    count = kernel_h * kernel_w
    span = geometry.rows.effective_kernel
    work = Work(
        geometry.batch,
        groups,
        m,
        channels,
        rows.grid,
        columns.grid,
        kernel_h,
        kernel_w,
        span,
        rows.stride,
        columns.stride,
        None,
        False,
    )
    plan = plan_grad_weight(work, element, target)
    interleaved = (
        source.layout(geometry.input_size) is Layout.INTERLEAVED,
        grad_output.layout(geometry.output_size) is Layout.INTERLEAVED,
    )
    kernel = GradWeightKernel(element, plan.rows, plan.vectors, plan.dot, *interleaved)
    tile_columns = kernel.tile_columns(target)
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes

    table = Table(1)
    slab = lay_out(table, rows, columns, Form.ALIGNED, plan.block_h, plan.block_w, 1, lanes)
    pixels = plan.block_h * plan.block_w
    pairs = -(-plan.channel_block * count // plan.rows)
    rows_at = aligned(8 * pairs * plan.rows)
    slab_at = rows_at + aligned(8 * slab.words[Word.SLOTS])
    slab_channels = -(-plan.channel_block // lanes) * lanes if interleaved[0] else plan.channel_block
    panel_at = slab_at + aligned((slab_channels * slab.channel_items + lanes) * item)
    panel_items = (pixels + 3 * lanes) * plan.vectors if plan.dot else pixels * tile_columns
    tiles_at = panel_at + aligned((panel_items + lanes) * item)
    tile_count = pairs * -(-plan.m_block // tile_columns)
    scratch = tiles_at + aligned(tile_count * plan.rows * tile_columns * item)

    gy, gw = grad_output.strides, result.strides
    column_blocks = -(-columns.grid // plan.block_w)
    tasks = groups * -(-channels // plan.channel_block) * -(-m // plan.m_block)
    operations = geometry.batch * geometry.out_channels * parts * rows.grid * columns.grid * channels * count
    counts_through = gy[2] == plan.block_w * gy[3] and column_blocks == 1
    dense_taps = (kernel_w == 1 or gw[3] == 1) and (kernel_h == 1 or gw[2] == kernel_w)
    words = {
        **slab.words,
        **operand_words("SOURCE", source.strides, channels // parts, parts),
        **operand_words("SECOND", grad_output.strides, m // parts, parts),
        **operand_words("TARGET", result.strides, 0, parts),
        Word.TARGET_G: gw[0] * m,
        Word.SOURCE_NEGATED: int(source.conjugated),
        Word.SECOND_NEGATED: int(grad_output.conjugated),
        Word.TASKS: tasks,
        Word.IMAGES: geometry.batch,
        Word.GROUPS: groups,
        Word.BLOCKS: -(-rows.grid // plan.block_h) * column_blocks,
        Word.COLUMN_BLOCKS: column_blocks,
        Word.M_BLOCKS: -(-m // plan.m_block),
        Word.M_BLOCK: plan.m_block,
        Word.M: m,
        Word.CHANNELS: channels,
        Word.CHANNEL_BLOCK: plan.channel_block,
        Word.HEIGHT: geometry.rows.size,
        Word.ROW_MODE: RowMode[geometry.padding_mode.upper()],
        Word.GRID_H: rows.grid,
        Word.GRID_W: columns.grid,
        Word.RUN: pixels if counts_through else plan.block_w,
        Word.WEIGHT_CONTIGUOUS: int(dense_taps),
        Word.ROWS_AT: rows_at,
        Word.SLAB_AT: slab_at,
        Word.PANEL_AT: panel_at,
        Word.TILES_AT: tiles_at,
    }
    table.set_job(0, words)
    table.set_header(JOBS=1, TASKS=tasks, GRAIN=grain(tasks, operations), SHARED=0, SCRATCH=scratch)
    return Lowered(kernel, table.words, 0, scratch, operations, plan.reason)


def lower_grad_bias(
    geometry: Geometry, element: ElementType, target: Target, grad_output: Operand
) -> Lowered:
    """The gradient of the bias: (out_channels,) side by side."""
    interleaved = grad_output.layout(geometry.output_size) is Layout.INTERLEAVED
    kernel = ChannelSumsKernel(element, interleaved)
    channels = geometry.out_channels * element.parts
    tasks = -(-channels // kernel.channels(target))
    table = Table(1)
    operations = geometry.batch * channels * geometry.rows.output * geometry.columns.output
    words = {
        **operand_words("SOURCE", grad_output.strides, 0, element.parts),
        Word.SOURCE_NEGATED: int(grad_output.conjugated),
        Word.TASKS: tasks,
        Word.CHANNELS: channels,
        Word.IMAGES: geometry.batch,
        Word.GRID_H: geometry.rows.output,
        Word.GRID_W: geometry.columns.output,
    }
    table.set_job(0, words)
    table.set_header(JOBS=1, TASKS=tasks, GRAIN=grain(tasks, operations), SHARED=0, SCRATCH=64)
    return Lowered(kernel, table.words, 0, 64, operations, "channel sums")
