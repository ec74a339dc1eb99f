"""Forward and grad input of stride 1 → Winograd's kernel, where it pays."""

from __future__ import annotations

from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.winograd.descriptions import WEIGHT_CHANNELS, WinogradKernel
from tatamu.engine.lowering.common import Lowered, Operand, Packing, grain, operand_words
from tatamu.engine.padded import PaddedAxis, padded_words
from tatamu.engine.plan_winograd import WinogradPlan, WinogradWork, plan_winograd
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.target import Target
from tatamu.geometry import Geometry

FROZEN_PACKINGS = 0.5
"""What a call with frozen weights pays of packing them: it reads from memory what it does not compute."""


def lower_forward(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    weight: Operand,
    bias_stride: int | None,
    result: Operand,
    *,
    frozen: bool,
) -> Lowered | str:
    """The forward pass, or why another technique is better.

    ``frozen`` weights are packed once for all calls.
    """
    if obstacle := why_not(geometry, element):
        return obstacle
    o, c, h, w = weight.strides
    work = WinogradWork(
        geometry.batch,
        geometry.groups,
        geometry.in_channels // geometry.groups,
        geometry.out_channels // geometry.groups,
        (geometry.rows.output, geometry.columns.output),
        geometry.kernel_size,
        FROZEN_PACKINGS if frozen else 1.0,
    )
    places = [i * h + j * w for i in range(geometry.rows.kernel) for j in range(geometry.columns.kernel)]
    axes = (
        PaddedAxis(geometry.rows.size, geometry.rows.before, geometry.rows.after),
        PaddedAxis(geometry.columns.size, geometry.columns.before, geometry.columns.after),
    )
    layouts = source.layout(geometry.input_size), result.layout(geometry.output_size)
    return _lower(
        work,
        element,
        target,
        source,
        (work.m * o, o, c),
        weight.is_dense(geometry.weight_size),
        places,
        axes,
        geometry.padding_mode,
        bias_stride,
        result,
        layouts,
    )


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
    padded = any(amount for amounts in geometry.padding for amount in amounts)
    if padded and geometry.padding_mode != "zeros":
        return f"{geometry.padding_mode} padding"
    o, c, h, w = weight.strides
    work = WinogradWork(
        geometry.batch,
        geometry.groups,
        geometry.out_channels // geometry.groups,
        geometry.in_channels // geometry.groups,
        (geometry.rows.size, geometry.columns.size),
        geometry.kernel_size,
    )
    kernel_h, kernel_w = geometry.kernel_size
    places = [i * h + j * w for i in reversed(range(kernel_h)) for j in reversed(range(kernel_w))]
    axes = (
        PaddedAxis(
            geometry.rows.output, kernel_h - 1 - geometry.rows.before, kernel_h - 1 - geometry.rows.after
        ),
        PaddedAxis(
            geometry.columns.output,
            kernel_w - 1 - geometry.columns.before,
            kernel_w - 1 - geometry.columns.after,
        ),
    )
    layouts = grad_output.layout(geometry.output_size), result.layout(geometry.input_size)
    return _lower(
        work,
        element,
        target,
        grad_output,
        (work.channels * o, c, o),
        weight.is_dense(geometry.weight_size),
        places,
        axes,
        "zeros",
        None,
        result,
        layouts,
    )


def why_not(geometry: Geometry, element: ElementType) -> str | None:
    """What the arithmetic is not possible with: it is for real floats, and neither stride nor dilation."""
    for axis in (geometry.rows, geometry.columns):
        if axis.stride > 1:
            return f"stride {axis.stride}"
        if axis.dilation > 1 and axis.kernel > 1:
            return f"dilation {axis.dilation}"
    if element.parts > 1:
        return "complex numbers"
    return "integers" if element.is_integer else None


def _lower(
    work: WinogradWork,
    element: ElementType,
    target: Target,
    source: Operand,
    weight_steps: tuple[int, int, int],
    weight_is_dense: bool,
    places: list[int],
    axes: tuple[PaddedAxis, PaddedAxis],
    mode: str,
    bias_stride: int | None,
    result: Operand,
    layouts: tuple[Layout, Layout],
) -> Lowered | str:
    """``weight_steps`` are from one group, one result channel and one source channel to the next."""
    if Layout.STRIDED in layouts:
        return "neither columns nor channels lie side by side"
    plan = plan_winograd(work, element, target)
    if isinstance(plan, str):
        return plan
    interleaved = layouts[0] is Layout.INTERLEAVED, layouts[1] is Layout.INTERLEAVED
    kernel = WinogradKernel(element, plan.outputs, work.taps, plan.rows, plan.vectors, *interleaved)
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    width = plan.vectors * lanes
    panels = -(-work.m // width)
    table = Table(1)
    tiles_h, tiles_w = (-(-size // m) for size, m in zip(work.grid, plan.outputs, strict=True))
    column_blocks = -(-tiles_w // plan.block[1])
    blocks = -(-tiles_h // plan.block[0]) * column_blocks
    m_blocks = -(-panels // plan.panels)
    tasks = -(-work.batch // plan.images) * work.groups * blocks * m_blocks
    # One register between products keeps their lines out of the same few sets of the cache.
    weight_product = work.channels * width + lanes
    weight_panel = weight_product * kernel.products
    step = places[1] - places[0] if len(places) > 1 else 1
    contiguous = abs(step) == 1 and places == list(range(places[0], places[0] + step * len(places), step))
    words, scratch = _rooms(kernel, plan, work, lanes, item)
    table.set_job(
        0,
        {
            **operand_words("SOURCE", source.strides, work.channels, 1),
            **operand_words("TARGET", result.strides, work.m, 1),
            **padded_words(table, *axes, mode),
            **words,
            Word.IMAGES: work.batch,
            Word.IMAGES_A_TASK: plan.images,
            Word.GROUPS: work.groups,
            Word.CHANNELS: work.channels,
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
            Word.GRID_H: work.grid[0],
            Word.GRID_W: work.grid[1],
            Word.HAS_BIAS: int(bias_stride is not None),
            Word.BIAS_C: bias_stride or 0,
            Word.WEIGHT_G: weight_steps[0],
            Word.WEIGHT_M: weight_steps[1],
            Word.WEIGHT_C: weight_steps[2],
            Word.WEIGHT_TAP_TABLE: table.append(places),
            Word.WEIGHT_CONTIGUOUS: step if contiguous else 0,
            Word.WEIGHT_PANEL: weight_panel,
            Word.WEIGHT_PRODUCT: weight_product,
        },
    )
    shared = aligned(work.groups * panels * weight_panel * item)
    operations = work.batch * work.groups * work.grid[0] * work.grid[1] * work.m * work.channels * len(places)
    table.set_header(
        JOBS=1,
        TASKS=tasks,
        GRAIN=grain(tasks, operations),
        SHARED=shared,
        SCRATCH=scratch,
        PACK_TASKS=work.groups * panels * -(-work.channels // WEIGHT_CHANNELS),
    )
    packing = None
    if weight_is_dense:
        # All that `kernels.winograd.weights` reads.
        how = element, plan.outputs, plan.vectors, work.taps, work.groups, work.channels, work.m
        weight_bytes = work.groups * work.m * work.channels * len(places) * element.item_bytes
        packing = Packing(("winograd", target, how, weight_steps, tuple(places)), weight_bytes)
    return Lowered(kernel, table.words, shared, scratch, operations, plan.reason, packing)


def _rooms(
    kernel: WinogradKernel, plan: WinogradPlan, work: WinogradWork, lanes: int, item: int
) -> tuple[dict[Word, int], int]:
    """Where the parts of a thread's scratch begin, how far apart their elements lie; its size in bytes."""
    (mh, mw), (block_h, block_w) = plan.outputs, plan.block
    rows, columns = block_h * mh + work.taps[0] - 1, block_w * mw + work.taps[1] - 1
    tiles = -(-plan.images * block_h * block_w // plan.rows[-1]) * plan.rows[-1]
    # An odd number of lines from tile to tile spreads the rows of a register tile over the cache's sets.
    lines = -(-work.channels // lanes)
    pitch = (lines + 1 - lines % 2) * lanes
    product = tiles * pitch + lanes
    sum_product = tiles * plan.vectors * lanes + lanes
    sizes = {
        Word.SLAB_AT: max(rows * columns, kernel.products) * lanes * item,
        Word.PANEL_AT: kernel.products * product * item,
        Word.TILES_AT: kernel.products * sum_product * item,
        Word.ROWS_AT: (mh * block_w * mw + lanes) * lanes * item,
        Word.FLAGS_AT: 8 * block_w,
    }
    words = {Word.TILE_PITCH: pitch, Word.TILE_PRODUCT: product, Word.SUM_PRODUCT: sum_product}
    at = 64  # A thread's scratch begins with a word of the entry's.
    for word, size in sizes.items():
        words[word] = at
        at += aligned(size)
    return words, at
