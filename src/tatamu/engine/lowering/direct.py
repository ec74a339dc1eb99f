"""Forward and grad input → the direct kernel."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine import taps
from tatamu.engine.kernels.direct import DirectKernel
from tatamu.engine.kernels.job import RowMode, Word
from tatamu.engine.lowering.common import Lowered, Operand, Strides, grain, scalars
from tatamu.engine.plan import Plan, Work, plan_direct
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Rows, Table, add_columns, add_rows, aligned, row_jobs
from tatamu.engine.taps import AxisTaps
from tatamu.engine.target import Target
from tatamu.geometry import Geometry


@dataclass(frozen=True)
class _Side:
    """The roles of a direct pass: what is gathered, what is written, and how the weight is walked."""

    source: Strides
    target: Strides
    channels: int
    m: int
    weight_g: int
    weight_m: int
    weight_c: int
    source_conjugated: bool
    weight_conjugated: bool
    bias_stride: int | None


def lower_forward(
    geometry: Geometry, element: ElementType, target: Target, source: Operand, weight: Operand, bias_stride: int | None,
    result: Operand,
) -> Lowered:
    """The forward pass. Strides in elements; ``bias_stride`` is None where there is no bias."""
    mode = geometry.padding_mode
    m = geometry.out_channels // geometry.groups
    side = _Side(
        source.strides, result.strides, geometry.in_channels // geometry.groups, m, weight.strides[0] * m,
        weight.strides[0], weight.strides[1], source.conjugated, weight.conjugated, bias_stride,
    )
    columns = taps.forward(geometry.columns, mode)
    rows = taps.forward(geometry.rows, "zeros")
    jobs = [(job, columns) for job in row_jobs(rows)]
    interleaved = (
        source.layout(geometry.input_size) is Layout.INTERLEAVED,
        result.layout(geometry.output_size) is Layout.INTERLEAVED,
    )
    return _lower_direct(geometry, element, target, side, jobs, geometry.rows.size, RowMode[mode.upper()], weight, interleaved)


def lower_grad_input(
    geometry: Geometry, element: ElementType, target: Target, grad_output: Operand, weight: Operand, result: Operand
) -> Lowered:
    """The gradient of the input: a convolution of grad output for each stride phase."""
    mode = geometry.padding_mode
    m = geometry.in_channels // geometry.groups
    channels = geometry.out_channels // geometry.groups
    side = _Side(
        grad_output.strides, result.strides, channels, m, weight.strides[0] * channels, weight.strides[1],
        weight.strides[0], grad_output.conjugated, not weight.conjugated, None,
    )
    jobs = [
        (job, columns)
        for rows in taps.grad_input(geometry.rows, mode)
        for columns in taps.grad_input(geometry.columns, mode)
        for job in row_jobs(rows)
    ]
    interleaved = (
        grad_output.layout(geometry.output_size) is Layout.INTERLEAVED,
        result.layout(geometry.input_size) is Layout.INTERLEAVED,
    )
    return _lower_direct(geometry, element, target, side, jobs, geometry.rows.output, RowMode.ZEROS, weight, interleaved)


def _lower_direct(
    geometry: Geometry, element: ElementType, target: Target, side: _Side, jobs: list[tuple[Rows, AxisTaps]], height: int,
    mode: RowMode, weight: Operand, interleaved: tuple[bool, bool],
) -> Lowered:
    parts = element.parts
    channels, m = side.channels * parts, side.m * parts
    kernel_h, kernel_w = geometry.kernel_size
    packed_taps = kernel_h * kernel_w
    table = Table(len(jobs))
    weight_strides = scalars(weight.strides, parts)
    places = table.append([i * weight_strides[2] + j * weight_strides[3] for i in range(kernel_h) for j in range(kernel_w)])
    contiguous = (
        side.weight_c == packed_taps and (kernel_w == 1 or weight.strides[3] == 1) and (kernel_h == 1 or weight.strides[2] == kernel_w)
    )
    source, result = scalars(side.source, parts), scalars(side.target, parts)
    plans = [_plan(geometry, element, target, rows, columns, channels, m) for rows, columns in jobs]
    # All jobs share one kernel and one packing of the weights: the tile of the largest.
    best = max(plans, key=lambda plan: (plan.block_h * plan.block_w, plan.vectors))
    lanes = target.lanes(element.compute_bytes)
    width = best.vectors * lanes
    first_task = operations = scratch = 0
    for number, ((rows, columns), plan) in enumerate(zip(jobs, plans, strict=True)):
        block_h, block_w = plan.block_h, plan.block_w
        words = {**add_rows(table, rows, block_h), **add_columns(table, columns)}
        plane = -(-(words[Word.SLOTS] * block_w + lanes) // lanes) * lanes
        taps_of_job = [i * kernel_w + j for i, _ in rows.taps for j, _ in columns.taps]
        column_blocks = -(-columns.grid // block_w)
        blocks = -(-rows.grid // block_h) * column_blocks
        m_blocks = -(-m // plan.m_block)
        tasks = geometry.batch * geometry.groups * blocks * m_blocks
        step_h, step_w = result[2] * rows.step, result[3] * columns.step
        together = step_h == block_w * step_w and column_blocks == 1
        slab_at = aligned(16 * plan.channel_block * max(1, len(taps_of_job)))
        slab_channels = -(-plan.channel_block // lanes) * lanes if interleaved[0] else plan.channel_block
        slab_items = slab_channels * max(1, len(columns.taps)) * plane + width + lanes
        tiles_at = slab_at + aligned(slab_items * element.compute_bytes)
        tile_count = 1
        if plan.channel_block < channels:
            tile_count = -(-block_h * block_w // width) * -(-plan.m_block // best.rows)
        scratch = max(scratch, tiles_at + aligned(tile_count * best.rows * width * element.compute_bytes))
        operations += geometry.batch * geometry.groups * rows.grid * columns.grid * m * channels * len(taps_of_job)
        words |= {
            Word.FIRST_TASK: first_task, Word.TASKS: tasks, Word.GROUPS: geometry.groups, Word.BLOCKS: blocks,
            Word.COLUMN_BLOCKS: column_blocks, Word.M_BLOCKS: m_blocks, Word.M_BLOCK: plan.m_block,
            Word.SOURCE_N: source[0], Word.SOURCE_G: source[1] * side.channels, Word.SOURCE_C: source[1],
            Word.SOURCE_H: source[2], Word.SOURCE_W: source[3], Word.SOURCE_NEGATED: int(side.source_conjugated),
            Word.CHANNELS: channels, Word.CHANNEL_BLOCK: plan.channel_block, Word.HEIGHT: height, Word.ROW_MODE: mode,
            Word.PITCH: block_w, Word.PLANE: plane, Word.GRID_H: rows.grid, Word.GRID_W: columns.grid,
            Word.BLOCK_H: block_h, Word.M: m,
            Word.TARGET_BASE: rows.first * result[2] + columns.first * result[3],
            Word.TARGET_N: result[0], Word.TARGET_G: result[1] * side.m, Word.TARGET_C: result[1],
            Word.TARGET_H: step_h, Word.TARGET_W: step_w, Word.RUN: block_h * block_w if together else block_w,
            Word.HAS_BIAS: int(side.bias_stride is not None), Word.BIAS_C: (side.bias_stride or 0) * parts,
            Word.PACKED_TAPS: packed_taps, Word.WEIGHT_TAP_TABLE: places, Word.TAP_TABLE: table.append(taps_of_job),
            Word.WEIGHT_G: side.weight_g * parts, Word.WEIGHT_M: side.weight_m * parts, Word.WEIGHT_C: side.weight_c * parts,
            Word.WEIGHT_NEGATED: int(side.weight_conjugated), Word.WEIGHT_CONTIGUOUS: int(contiguous),
            Word.SLAB_AT: slab_at, Word.TILES_AT: tiles_at,
        }  # fmt: skip
        table.set_job(number, words)
        first_task += tasks
    panels = geometry.groups * -(-m // best.rows)
    shared = aligned(panels * channels * packed_taps * best.rows * element.compute_bytes)
    table.set_header(JOBS=len(jobs), TASKS=first_task, GRAIN=grain(first_task, operations), SHARED=shared, SCRATCH=scratch, PACK_TASKS=panels)
    kernel = DirectKernel(element, best.rows, best.vectors, *interleaved)
    return Lowered(kernel, table.words, shared, scratch, operations, best.reason)


def _plan(geometry: Geometry, element: ElementType, target: Target, rows: Rows, columns: AxisTaps, channels: int, m: int) -> Plan:
    offsets = [offset for _, offset in rows.taps] or [0]
    work = Work(
        geometry.batch, geometry.groups, m, channels, rows.grid, columns.grid, len(rows.taps), len(columns.taps),
        max(offsets) - min(offsets) + 1, rows.stride,
    )
    return plan_direct(work, element, target)
