"""Forward and grad input → the direct kernel."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine import taps
from tatamu.engine.kernels.descriptions import DirectKernel
from tatamu.engine.kernels.job import TABLE_HEADER, RowMode, WeightLines, Word
from tatamu.engine.lowering import dots
from tatamu.engine.lowering import interleaved as channels_last
from tatamu.engine.lowering.common import (
    Lowered,
    Operand,
    Strides,
    flattened,
    grain,
    operand_words,
    prefetches,
    scalars,
)
from tatamu.engine.lowering.packed_rows import PackedRows
from tatamu.engine.lowering.sides import Side
from tatamu.engine.planning.common import Work
from tatamu.engine.planning.direct import Plan, plan_direct
from tatamu.engine.slabs import Form, Slab, lay_out
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Rows, Table, aligned, row_jobs
from tatamu.engine.taps import AxisTaps
from tatamu.engine.target import Target
from tatamu.geometry import Geometry


def lower_forward(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    weight: Operand,
    bias_stride: int | None,
    result: Operand,
    *,
    gathers: bool = False,
    frozen: bool = False,
) -> Lowered:
    """The forward pass. Strides in elements; ``bias_stride`` is None where there is no bias.

    It ``gathers`` channels_last too if told to, and then sums in the same order as for any other layout.
    ``frozen`` weights may be packed beforehand.
    """
    geometry = flattened(geometry, source, result)
    mode = geometry.padding_mode
    side = Side.of_forward(geometry, source, weight, bias_stride, result)
    columns = taps.forward(geometry.columns, mode)
    rows = taps.forward(geometry.rows, "zeros")
    if mode == "zeros":
        jobs = _jobs(rows, columns, element, target)
    else:  # Rows outside the source are other rows of it: none is idle.
        jobs = [(job, columns) for job in row_jobs(rows)]
    interleaved = (
        source.layout(geometry.input_size) is Layout.INTERLEAVED,
        result.layout(geometry.output_size) is Layout.INTERLEAVED,
    )
    return _lower_direct(
        geometry,
        element,
        target,
        side,
        jobs,
        geometry.rows.size,
        RowMode[mode.upper()],
        weight,
        interleaved,
        gathers,
        frozen=frozen,
    )


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
    *,
    gathers: bool = False,
) -> Lowered:
    """The gradient of the input: a convolution of grad output for each stride phase. ``gathers`` as above."""
    geometry = flattened(geometry, grad_output, result)
    mode = geometry.padding_mode
    side = Side.of_grad_input(geometry, grad_output, weight, result)
    jobs = [
        job
        for rows in taps.grad_input(geometry.rows, mode)
        for columns in taps.grad_input(geometry.columns, mode)
        for job in _jobs(rows, columns, element, target)
    ]
    interleaved = (
        grad_output.layout(geometry.output_size) is Layout.INTERLEAVED,
        result.layout(geometry.input_size) is Layout.INTERLEAVED,
    )
    return _lower_direct(
        geometry,
        element,
        target,
        side,
        jobs,
        geometry.rows.output,
        RowMode.ZEROS,
        weight,
        interleaved,
        gathers,
    )


def _jobs(
    rows: AxisTaps, columns: AxisTaps, element: ElementType, target: Target
) -> list[tuple[Rows, AxisTaps]]:
    """Grids of results with the same taps throughout."""
    pieces = taps.without_idle_taps(rows, columns, target.lanes(element.compute_bytes))
    return [(job, across) for down in pieces[0] for job in row_jobs(down) for across in pieces[1]]


@dataclass(frozen=True)
class _Job:
    """One grid of results: its taps on both axes, and the steps between neighbouring results in memory."""

    rows: Rows
    columns: AxisTaps
    down: int
    across: int

    def counts_through(self) -> bool:
        """Whether the next row of results follows the last by the same step."""
        return self.down == self.columns.grid * self.across


def _lower_direct(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    side: Side,
    taps_of_jobs: list[tuple[Rows, AxisTaps]],
    height: int,
    mode: RowMode,
    weight: Operand,
    interleaved: tuple[bool, bool],
    gathers: bool,
    *,
    frozen: bool = False,
) -> Lowered:
    if not gathers and channels_last.suits(element, target, side, taps_of_jobs, mode, interleaved):
        return channels_last.lower(
            geometry, element, target, side, taps_of_jobs, height, weight, frozen=frozen
        )
    parts = element.parts
    channels, m = side.channels * parts, side.m * parts
    by_pairs = not gathers and dots.suits(element, target, side, taps_of_jobs, mode, interleaved[0])
    gathered = 2 if by_pairs else 1
    if by_pairs:
        channels, interleaved = -(-channels // 2), (False, interleaved[1])
    _, _, result_h, result_w = scalars(side.target, parts)
    jobs = [
        _Job(rows, columns, result_h * rows.step, result_w * columns.step) for rows, columns in taps_of_jobs
    ]
    plans = [plan_direct(_work(geometry, job, channels, m, gathered), element, target) for job in jobs]
    # All jobs share one kernel: their tiles are the same, for they are cut by the channels.
    packs = _packs_weights(geometry, element, side, weight)
    if by_pairs:
        packs = not dots.lie_in_pairs(geometry, side)
    kernel = DirectKernel(element, plans[0].rows, plans[0].vectors, *interleaved, packs, by_pairs)
    packed = PackedRows(geometry, element, side, kernel.rows, kernel.rows) if by_pairs and packs else None
    table = Table(len(jobs))
    shared_words = {
        **operand_words("SOURCE", side.source, side.channels, parts),
        **operand_words("TARGET", side.target, side.m, parts),
        Word.SOURCE_NEGATED: int(side.source_conjugated),
        Word.IMAGES: geometry.batch,
        Word.GROUPS: geometry.groups,
        Word.CHANNELS: channels,
        Word.SOURCE_CHANNELS: side.channels,
        Word.M: m,
        Word.HEIGHT: height,
        Word.ROW_MODE: mode,
        Word.PREFETCHES: prefetches(geometry, element, target),
        Word.HAS_BIAS: int(side.bias_stride is not None),
        Word.BIAS_C: (side.bias_stride or 0) * parts,
    }
    _, largest = max(zip(jobs, plans, strict=True), key=lambda it: it[0].rows.grid * it[0].columns.grid)
    first_task = operations = scratch = 0
    for number, (job, plan) in enumerate(zip(jobs, plans, strict=True)):
        slab = lay_out(
            table,
            job.rows,
            job.columns,
            plan.form,
            plan.block_h,
            plan.block_w,
            plan.images,
            kernel.lanes(target),
        )
        tap_count = len(job.rows.taps) * len(job.columns.taps)
        room, scratch_of_job = _scratch_words(kernel, target, plan, slab, tap_count, channels)
        if packed:
            room[Word.PANELS_AT], room[Word.WEIGHT_PANEL] = packed.place(channels * tap_count)
        column_blocks = -(-job.columns.grid // plan.block_w)
        blocks = -(-job.rows.grid // plan.block_h) * column_blocks
        m_blocks = -(-m // plan.m_block)
        tasks = -(-geometry.batch // plan.images) * geometry.groups * blocks * m_blocks
        words = {
            **shared_words,
            **slab.words,
            **room,
            **_weight_words(table, job, side, weight, kernel),
            **_grid_words(job, plan, slab, scalars(side.target, parts)),
            Word.FIRST_TASK: first_task,
            Word.TASKS: tasks,
            Word.BLOCKS: blocks,
            Word.COLUMN_BLOCKS: column_blocks,
            Word.M_BLOCKS: m_blocks,
            Word.M_BLOCK: plan.m_block,
            Word.CHANNEL_BLOCK: plan.channel_block,
            Word.IN_PLACE: int(_reads_in_place(job, plan, side.source[3] * parts)),
        }
        table.set_job(number, words)
        first_task += tasks
        scratch = max(scratch, scratch_of_job)
        operations += (
            geometry.batch * geometry.groups * job.rows.grid * job.columns.grid * m * channels * tap_count
        )
    operations *= gathered
    table.set_header(
        JOBS=len(jobs),
        TASKS=first_task,
        GRAIN=grain(first_task, operations),
        SHARED=packed.shared_bytes if packed else 0,
        SCRATCH=scratch,
        PACK_TASKS=packed.tasks if packed else 0,
    )
    shared = packed.shared_bytes if packed else 0
    places = [_places(job, weight, parts) for job in jobs]
    packing = packed.packing((target, "direct", kernel.rows), weight, places) if packed else None
    return Lowered(kernel, table.words, shared, scratch, operations, largest.reason, packing)


def _places(job: _Job, weight: Operand, parts: int) -> list[int]:
    """Where the weights of a job's taps lie, in stored scalars."""
    _, _, step_h, step_w = scalars(weight.strides, parts)
    return [i * step_h + j * step_w for i, _ in job.rows.taps for j, _ in job.columns.taps]


def _packs_weights(geometry: Geometry, element: ElementType, side: Side, weight: Operand) -> bool:
    """Whether weights are packed: to convert them, or unless each row of them is one run in memory.

    Rows of scattered weights fall into few sets of the cache, and drive one another out of it.
    """
    if element.parts > 1 or element.bits != element.compute_bits:
        return True
    kernel_h, kernel_w = geometry.kernel_size
    _, _, step_h, step_w = weight.strides
    dense = (kernel_w == 1 or step_w == 1) and (kernel_h == 1 or step_h == kernel_w)
    return not dense or side.weight_c != kernel_h * kernel_w


def _weight_words(
    table: Table, job: _Job, side: Side, weight: Operand, kernel: DirectKernel
) -> dict[Word, int]:
    """Where the weights of a job's taps lie, and along what they are read."""
    parts = kernel.element.parts
    places = _places(job, weight, parts)
    side_by_side = places == list(range(places[0], places[0] + len(places))) if places else False
    if not side_by_side or side.weight_m == 1 or (side.weight_c == 1 and len(places) > 1):
        lines = WeightLines.CHANNELS
    elif side.weight_c == len(places):
        lines = WeightLines.BOTH
    else:
        lines = WeightLines.TAPS if len(places) >= kernel.rows else WeightLines.CHANNELS
    pair = 2 if kernel.dots and not kernel.packs_weights else 1
    return {
        Word.WEIGHT_TAP_TABLE: table.append(places),
        Word.WEIGHT_G: side.weight_g * parts // pair,
        Word.WEIGHT_M: side.weight_m * parts // pair,
        Word.WEIGHT_C: side.weight_c * parts,
        Word.WEIGHT_NEGATED: int(side.weight_conjugated),
        Word.WEIGHT_LINES: lines,
    }


def _scratch_words(
    kernel: DirectKernel, target: Target, plan: Plan, slab: Slab, tap_count: int, channels: int
) -> tuple[dict[Word, int], int]:
    """Where the parts of a thread's scratch begin, and how many bytes it has: table, rows, slab, tiles."""
    lanes, item = kernel.lanes(target), kernel.element.compute_bytes
    width = kernel.vectors * lanes
    slab_channels = plan.channel_block
    if kernel.source_interleaved:  # They are turned a whole register at a time.
        slab_channels = -(-slab_channels // lanes) * lanes
    single = plan.channel_block >= channels
    pixel_tiles = -(-slab.pixels // width)
    tile_rows = -(-plan.m_block // kernel.rows)
    products = plan.channel_block * tap_count
    packs = kernel.packs_weights and not kernel.dots
    sizes = (
        (Word.ROWS_AT, 8 * slab.words[Word.SLOTS]),
        (Word.BIAS_AT, tile_rows * kernel.rows * item),
        (Word.PANEL_AT, tile_rows * products * kernel.rows * item if packs else 0),
        (Word.SLAB_AT, (slab_channels * slab.channel_items + width + lanes) * item),
        # A whole register is read where a line of results begins within the last one of a tile.
        (Word.TILES_AT, ((1 if single else pixel_tiles * tile_rows) * kernel.rows * width + lanes) * item),
    )
    words = {}
    end = aligned(8 * TABLE_HEADER + 16 * products)
    for word, size in sizes:
        words[word] = end
        end += aligned(size)
    return words, end


def _grid_words(job: _Job, plan: Plan, slab: Slab, result: Strides) -> dict[Word, int]:
    """The grid of results, and how the pixels of a block fall on it."""
    block = plan.block_h * plan.block_w
    down = job.down
    if plan.form is Form.COPIED:
        run, period, down = block, block, result[0]  # A line is a whole image.
    elif plan.form is Form.GAPPED:
        run, period = plan.block_w, slab.words[Word.PITCH]
    else:
        whole = job.counts_through() and plan.block_w == job.columns.grid
        run = period = block if whole else plan.block_w
    return {
        Word.GRID_H: job.rows.grid,
        Word.GRID_W: job.columns.grid,
        Word.TARGET_BASE: job.rows.first * result[2] + job.columns.first * result[3],
        Word.TARGET_H: down,
        Word.TARGET_W: job.across,
        Word.RUN: run,
        Word.PERIOD: period,
    }


def _reads_in_place(job: _Job, plan: Plan, source_step: int) -> bool:
    """Whether results lie over the source pixel by pixel: one row, one tap, no padding."""
    offsets = [offset for _, offset in (*job.rows.taps, *job.columns.taps)]
    one_to_one = job.rows.grid == 1 and offsets == [0, 0] and source_step * job.columns.stride == 1
    return one_to_one and plan.images == 1 and not job.columns.listed


def _work(geometry: Geometry, job: _Job, channels: int, m: int, gathered: int) -> Work:
    down, across = ([offset for _, offset in axis.taps] or [0] for axis in (job.rows, job.columns))
    gap = max(across) - min(across)
    gappable = gap and not job.columns.listed and job.columns.stride == 1
    return Work(
        batch=geometry.batch,
        groups=geometry.groups,
        m=m,
        channels=channels,
        grid_h=job.rows.grid,
        grid_w=job.columns.grid,
        row_taps=len(job.rows.taps),
        column_taps=len(job.columns.taps),
        row_span=max(down) - min(down) + 1,
        stride_h=job.rows.stride,
        stride_w=job.columns.stride,
        gap=gap if gappable else None,
        images_follow=job.counts_through(),
        gathered=gathered,
    )
