"""Depthwise grad weight → a kernel whose lanes are channels."""

from __future__ import annotations

from tatamu.engine.kernels.descriptions import STRETCH, DepthwiseWeightKernel
from tatamu.engine.kernels.job import Word
from tatamu.engine.lowering.common import Lowered, Operand, grain, operand_words
from tatamu.engine.padded import PaddedAxis, padded_words
from tatamu.engine.plan_depthwise import plan_depthwise_weight
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.target import Target
from tatamu.geometry import Axis, Geometry


def lower_grad_weight(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    grad_output: Operand,
    result: Operand,
) -> Lowered:
    """The gradient of the weight; ``source`` is the input."""
    rows, columns, channels = geometry.rows, geometry.columns, geometry.groups
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    plan = plan_depthwise_weight(rows, columns, channels, element, target)
    interleaved = (
        source.layout(geometry.input_size) is Layout.INTERLEAVED,
        grad_output.layout(geometry.output_size) is Layout.INTERLEAVED,
    )
    kernel = DepthwiseWeightKernel(element, plan.rows, plan.taps, columns.dilation == 1, interleaved)

    channel_blocks, parts = -(-channels // lanes), -(-rows.kernel // plan.tap_rows)
    column_blocks = -(-columns.output // plan.block_w)
    tasks = channel_blocks * parts
    sums_at = 64
    # Sums are read a register of taps at a time.
    slab_at = sums_at + aligned((plan.tap_rows * columns.kernel + lanes) * lanes * item)
    panel_at = slab_at + aligned((plan.slab_registers + 1) * lanes * item)
    scratch = panel_at + aligned((plan.block_h * plan.block_w + 1) * lanes * item)
    operations = geometry.batch * channels * rows.output * columns.output * rows.kernel * columns.kernel

    table = Table(2)
    mode, gw = geometry.padding_mode, result.strides
    contiguous = (columns.kernel == 1 or gw[3] == 1) and (rows.kernel == 1 or gw[2] == columns.kernel)
    words = {
        **operand_words("SOURCE", source.strides, 1, 1),
        **operand_words("TARGET", result.strides, 1, 1),
        **padded_words(table, _padded(rows), _padded(columns), mode),
        Word.TASKS: tasks,
        Word.IMAGES: geometry.batch,
        Word.BLOCKS: -(-rows.output // plan.block_h) * column_blocks,
        Word.COLUMN_BLOCKS: column_blocks,
        Word.BLOCK_H: plan.block_h,
        Word.BLOCK_W: plan.block_w,
        Word.GRID_H: rows.output,
        Word.GRID_W: columns.output,
        Word.CHANNELS: channels,
        Word.STRIDE_H: rows.stride,
        Word.STRIDE_W: columns.stride,
        Word.TAP_STEP_H: rows.dilation,
        Word.TAP_STEP_W: columns.dilation,
        Word.SPAN_W: columns.effective_kernel,
        Word.ROW_TAPS: rows.kernel,
        Word.TAPS_ACROSS: columns.kernel,
        Word.M_BLOCKS: parts,
        Word.M_BLOCK: plan.tap_rows,
        Word.STRETCH_ROWS: max(1, STRETCH // plan.block_w),
        Word.WEIGHT_CONTIGUOUS: int(contiguous),
        Word.TILES_AT: sums_at,
        Word.SLAB_AT: slab_at,
        Word.PANEL_AT: panel_at,
    }
    table.set_job(0, words)
    grads = PaddedAxis(rows.output, 0, 0), PaddedAxis(columns.output, 0, 0)
    table.set_job(
        1, {**operand_words("SOURCE", grad_output.strides, 1, 1), **padded_words(table, *grads, "zeros")}
    )
    table.set_header(JOBS=1, TASKS=tasks, GRAIN=grain(tasks, operations), SHARED=0, SCRATCH=scratch)
    return Lowered(kernel, table.words, 0, scratch, operations, plan.reason)


def _padded(axis: Axis) -> PaddedAxis:
    return PaddedAxis(axis.size, axis.before, axis.after)
