"""Grad weight of stride 1 → Winograd's kernel, where it pays."""

from __future__ import annotations

from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.winograd.descriptions import WinogradGradWeightKernel
from tatamu.engine.lowering import winograd
from tatamu.engine.lowering.common import Lowered, Operand, grain, operand_words
from tatamu.engine.padded import PaddedAxis, padded_words, row_phases
from tatamu.engine.planning.winograd import WinogradWork
from tatamu.engine.planning.winograd_grad_weight import WinogradGradWeightPlan, plan_winograd_grad_weight
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.target import Target
from tatamu.geometry import Geometry


def lower_grad_weight(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    grad_output: Operand,
    result: Operand,
) -> Lowered | str:
    """The gradient of the weight, or why another technique is better."""
    layouts = source.layout(geometry.input_size), grad_output.layout(geometry.output_size)
    if obstacle := winograd.why_not(geometry, element):
        return obstacle
    if stride := next((axis.stride for axis in (geometry.rows, geometry.columns) if axis.stride > 1), None):
        return f"stride {stride}"
    if layouts[0] is not layouts[1] or Layout.STRIDED in layouts:
        return "input and gradient do not both have columns, or channels, side by side"
    rows, columns = geometry.rows, geometry.columns
    work = winograd.work_of(
        geometry,
        geometry.in_channels // geometry.groups,
        geometry.out_channels // geometry.groups,
        (rows.output, columns.output),
    )
    plan = plan_winograd_grad_weight(work, element, target)
    if isinstance(plan, str):
        return plan
    interleaved, (down, across) = layouts[0] is Layout.INTERLEAVED, work.dilation
    kernel = WinogradGradWeightKernel(
        element, plan.tile, work.taps, plan.rows, plan.vectors, interleaved, across > 1
    )
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    table = Table(2 * work.phases)
    tiles_h, tiles_w = work.tiles(plan.tile)
    column_blocks = -(-tiles_w // plan.block[1])
    tasks = work.groups * -(-work.channels // plan.channel_block) * -(-work.m // plan.m_block)
    rooms, second_rooms, scratch = _rooms(kernel, plan, work, lanes, item)
    n, c, h, w = result.strides
    places = [i * h + j * w for i in range(rows.kernel) for j in range(columns.kernel)]
    words = {
        **operand_words("SOURCE", source.strides, work.channels, 1),
        **rooms,
        Word.TARGET_G: n * work.m,
        Word.TARGET_N: n,
        Word.TARGET_C: c,
        Word.WEIGHT_TAP_TABLE: table.append(places),
        Word.WEIGHT_CONTIGUOUS: int(places == list(range(len(places)))),
        Word.TASKS: tasks,
        Word.IMAGES: work.batch,
        Word.IMAGES_A_TASK: plan.images,
        Word.GROUPS: work.groups,
        Word.CHANNELS: work.channels,
        Word.CHANNEL_BLOCK: plan.channel_block,
        Word.M: work.m,
        Word.M_BLOCK: plan.m_block,
        Word.M_BLOCKS: -(-work.m // plan.m_block),
        Word.ROW_PHASES: work.phases,
        Word.BLOCKS: -(-tiles_h // plan.block[0]) * column_blocks,
        Word.COLUMN_BLOCKS: column_blocks,
        Word.BLOCK_H: plan.block[0],
        Word.BLOCK_W: plan.block[1],
        Word.TILES_H: tiles_h,
        Word.TILES_W: tiles_w,
        Word.COLUMN_STEP: across,
        Word.GRID_W: columns.output,
    }
    second = {
        **operand_words("SOURCE", grad_output.strides, work.m, 1),
        **second_rooms,
        Word.COLUMN_STEP: across,
    }
    side = PaddedAxis(columns.size, columns.before, columns.after), PaddedAxis(columns.output, 0, 0)
    phases = row_phases(rows.size, rows.before, rows.output, rows.kernel, down)
    for number, phase in enumerate(phases):
        table.set_job(
            2 * number,
            {
                **words,
                **padded_words(table, phase.axis, side[0], geometry.padding_mode),
                **_every(words, phase.source, down),
                Word.GRID_H: phase.size,
            },
        )
        table.set_job(
            2 * number + 1,
            {
                **second,
                **padded_words(table, PaddedAxis(phase.size, 0, 0), side[1], "zeros"),
                **_every(second, phase.first, down),
            },
        )
    operations = geometry.macs
    table.set_header(JOBS=1, TASKS=tasks, GRAIN=grain(tasks, operations), SHARED=0, SCRATCH=scratch)
    return Lowered(kernel, table.words, 0, scratch, operations, plan.reason)


def _every(words: dict[Word, int], first: int, step: int) -> dict[Word, int]:
    """The words of every ``step``-th row of the source from ``first`` on."""
    row = words[Word.SOURCE_H]
    return {Word.SOURCE_BASE: first * row, Word.SOURCE_H: step * row}


def _rooms(
    kernel: WinogradGradWeightKernel, plan: WinogradGradWeightPlan, work: WinogradWork, lanes: int, item: int
) -> tuple[dict[Word, int], dict[Word, int], int]:
    """How the parts of a thread's scratch lie, for the input and for grad output; its size in bytes."""
    (mh, mw), (block_h, block_w), (kernel_h, kernel_w) = plan.tile, plan.block, work.taps
    tiles, width = plan.images * block_h * block_w, plan.vectors * lanes
    pixels = (block_h * mh + kernel_h - 1) * (block_w * mw + (kernel_w - 1) * work.dilation[1])
    pitch = aligned(plan.channel_block * item) // item
    second_pitch = -(-plan.m_block // width) * width
    sum_rows = -(-plan.channel_block // plan.rows[-1]) * plan.rows[-1]
    # One register between products keeps their lines out of the same few sets of the cache.
    product, second_product = tiles * pitch + lanes, tiles * second_pitch + lanes
    sum_product = sum_rows * second_pitch + lanes
    sizes = {
        Word.SLAB_AT: pixels * lanes * item,
        Word.PANEL_AT: kernel.products * product * item,
        Word.ROWS_AT: max(kernel.products * second_product, (mh * block_w * mw) * lanes) * item,
        Word.TILES_AT: kernel.products * sum_product * item,
        Word.TAPS_AT: lanes * kernel_h * kernel_w * lanes * item,
        Word.FLAGS_AT: 8,
    }
    words = {
        Word.TILE_PITCH: pitch,
        Word.TILE_PRODUCT: product,
        Word.SUM_PITCH: second_pitch,
        Word.SUM_PRODUCT: sum_product,
    }
    at = 64  # A thread's scratch begins with a word of the entry's.
    for word, size in sizes.items():
        words[word] = at
        at += aligned(size)
    return words, {Word.TILE_PITCH: second_pitch, Word.TILE_PRODUCT: second_product}, at
