"""Grad weight of depthwise layers, and of groups of few channels → a kernel whose lanes are channels."""

from __future__ import annotations

from tatamu.engine.kernels.descriptions import DepthwiseWeightKernel
from tatamu.engine.kernels.job import ADDRESS_BYTES, AHEAD_ENTRY_WORDS, AHEAD_HEAD_WORDS, Word
from tatamu.engine.lowering.common import Lowered, Operand, grain, operand_words
from tatamu.engine.lowering.depthwise import grad_input_lanes
from tatamu.engine.lowering.lane_weights import WeightAxes, patterns
from tatamu.engine.padded import PaddedAxis, padded_words
from tatamu.engine.planning.depthwise_weight import plan_depthwise_weight
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
    rows, columns = geometry.rows, geometry.columns
    groups = grad_input_lanes(geometry, element, target)
    register = target.vector_bytes
    interleaved = (
        source.layout(geometry.input_size) is Layout.INTERLEAVED,
        grad_output.layout(geometry.output_size) is Layout.INTERLEAVED,
    )
    whole = geometry.out_channels % groups.lanes == 0
    in_place = all(interleaved) and element.bits == element.compute_bits and element.parts == 1
    in_place = in_place and (groups.source, groups.result) == (1, 1) and whole
    plan = plan_depthwise_weight(
        rows, columns, geometry.batch, groups, target, interleaved, in_place=in_place
    )
    kernel = DepthwiseWeightKernel(
        element, plan.rows, plan.taps, plan.channels, columns.dilation == 1, interleaved, in_place
    )
    column_blocks = -(-columns.output // plan.block_w)
    blocks = -(-rows.output // plan.block_h) * column_blocks
    m_blocks = -(-groups.registers // plan.registers)
    m, c, h, w = result.strides
    table = Table(2)
    weights = WeightAxes(groups, m, (h, w), groups.source * m, c).words(table, geometry.kernel_size)
    products = weights[Word.PACKED_TAPS]
    sums_at = 64
    # Sums are read a register of taps at a time.
    slab_at = sums_at + aligned((products + groups.lanes) * register)
    ahead_at = 0
    if in_place:  # Addresses, and a pixel of zeros.
        panel_at = slab_at + aligned(plan.slab_registers * ADDRESS_BYTES)
        ahead_at = panel_at + aligned(plan.registers * register)
        scratch = ahead_at + aligned(8 * (AHEAD_HEAD_WORDS + 3 * AHEAD_ENTRY_WORDS))
    else:
        panel_at = slab_at + aligned((plan.slab_registers + 1) * plan.registers * register)
        scratch = panel_at + aligned((plan.block_h * plan.block_w + 1) * plan.registers * register)
    shared = aligned(plan.parts * groups.registers * products * register)
    channels = groups.groups * groups.result
    operations = geometry.batch * channels * rows.output * columns.output * products
    words = {
        **weights,
        **operand_words("SOURCE", source.strides, 1, 1),
        **padded_words(table, _padded(rows), _padded(columns), geometry.padding_mode),
        Word.TASKS: groups.registers,
        Word.IMAGES: geometry.batch,
        Word.BLOCKS: blocks,
        Word.COLUMN_BLOCKS: column_blocks,
        Word.BLOCK_H: plan.block_h,
        Word.BLOCK_W: plan.block_w,
        Word.PARTS: plan.parts,
        Word.BLOCKS_A_PART: -(-geometry.batch * blocks // plan.parts),
        Word.GRID_H: rows.output,
        Word.GRID_W: columns.output,
        Word.CHANNELS: channels,
        Word.SOURCE_LANES: groups.result_lanes,
        Word.REGISTERS: groups.registers,
        Word.M_BLOCKS: m_blocks,
        Word.M_BLOCK: plan.registers,
        Word.DEPTH: groups.source,
        Word.PATTERN_TABLE: table.append(patterns(groups, element, target) if any(plan.channels) else []),
        Word.STRIDE_H: rows.stride,
        Word.STRIDE_W: columns.stride,
        Word.TAP_STEP_H: rows.dilation,
        Word.TAP_STEP_W: columns.dilation,
        Word.SPAN_H: rows.effective_kernel,
        Word.SPAN_W: columns.effective_kernel,
        Word.ROW_TAPS: rows.kernel,
        Word.TAPS_ACROSS: columns.kernel,
        Word.STRETCH_ROWS: plan.lines,
        Word.TILES_AT: sums_at,
        Word.SLAB_AT: slab_at,
        Word.PANEL_AT: panel_at,
        Word.AHEAD_AT: ahead_at,
        # Whole pixels of whole lines.
        Word.AHEAD: int(m_blocks == 1 and column_blocks == 1),
        Word.HEIGHT: rows.size,
    }
    table.set_job(0, words)
    grads = PaddedAxis(rows.output, 0, 0), PaddedAxis(columns.output, 0, 0)
    table.set_job(1, {
        **operand_words("SOURCE", grad_output.strides, 1, 1),
        **padded_words(table, *grads, "zeros"),
        Word.CHANNELS: groups.groups * groups.source,
        Word.SOURCE_LANES: groups.source_lanes,
    })  # fmt: skip
    table.set_header(
        JOBS=1,
        TASKS=groups.registers,
        GRAIN=grain(groups.registers, operations),
        SHARED=shared,
        SCRATCH=scratch,
        PACK_TASKS=plan.parts * m_blocks,
    )
    return Lowered(kernel, table.words, shared, scratch, operations, plan.reason)


def _padded(axis: Axis) -> PaddedAxis:
    return PaddedAxis(axis.size, axis.before, axis.after)
