"""Forward and grad input of planes → the kernel with result channels in registers, where it pays."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine import taps
from tatamu.engine.kernels.descriptions import PlanarKernel
from tatamu.engine.kernels.job import WeightLines, Word
from tatamu.engine.lowering.common import Lowered, Operand, grain, operand_words
from tatamu.engine.lowering.sides import Side
from tatamu.engine.padded import PaddedAxis, padded_words
from tatamu.engine.plan import tiles
from tatamu.engine.plan_planar import PlanarPlan, PlanarWork, direct_cycles, follow, plan_planar, tile_rows
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
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
) -> Lowered | None:
    """The forward pass, or None where another technique is better."""
    layouts = source.layout(geometry.input_size), result.layout(geometry.output_size)
    m = geometry.out_channels // geometry.groups
    if not _applies(element, target, m, layouts):
        return None
    side = Side(
        source.strides,
        result.strides,
        geometry.in_channels // geometry.groups,
        m,
        weight.strides[0] * m,
        weight.strides[0],
        weight.strides[1],
        source.conjugated,
        weight.conjugated,
        bias_stride,
    )
    job = taps.forward(geometry.rows, "zeros"), taps.forward(geometry.columns, "zeros")
    return lower_jobs(geometry, element, target, side, [job], geometry.padding_mode, weight)


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
) -> Lowered | None:
    """The gradient of the input, a job for each stride phase; None where another technique is better."""
    layouts = grad_output.layout(geometry.output_size), result.layout(geometry.input_size)
    m = geometry.in_channels // geometry.groups
    padded = any(amount for amounts in geometry.padding for amount in amounts)
    if not _applies(element, target, m, layouts) or (padded and geometry.padding_mode != "zeros"):
        return None
    channels = geometry.out_channels // geometry.groups
    side = Side(
        grad_output.strides,
        result.strides,
        channels,
        m,
        weight.strides[0] * channels,
        weight.strides[1],
        weight.strides[0],
        grad_output.conjugated,
        weight.conjugated,
        None,
    )
    jobs = [
        (rows, columns)
        for rows in taps.grad_input(geometry.rows, "zeros")
        for columns in taps.grad_input(geometry.columns, "zeros")
    ]
    return lower_jobs(geometry, element, target, side, jobs, "zeros", weight)


def _applies(element: ElementType, target: Target, m: int, layouts: tuple[Layout, Layout]) -> bool:
    """Whether registers are well filled, and planes on both sides."""
    lanes = target.lanes(element.compute_bytes)
    filled = -(-m // lanes) * lanes * 3 <= 4 * m
    if target.multiplies_pairs(element):  # Of channels that lie side by side, as they do not in planes.
        return False
    return element.parts == 1 and filled and all(layout is Layout.PLANAR for layout in layouts)


@dataclass(frozen=True)
class Folded:
    """Stride phases as result channels: words of the job, and lists of weights (see `lowering/phases.py`)."""

    words: dict[Word, int]
    places: list[int]
    runs: list[int]


def lower_jobs(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    side: Side,
    jobs: list[tuple[AxisTaps, AxisTaps]],
    mode: str,
    weight: Operand,
    folded: Folded | None = None,
) -> Lowered | None:
    """The pass as these jobs; None where the direct kernel is faster."""
    _, most = max(tiles(target).items())
    rows = tile_rows(max(down.grid * across.grid for down, across in jobs), target)
    kernel = PlanarKernel(element, rows, most, folded is not None)
    table = Table(len(jobs))
    shared_words = {
        **operand_words("SOURCE", side.source, side.channels, 1),
        **operand_words("TARGET", side.target, side.m, 1),
        **({} if folded is None else folded.words),
        Word.IMAGES: geometry.batch,
        Word.GROUPS: geometry.groups,
        Word.M: side.m,
        Word.CHANNELS: side.channels,
        Word.HAS_BIAS: int(side.bias_stride is not None),
        Word.BIAS_C: side.bias_stride or 0,
        Word.WEIGHT_G: side.weight_g,
        Word.WEIGHT_M: side.weight_m,
        Word.WEIGHT_C: side.weight_c,
        Word.SPARE_ROWS: rows,
    }
    first_task = operations = scratch = 0
    # The job with the most products is planned for; the others, a row or column smaller, follow it.
    works = [_work(geometry, element, side, job) for job in jobs]
    weightiest = max(works, key=lambda work: work.grid[0] * work.grid[1] * work.taps)
    common = plan_planar(weightiest, rows, most, element, target)
    if folded is None and common.cycles > direct_cycles(weightiest, element, target):
        return None
    for number, (work, (down, across)) in enumerate(zip(works, jobs, strict=True)):
        axes, in_place = (_padded(down), _padded(across)), work.in_place
        top, left = (min((offset for _, offset in axis.taps), default=0) for axis in (down, across))
        plan = common if work == weightiest else follow(common, work, element, target)
        places, slab_items = _places(side, plan, work)
        room, scratch_of_job = _scratch_words(kernel, target, plan, work, slab_items)
        blocks, m_blocks = -(-down.grid // plan.block_h), -(-side.m // plan.m_block)
        tasks = geometry.groups * -(-geometry.batch // plan.images) * blocks * m_blocks
        _, _, source_h, source_w = side.source
        _, _, target_h, target_w = side.target
        if folded is None:
            weights = _weight_words(table, down, across, side, weight)
        else:
            weights = _folded_words(table, folded)
        table.set_job(number, {
            **shared_words,
            **({} if in_place else padded_words(table, *axes, mode)),
            **places,
            **room,
            **weights,
            Word.IN_PLACE: int(in_place),
            Word.SOURCE_BASE: top * source_h + left * source_w,
            Word.SLOTS: work.rows[0],
            Word.FIRST_TASK: first_task,
            Word.TASKS: tasks,
            Word.IMAGES_A_TASK: plan.images,
            Word.BLOCKS: blocks,
            Word.BLOCK_H: plan.block_h,
            Word.M_BLOCKS: m_blocks,
            Word.M_BLOCK: plan.m_block,
            Word.VECTORS: plan.vectors,
            Word.CHANNEL_BLOCK: plan.channel_block,
            Word.STRIDE_H: down.stride,
            Word.STRIDE_W: across.stride,
            Word.ROW_TAPS: len(down.taps),
            Word.TAPS_ACROSS: len(across.taps),
            Word.ROW_TAP_TABLE: table.append([offset - top for _, offset in down.taps]),
            Word.COLUMN_TAP_TABLE: table.append([offset - left for _, offset in across.taps]),
            Word.GRID_H: down.grid,
            Word.GRID_W: across.grid,
            Word.TARGET_BASE: down.first * target_h + across.first * target_w,
            Word.TARGET_H: target_h * down.step,
            Word.TARGET_W: target_w * across.step,
        })  # fmt: skip
        first_task += tasks
        scratch = max(scratch, scratch_of_job)
        pixels = geometry.batch * down.grid * across.grid
        operations += pixels * geometry.groups * side.m * side.channels * work.taps
    table.set_header(
        JOBS=len(jobs), TASKS=first_task, GRAIN=grain(first_task, operations), SHARED=0, SCRATCH=scratch
    )
    return Lowered(kernel, table.words, 0, scratch, operations, common.reason)


def _padded(axis: AxisTaps) -> PaddedAxis:
    """The part of the padded source that an axis reads."""
    offsets = [offset for _, offset in axis.taps] or [0]
    last = (axis.grid - 1) * axis.stride + max(offsets)
    return PaddedAxis(axis.size, -min(offsets), last + 1 - axis.size)


def _work(geometry: Geometry, element: ElementType, side: Side, job: tuple[AxisTaps, AxisTaps]) -> PlanarWork:
    down, across = job
    offsets = [offset for _, offset in down.taps] or [0]
    axes = _padded(down), _padded(across)
    as_stored = element.bits == element.compute_bits
    return PlanarWork(
        batch=geometry.batch,
        groups=geometry.groups,
        m=side.m,
        channels=side.channels,
        grid=(down.grid, across.grid),
        taps=len(down.taps) * len(across.taps),
        rows=(max(offsets) - min(offsets) + 1, down.stride),
        columns=axes[1].before + axes[1].size + axes[1].after,
        in_place=as_stored and all(axis.before <= 0 and axis.after <= 0 for axis in axes),
        stride_w=across.stride,
        packs_weights=side.weight_c != geometry.kernel_size[0] * geometry.kernel_size[1],
    )


def _places(side: Side, plan: PlanarPlan, work: PlanarWork) -> tuple[dict[Word, int], int]:
    """Strides of what the scalars are read from, and how many elements a copy of it has."""
    if work.in_place:
        strides = side.source
        slab = 0
    else:
        lines = work.rows[0] + (plan.block_h - 1) * work.rows[1]
        image = lines * work.columns
        strides = (image, image * plan.images, work.columns, 1)
        slab = strides[1] * plan.channel_block
    words = (Word.PLACE_N, Word.PLACE_C, Word.PLACE_H, Word.PLACE_W)
    return dict(zip(words, strides, strict=True)), slab


def _weight_words(
    table: Table, down: AxisTaps, across: AxisTaps, side: Side, weight: Operand
) -> dict[Word, int]:
    """Where the weights of a job's taps lie, and along what they are read."""
    _, _, step_h, step_w = weight.strides
    places = [i * step_h + j * step_w for i, _ in down.taps for j, _ in across.taps]
    if places and places == list(range(places[0], places[0] + side.weight_c)):
        lines = WeightLines.BOTH
    else:
        lines = WeightLines.CHANNELS if side.weight_c == 1 else WeightLines.SCATTERED
    return {Word.WEIGHT_TAP_TABLE: table.append(places), Word.WEIGHT_LINES: lines}


def _folded_words(table: Table, folded: Folded) -> dict[Word, int]:
    """The lists of weights of all stride phases."""
    return {
        Word.WEIGHT_TAP_TABLE: table.append(folded.places),
        Word.WEIGHT_RUN_TABLE: table.append(folded.runs),
    }


def _scratch_words(
    kernel: PlanarKernel, target: Target, plan: PlanarPlan, work: PlanarWork, slab_items: int
) -> tuple[dict[Word, int], int]:
    """Where the parts of a thread's scratch begin, and how many bytes it has."""
    lanes, item = target.lanes(kernel.element.compute_bytes), kernel.element.compute_bytes
    pixels = plan.images * plan.block_h * work.grid[1]
    pitch = pixels + max(lanes, kernel.rows)
    products = plan.channel_block * work.taps
    sizes = (
        (Word.ROWS_AT, 8 * (pixels + kernel.rows)),
        (Word.ADDRESSES_AT, 8 * products),
        (Word.PANEL_AT, products * plan.vectors * lanes * item),
        (Word.SLAB_AT, (slab_items + lanes) * item),
        (Word.TILES_AT, pitch * plan.m_block * item),
    )
    words = {Word.TILE_PITCH: pitch}
    end = 64  # A thread's scratch begins with a word of the entry's.
    for word, size in sizes:
        words[word] = end
        end += aligned(size)
    return words, end
