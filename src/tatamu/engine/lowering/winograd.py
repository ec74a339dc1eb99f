"""Forward and grad input of stride 1 → Winograd's kernel, where it pays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.winograd.descriptions import WEIGHT_CHANNELS, WinogradKernel
from tatamu.engine.lowering.common import Lowered, Operand, Packing, grain, operand_words
from tatamu.engine.padded import PaddedAxis, padded_words, row_phases
from tatamu.engine.planning.winograd import WinogradPlan, WinogradWork, plan_winograd
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.target import Target
from tatamu.geometry import Axis, Geometry


def lower_forward(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    weight: Operand,
    bias_stride: int | None,
    result: Operand,
) -> Lowered | str:
    """The forward pass, or why another technique is better."""
    if obstacle := why_not(geometry, element):
        return obstacle
    o, c, h, w = weight.strides
    work = work_of(
        geometry,
        geometry.in_channels // geometry.groups,
        geometry.out_channels // geometry.groups,
        (geometry.rows.output, geometry.columns.output),
    )
    side = _Side(
        source,
        result,
        (source.layout(geometry.input_size), result.layout(geometry.output_size)),
        PaddedAxis(geometry.rows.size, geometry.rows.before, geometry.rows.after),
        PaddedAxis(geometry.columns.size, geometry.columns.before, geometry.columns.after),
        geometry.padding_mode,
        (work.m * o, o, c),
        tuple(i * h + j * w for i in range(work.taps[0]) for j in range(work.taps[1])),
        weight.is_dense(geometry.weight_size),
        bias_stride,
    )
    return _lower(work, element, target, side)


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
) -> Lowered | str:
    """The gradient of the input, a convolution with the kernel turned; or why another way is better."""
    if obstacle := why_not(geometry, element):
        return obstacle
    if geometry.padding_mode != "zeros":
        return f"{geometry.padding_mode} padding"
    o, c, h, w = weight.strides
    work = work_of(
        geometry,
        geometry.out_channels // geometry.groups,
        geometry.in_channels // geometry.groups,
        (geometry.rows.size, geometry.columns.size),
    )
    side = _Side(
        grad_output,
        result,
        (grad_output.layout(geometry.output_size), result.layout(geometry.input_size)),
        _gradient_axis(geometry.rows),
        _gradient_axis(geometry.columns),
        "zeros",
        (work.channels * o, c, o),
        tuple(i * h + j * w for i in reversed(range(work.taps[0])) for j in reversed(range(work.taps[1]))),
        weight.is_dense(geometry.weight_size),
        None,
    )
    return _lower(work, element, target, side)


def why_not(geometry: Geometry, element: ElementType) -> str | None:
    """What the arithmetic is not possible with: it is for real floats, without stride."""
    for axis in (geometry.rows, geometry.columns):
        if axis.stride > 1:
            return f"stride {axis.stride}"
        if axis.dilation > 1 and axis.kernel > 1 and geometry.padding_mode != "zeros":
            return f"dilation {axis.dilation} with {geometry.padding_mode} padding"
    if element.parts > 1:
        return "complex numbers"
    return "integers" if element.is_integer else None


def work_of(geometry: Geometry, channels: int, m: int, grid: tuple[int, int]) -> WinogradWork:
    """The work of a pass, all of which multiply the same pairs of input and output positions."""
    axes = geometry.rows, geometry.columns
    inside = 1
    for axis in axes:
        pairs = axis.output * axis.kernel
        if geometry.padding_mode == "zeros":
            pairs = sum(
                max(0, min(axis.output, axis.size - offset) - max(0, -offset))
                for offset in range(-axis.before, axis.effective_kernel - axis.before, axis.dilation)
            )
        inside *= pairs
    dilation = axes[0].dilation if axes[0].kernel > 1 else 1, axes[1].dilation if axes[1].kernel > 1 else 1
    return WinogradWork(
        geometry.batch, geometry.groups, channels, m, grid, geometry.kernel_size, dilation, inside
    )


def _gradient_axis(axis: Axis) -> PaddedAxis:
    """The gradient of the output as the turned kernel sees it."""
    last = axis.effective_kernel - 1
    return PaddedAxis(axis.output, last - axis.before, last - axis.after)


@dataclass(frozen=True)
class _Side:
    """What is gathered, what is written, and how the weight is walked."""

    source: Operand
    result: Operand
    layouts: tuple[Layout, Layout]
    rows: PaddedAxis
    columns: PaddedAxis
    mode: str
    weight_steps: tuple[int, int, int]
    """From one group, one result channel and one source channel to the next."""
    places: tuple[int, ...]
    """Of the taps, in order."""
    weight_is_dense: bool
    bias_stride: int | None


def _lower(work: WinogradWork, element: ElementType, target: Target, side: _Side) -> Lowered | str:
    if Layout.STRIDED in side.layouts:
        return "neither columns nor channels lie side by side"
    plan = plan_winograd(work, element, target)
    if isinstance(plan, str):
        return plan
    interleaved = side.layouts[0] is Layout.INTERLEAVED, side.layouts[1] is Layout.INTERLEAVED
    kernel = WinogradKernel(
        element, plan.outputs, work.taps, plan.rows, plan.vectors, *interleaved, work.dilation[1] > 1
    )
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    panels = -(-work.m // (plan.vectors * lanes))
    (tiles_h, tiles_w), places = work.tiles, side.places
    column_blocks = -(-tiles_w // plan.block[1])
    blocks = -(-tiles_h // plan.block[0]) * column_blocks
    m_blocks = -(-panels // plan.panels)
    tasks = -(-work.batch // plan.images) * work.groups * blocks * m_blocks
    step = places[1] - places[0] if len(places) > 1 else 1
    contiguous = abs(step) == 1 and all(b - a == step for a, b in pairwise(places))
    table = Table(work.phases)
    rooms, scratch = _rooms(kernel, plan, work, lanes, item)
    words = {
        **operand_words("SOURCE", side.source.strides, work.channels, 1),
        **operand_words("TARGET", side.result.strides, work.m, 1),
        **rooms,
        Word.IMAGES: work.batch,
        Word.IMAGES_A_TASK: plan.images,
        Word.GROUPS: work.groups,
        Word.CHANNELS: work.channels,
        Word.CHANNEL_BLOCK: plan.channel_block,
        Word.M: work.m,
        Word.TASKS: tasks,
        Word.BLOCKS: blocks,
        Word.COLUMN_BLOCKS: column_blocks,
        Word.BLOCK_H: plan.block[0],
        Word.BLOCK_W: plan.block[1],
        Word.M_BLOCKS: m_blocks,
        Word.M_BLOCK: plan.panels,
        Word.TILES_H: tiles_h,
        Word.TILES_W: tiles_w,
        Word.COLUMN_STEP: work.dilation[1],
        Word.GRID_W: work.grid[1],
        Word.HAS_BIAS: int(side.bias_stride is not None),
        Word.BIAS_C: side.bias_stride or 0,
        Word.WEIGHT_G: side.weight_steps[0],
        Word.WEIGHT_M: side.weight_steps[1],
        Word.WEIGHT_C: side.weight_steps[2],
        Word.WEIGHT_TAP_TABLE: table.append(list(places)),
        Word.WEIGHT_CONTIGUOUS: step if contiguous else 0,
    }
    down = work.dilation[0]
    phases = row_phases(side.rows.size, side.rows.before, work.grid[0], work.taps[0], down)
    for number, phase in enumerate(phases):
        table.set_job(
            number,
            {
                **words,
                **padded_words(table, phase.axis, side.columns, side.mode),
                Word.FIRST_TASK: number * tasks,
                Word.GRID_H: phase.size,
                Word.SOURCE_BASE: phase.source * words[Word.SOURCE_H],
                Word.SOURCE_H: down * words[Word.SOURCE_H],
                Word.TARGET_BASE: phase.first * words[Word.TARGET_H],
                Word.TARGET_H: down * words[Word.TARGET_H],
            },
        )
    shared = 0 if plan.own_weights else aligned(work.groups * panels * rooms[Word.WEIGHT_PANEL] * item)
    operations = work.batch * work.groups * math.prod(work.grid) * work.m * work.channels * len(places)
    table.set_header(
        JOBS=work.phases,
        TASKS=work.phases * tasks,
        GRAIN=grain(work.phases * tasks, operations),
        SHARED=shared,
        SCRATCH=scratch,
        PACK_TASKS=work.groups * panels * -(-work.channels // WEIGHT_CHANNELS) if shared else 0,
    )
    packing = None
    if shared and side.weight_is_dense:
        # All that `kernels.winograd.weights` reads.
        how = element, plan.outputs, plan.vectors, work.taps, work.groups, work.channels, work.m
        weight_bytes = work.groups * work.m * work.channels * len(places) * element.item_bytes
        packing = Packing(("winograd", target, how, side.weight_steps, places), weight_bytes)
    return Lowered(kernel, table.words, shared, scratch, operations, plan.reason, packing)


def _rooms(
    kernel: WinogradKernel, plan: WinogradPlan, work: WinogradWork, lanes: int, item: int
) -> tuple[dict[Word, int], int]:
    """Where the parts of a thread's scratch begin, and how far apart elements lie; its size in bytes."""
    (mh, mw), (block_h, block_w) = plan.outputs, plan.block
    rows = block_h * mh + work.taps[0] - 1
    columns = block_w * mw + (work.taps[1] - 1) * work.dilation[1]
    tiles = -(-plan.images * block_h * block_w // plan.rows[-1]) * plan.rows[-1]
    # An odd number of lines from tile to tile spreads the rows of a register tile over the cache's sets.
    lines = -(-work.channels // lanes)
    pitch = (lines + 1 - lines % 2) * lanes
    width = plan.vectors * lanes
    # One register between products keeps their lines out of the same few sets of the cache.
    product, sum_product = tiles * pitch + lanes, tiles * width + lanes
    weight_product = (plan.channel_block if plan.own_weights else work.channels) * width + lanes
    sizes = {
        Word.SLAB_AT: rows * columns * lanes * item,
        Word.PANEL_AT: kernel.products * product * item,
        Word.TILES_AT: kernel.products * sum_product * item,
        Word.ROWS_AT: (mh * block_w * mw + lanes) * lanes * item,
        Word.FLAGS_AT: 8 * block_w,
    }
    if plan.own_weights:
        sizes[Word.WEIGHTS_AT] = kernel.products * weight_product * item
    words = {
        Word.TILE_PITCH: pitch,
        Word.TILE_PRODUCT: product,
        Word.SUM_PRODUCT: sum_product,
        Word.WEIGHT_PRODUCT: weight_product,
        Word.WEIGHT_PANEL: weight_product * kernel.products,
    }
    at = 64  # A thread's scratch begins with a word of the entry's.
    for word, size in sizes.items():
        words[word] = at
        at += aligned(size)
    return words, at
