"""Forward and grad input → Winograd's kernel, where it pays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, pairwise

from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.winograd.descriptions import WEIGHT_CHANNELS, WinogradKernel
from tatamu.engine.lowering.common import Lowered, Operand, Packing, grain, operand_words
from tatamu.engine.padded import PaddedAxis, RowPhase, padded_words, row_phases
from tatamu.engine.planning.winograd import WinogradPlan, WinogradWork, plan_winograd
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.target import Target
from tatamu.engine.winograd_forms import AxisForm, Form
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
        (geometry.rows, geometry.columns),
        geometry.padding_mode,
        (work.m * o, o, c),
        tuple(i * h + j * w for i in range(work.taps[0]) for j in range(work.taps[1])),
        weight.is_dense(geometry.weight_size),
        bias_stride,
        is_gradient=False,
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
    """The gradient of the input, a convolution with the kernel turned; or why another way is better.

    Of a stride, it is patches of results, of which each pixel needs the taps of one phase.
    """
    if obstacle := why_not(geometry, element):
        return obstacle
    if geometry.padding_mode != "zeros":
        return f"{geometry.padding_mode} padding"
    o, c, h, w = weight.strides
    axes = geometry.rows, geometry.columns
    has_stride = any(axis.stride > 1 for axis in axes)
    work = work_of(
        geometry,
        geometry.out_channels // geometry.groups,
        geometry.in_channels // geometry.groups,
        (geometry.rows.size, geometry.columns.size),
        (axes[0].before % axes[0].stride, axes[1].before % axes[1].stride) if has_stride else None,
    )
    down, across = (range(n) if has_stride else range(n)[::-1] for n in work.taps)
    side = _Side(
        grad_output,
        result,
        (grad_output.layout(geometry.output_size), result.layout(geometry.input_size)),
        axes if has_stride else (_turned(axes[0]), _turned(axes[1])),
        "zeros",
        (work.channels * o, c, o),
        tuple(i * h + j * w for i in down for j in across),
        weight.is_dense(geometry.weight_size),
        None,
        is_gradient=True,
    )
    return _lower(work, element, target, side)


def why_not(geometry: Geometry, element: ElementType) -> str | None:
    """What the arithmetic is not possible with: it is for real floats, and for stride or dilation."""
    for axis in (geometry.rows, geometry.columns):
        if axis.dilation == 1 or axis.kernel == 1:
            continue
        if axis.stride > 1:
            return f"stride {axis.stride} with dilation {axis.dilation}"
        if geometry.padding_mode != "zeros":
            return f"dilation {axis.dilation} with {geometry.padding_mode} padding"
    if element.parts > 1:
        return "complex numbers"
    return "integers" if element.is_integer else None


def work_of(
    geometry: Geometry, channels: int, m: int, grid: tuple[int, int], shift: tuple[int, int] | None = None
) -> WinogradWork:
    """The work of a pass, all of which multiply the same pairs of input and output positions."""
    axes = geometry.rows, geometry.columns
    inside = 1
    for axis in axes:
        pairs = axis.output * axis.kernel
        if geometry.padding_mode == "zeros":
            pairs = sum(
                max(
                    0,
                    min(axis.output, -((offset - axis.size) // axis.stride))
                    - max(0, -(offset // axis.stride)),
                )
                for offset in range(-axis.before, axis.effective_kernel - axis.before, axis.dilation)
            )
        inside *= pairs
    return WinogradWork(
        geometry.batch,
        geometry.groups,
        channels,
        m,
        grid,
        geometry.kernel_size,
        (axes[0].stride, axes[1].stride),
        (axes[0].dilation if axes[0].kernel > 1 else 1, axes[1].dilation if axes[1].kernel > 1 else 1),
        inside,
        shift,
    )


def _turned(axis: Axis) -> Axis:
    """The gradient of the output as the turned kernel sees it."""
    last = axis.effective_kernel - 1
    return Axis(axis.output, axis.kernel, 1, axis.dilation, last - axis.before, last - axis.after)


def _padded(axis: Axis, form: AxisForm) -> PaddedAxis:
    """The source, so that the first tile begins at position 0."""
    if form.shift is None:
        return PaddedAxis(axis.size, axis.before, axis.after)
    # Patches begin at padded positions that the stride divides. What comes after the source is zeros.
    return PaddedAxis(axis.output, -(axis.before // axis.stride + form.first * axis.dilation), 0)


@dataclass(frozen=True)
class _Side:
    """What is gathered, what is written, and how the weight is walked."""

    source: Operand
    result: Operand
    layouts: tuple[Layout, Layout]
    axes: tuple[Axis, Axis]
    mode: str
    weight_steps: tuple[int, int, int]
    """From one group, one result channel and one source channel to the next."""
    places: tuple[int, ...]
    """Of the taps, in order."""
    weight_is_dense: bool
    bias_stride: int | None
    is_gradient: bool


def _lower(work: WinogradWork, element: ElementType, target: Target, side: _Side) -> Lowered | str:
    if Layout.STRIDED in side.layouts:
        return "neither columns nor channels lie side by side"
    plan = plan_winograd(work, element, target)
    if isinstance(plan, str):
        return plan
    interleaved = side.layouts[0] is Layout.INTERLEAVED, side.layouts[1] is Layout.INTERLEAVED
    kernel = WinogradKernel(element, plan.form, plan.rows, plan.vectors, *interleaved, work.dilation[1] > 1)
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    panels = -(-work.m // (plan.vectors * lanes))
    form, places = plan.form, side.places
    tiles_h, tiles_w = work.tiles(form.outputs)
    column_blocks = -(-tiles_w // plan.block[1])
    blocks = -(-tiles_h // plan.block[0]) * column_blocks
    m_blocks = -(-panels // plan.panels)
    tasks = -(-work.batch // plan.images) * work.groups * blocks * m_blocks
    step = places[1] - places[0] if len(places) > 1 else 1
    contiguous = abs(step) == 1 and all(b - a == step for a, b in pairwise(places))
    table = Table(work.phases)
    rooms, scratch = _rooms(plan, work, lanes, item)
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
        Word.INSIDE_ALONE: int(side.is_gradient),
        **_form_words(table, form, work.dilation[1]),
    }
    rows, columns = map(_padded, side.axes, form.axes)
    down = work.dilation[0]
    phases = [RowPhase(0, 0, work.grid[0], rows)]
    if down > 1:
        phases = row_phases(rows.size, rows.before, work.grid[0], work.taps[0], down)
    for number, phase in enumerate(phases):
        table.set_job(
            number,
            {
                **words,
                **padded_words(table, phase.axis, columns, side.mode),
                Word.FIRST_TASK: number * tasks,
                Word.GRID_H: phase.size,
                Word.SOURCE_BASE: phase.source * words[Word.SOURCE_H],
                Word.SOURCE_H: down * words[Word.SOURCE_H],
                Word.TARGET_BASE: phase.first * words[Word.TARGET_H],
                Word.TARGET_H: down * words[Word.TARGET_H],
            },
        )
    packed = 0 if plan.own_weights else aligned(work.groups * panels * rooms[Word.WEIGHT_PANEL] * item)
    pack_tasks = work.groups * panels * -(-work.channels // WEIGHT_CHANNELS) if packed else 0
    of_tiles = tasks // m_blocks * rooms[Word.TILES_BLOCK] * item
    if of_tiles:
        pack_tasks = tasks // m_blocks * -(-work.channels // lanes)
    operations = work.batch * work.groups * math.prod(work.grid) * work.m * work.channels * len(places)
    table.set_header(
        JOBS=work.phases,
        TASKS=work.phases * tasks,
        GRAIN=grain(work.phases * tasks, operations),
        SHARED=packed + aligned(of_tiles),
        SCRATCH=scratch,
        PACK_TASKS=pack_tasks,
    )
    packing = None
    if packed and side.weight_is_dense:
        # All that `kernels.winograd.weights` reads.
        how = element, form, plan.vectors, work.groups, work.channels, work.m
        weight_bytes = work.groups * work.m * work.channels * len(places) * element.item_bytes
        packing = Packing(("winograd", target, how, side.weight_steps, places), weight_bytes)
    shared = packed + aligned(of_tiles)
    return Lowered(kernel, table.words, shared, scratch, operations, plan.reason, packing)


def _form_words(table: Table, form: Form, across: int) -> dict[Word, int]:
    """Append the lists of sub-kernels and of terms, whose columns are ``across`` apart, and name them."""
    subkernels = form.subkernels()
    first_pixels = [place for y, x, _ in subkernels for place in (y, x * across)]
    return {
        Word.SUBKERNEL_TABLE: table.append(first_pixels),
        Word.SUBKERNEL_TAP_TABLE: table.append([tap for _, _, taps in subkernels for tap in taps]),
        Word.ROW_TERMS: len(form.rows.terms),
        Word.ROW_TERM_TABLE: table.append(list(chain(*form.rows.terms))),
        Word.COLUMN_TERMS: len(form.columns.terms),
        Word.COLUMN_TERM_TABLE: table.append(
            [value for i, k, x in form.columns.terms for value in (i * across, k, x * across)]
        ),
    }


def _rooms(plan: WinogradPlan, work: WinogradWork, lanes: int, item: int) -> tuple[dict[Word, int], int]:
    """Where the parts of a thread's scratch begin, and how far apart elements lie; its size in bytes."""
    form, (block_h, block_w) = plan.form, plan.block
    mh, mw = form.outputs
    rows = (block_h - 1) * form.rows.advance + form.rows.span
    across = work.dilation[1]
    columns = block_w * form.columns.advance + (form.columns.span - form.columns.advance) * across
    tiles = -(-plan.images * block_h * block_w // plan.rows[-1]) * plan.rows[-1]
    # An odd number of lines from tile to tile spreads the rows of a register tile over the cache's sets.
    lines = form.count * (work.channels // lanes)
    if rest := work.channels % lanes:  # Those of each sub-kernel are stored as a whole register.
        lines += -(-((form.count - 1) * rest + lanes) // lanes)
    pitch = (lines + 1 - lines % 2) * lanes
    width = plan.vectors * lanes
    # One register between products keeps their lines out of the same few sets of the cache.
    product, sum_product = tiles * pitch + lanes, tiles * width + lanes
    weight_channels = plan.channel_block if plan.own_weights else work.channels
    weight_product = form.count * weight_channels * width + lanes
    sizes = {
        Word.SLAB_AT: rows * columns * lanes * item,
        Word.PANEL_AT: 0 if plan.shared_tiles else form.products * product * item,
        Word.TILES_AT: form.products * sum_product * item,
        Word.ROWS_AT: (mh * block_w * mw + lanes) * lanes * item,
        Word.FLAGS_AT: 8 * block_w,
    }
    if plan.own_weights:
        sizes[Word.WEIGHTS_AT] = form.products * weight_product * item
    words = {
        Word.TILES_BLOCK: form.products * product if plan.shared_tiles else 0,
        Word.TILE_PITCH: pitch,
        Word.TILE_PRODUCT: product,
        Word.SUM_PRODUCT: sum_product,
        Word.WEIGHT_PRODUCT: weight_product,
        Word.WEIGHT_PANEL: weight_product * form.products,
    }
    at = 64  # A thread's scratch begins with a word of the entry's.
    for word, size in sizes.items():
        words[word] = at
        at += aligned(size)
    return words, at
