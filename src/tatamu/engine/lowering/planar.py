"""Forward and grad input of planes → the kernel with result channels in registers, where it pays."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

from tatamu.engine import taps
from tatamu.engine.kernels.descriptions import (
    PLANAR_CHUNK,
    PLANAR_OVERRUN,
    PLANAR_PACK_CHANNELS,
    PlanarKernel,
)
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.lane_descriptions import FewChannelsKernel
from tatamu.engine.lowering.common import Lowered, Operand, Packing, grain, operand_words, prefetches
from tatamu.engine.lowering.sides import Side, weight_lines
from tatamu.engine.padded import PaddedAxis, padded_words
from tatamu.engine.planning.common import tiles
from tatamu.engine.planning.planar import PlanarPlan, PlanarWork, follow, may_share, plan_planar
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.taps import AxisTaps
from tatamu.engine.target import Target
from tatamu.geometry import Geometry

_FILLED, _PRODUCTS = 0.8, 48
"""The part of the registers' lanes that result channels fill, and the products of a result, from which the
direct kernel, whose registers pixels fill, is slower on most images."""
_FILLED_STRIDED = 0.75
"""The same for strides, where it gathers pixels one by one."""
_FEWER = 0.85
"""The part of the products that must be left for a job to be cut."""


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
    if not _applies(geometry, element, target, m, geometry.in_channels // geometry.groups, layouts):
        return None
    side = Side.of_forward(geometry, source, weight, bias_stride, result)
    job = taps.forward(geometry.rows, "zeros"), taps.forward(geometry.columns, "zeros")
    jobs = _without_idle_taps(*job, element, target) if geometry.padding_mode == "zeros" else [job]
    return lower_jobs(geometry, element, target, side, jobs, geometry.padding_mode, weight)


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
    m, channels = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
    fits = _applies(geometry, element, target, m, channels, layouts)
    if not fits or geometry.padding_mode != "zeros":
        return None
    side = Side.of_grad_input(geometry, grad_output, weight, result)
    jobs = [
        job
        for rows in taps.grad_input(geometry.rows, "zeros")
        for columns in taps.grad_input(geometry.columns, "zeros")
        for job in _without_idle_taps(rows, columns, element, target)
    ]
    return lower_jobs(geometry, element, target, side, jobs, "zeros", weight)


def _applies(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    m: int,
    channels: int,
    layouts: tuple[Layout, Layout],
) -> bool:
    """Whether result channels belong in registers: a rule that knows the layer, never the size of its images.

    See docs/decisions/planes.md for what it was measured by.
    """
    if target.multiplies_pairs(element):  # Of channels that lie side by side, as they do not in planes.
        return False
    lanes = target.lanes(element.compute_bytes)
    filled = m / (-(-m // lanes) * lanes)
    (kernel_h, kernel_w), strides = geometry.kernel_size, (geometry.rows.stride, geometry.columns.stride)
    if max(strides) == 1:  # Then the direct kernel has long runs of pixels, and writes them as they are.
        worth = filled >= _FILLED and channels * kernel_h * kernel_w >= _PRODUCTS
    else:
        worth = filled >= _FILLED_STRIDED
    return element.parts == 1 and worth and all(layout is Layout.PLANAR for layout in layouts)


def _without_idle_taps(
    rows: AxisTaps, columns: AxisTaps, element: ElementType, target: Target
) -> list[tuple[AxisTaps, AxisTaps]]:
    """The job, or pieces of it without the taps that see nothing but padding, where those are many."""
    pieces = taps.without_idle_taps(rows, columns, target.lanes(element.compute_bytes))
    jobs = [(down, across) for down in pieces[0] for across in pieces[1]]

    def products(down: AxisTaps, across: AxisTaps) -> int:
        return down.grid * across.grid * len(down.taps) * len(across.taps)

    fewer = sum(products(*job) for job in jobs) <= _FEWER * products(rows, columns)
    return jobs if fewer else [(rows, columns)]


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
    listed_weights: list[int] | None = None,
    few_channels: FewChannelsKernel | None = None,
) -> Lowered:
    """The pass as these jobs.

    ``listed_weights`` say where the weights of the only job's taps lie if not at the places of a kernel.
    ``few_channels`` is the kernel of the pass if it is not the planar one.
    """
    kernel = few_channels or PlanarKernel(element, *max(tiles(target).items()), folded is not None)
    rows, vectors = kernel.rows, kernel.vectors
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    table = Table(len(jobs))
    weight_count = math.prod(geometry.weight_size)
    listed = geometry.groups * side.m * side.channels * sum(len(r.taps) * len(c.taps) for r, c in jobs)
    # Jobs that have the same taps would pack them again.
    may = may_share(weight_count, item) and (folded is not None or listed <= weight_count)
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
        Word.PREFETCHES: prefetches(geometry, element, target),
    }
    first_task = operations = scratch = packed = 0
    registers = -(-side.m // lanes)
    packing: list[Hashable] = []
    # The job with the most products is planned for; the others, a row or column smaller, follow it.
    works = [_work(geometry, element, side, job, may_share=may) for job in jobs]
    weightiest = max(works, key=lambda work: work.grid[0] * work.grid[1] * work.taps)
    # The tile for few channels is already as wide as cuts them evenly.
    common = plan_planar(weightiest, rows, vectors, element, target, narrower=few_channels is None)
    shares = common.shares
    for number, (work, (down, across)) in enumerate(zip(works, jobs, strict=True)):
        axes, in_place = (_padded(down), _padded(across)), work.in_place
        top, left = (min((offset for _, offset in axis.taps), default=0) for axis in (down, across))
        plan = common if work == weightiest else follow(common, work, element, target)
        places, slab_items = _places(side, plan, work)
        room, scratch_of_job = _scratch_words(kernel, target, plan, work, slab_items)
        blocks, m_blocks = -(-down.grid // plan.block_h), -(-side.m // plan.m_block)
        tasks = geometry.groups * -(-geometry.batch // plan.images) * blocks * m_blocks
        # One register between panels keeps their lines out of the same few sets of the cache.
        panel = (side.channels * work.taps + 1) * lanes if shares else 0
        _, _, source_h, source_w = side.source
        _, _, target_h, target_w = side.target
        if folded is None:
            weights, way = _weight_words(table, down, across, side, weight, listed_weights)
        else:
            weights, way = _folded_words(table, folded)
        packing.append(way)
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
            Word.WEIGHT_PANEL: panel,
            Word.PANEL_BASE: packed,
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
        packed += geometry.groups * registers * panel
        pixels = geometry.batch * down.grid * across.grid
        operations += pixels * geometry.groups * side.m * side.channels * work.taps
    shared = aligned(packed * item)
    pack_tasks = geometry.groups * registers * -(-side.channels // PLANAR_PACK_CHANNELS) if shares else 0
    table.set_header(
        JOBS=len(jobs),
        TASKS=first_task,
        GRAIN=grain(first_task, operations),
        SHARED=shared,
        SCRATCH=scratch,
        PACK_TASKS=pack_tasks,
    )
    kept = None
    if shares and weight.is_dense(geometry.weight_size):
        # All that the kernel's packing reads.
        steps = side.weight_g, side.weight_m, side.weight_c
        key = ("planar", target, element, geometry.groups, side.m, side.channels, steps, tuple(packing))
        kept = Packing(key, weight_count * element.item_bytes)
    return Lowered(kernel, table.words, shared, scratch, operations, common.reason, kept)


def _padded(axis: AxisTaps) -> PaddedAxis:
    """The part of the padded source that an axis reads."""
    offsets = [offset for _, offset in axis.taps] or [0]
    last = (axis.grid - 1) * axis.stride + max(offsets)
    return PaddedAxis(axis.size, -min(offsets), last + 1 - axis.size)


def _work(
    geometry: Geometry, element: ElementType, side: Side, job: tuple[AxisTaps, AxisTaps], *, may_share: bool
) -> PlanarWork:
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
        may_share=may_share,
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
    table: Table, down: AxisTaps, across: AxisTaps, side: Side, weight: Operand, listed: list[int] | None
) -> tuple[dict[Word, int], Hashable]:
    """Where the weights of a job's taps lie, and along what they are read; and all that decides it."""
    _, _, step_h, step_w = weight.strides
    places = listed or [i * step_h + j * step_w for i, _ in down.taps for j, _ in across.taps]
    lines = weight_lines(places, side.weight_c)
    return {Word.WEIGHT_TAP_TABLE: table.append(places), Word.WEIGHT_LINES: lines}, (*places, lines)


def _folded_words(table: Table, folded: Folded) -> tuple[dict[Word, int], Hashable]:
    """The lists of weights of all stride phases; and all that decides how they are packed."""
    words = {
        Word.WEIGHT_TAP_TABLE: table.append(folded.places),
        Word.WEIGHT_RUN_TABLE: table.append(folded.runs),
    }
    return words, tuple(folded.places)


def _scratch_words(
    kernel: PlanarKernel | FewChannelsKernel,
    target: Target,
    plan: PlanarPlan,
    work: PlanarWork,
    slab_items: int,
) -> tuple[dict[Word, int], int]:
    """Where the parts of a thread's scratch begin, and how many bytes it has."""
    lanes, item = target.lanes(kernel.element.compute_bytes), kernel.element.compute_bytes
    pixels = plan.images * plan.block_h * work.grid[1]
    products = plan.channel_block * work.taps
    # Sums wait in memory where more channels are to come.
    waits = plan.channel_block < work.channels
    waiting, width = (pixels, plan.m_block) if waits else (min(pixels, PLANAR_CHUNK), plan.vectors * lanes)
    pitch = waiting + max(lanes, kernel.rows)
    listed = 8 * (pixels + max(kernel.rows, PLANAR_OVERRUN))
    few = isinstance(kernel, FewChannelsKernel)
    sizes = (
        (Word.ROWS_AT, listed),
        (Word.RESULTS_AT, listed if few else 0),
        (Word.BIAS_AT, (plan.m_block + width) * item if few else 0),
        (Word.ADDRESSES_AT, 8 * products),
        (Word.PANEL_AT, 0 if plan.shares else products * plan.vectors * lanes * item),
        (Word.SLAB_AT, (slab_items + lanes) * item),
        (Word.TILES_AT, pitch * width * item),
    )
    words = {Word.TILE_PITCH: pitch}
    end = 64  # A thread's scratch begins with a word of the entry's.
    for word, size in sizes:
        words[word] = end
        end += aligned(size)
    return words, end
