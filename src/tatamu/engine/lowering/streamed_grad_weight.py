"""Grad weight of dense layers → the kernel whose rows are streams."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tatamu.engine import taps
from tatamu.engine.kernels.descriptions import StreamedGradWeightKernel
from tatamu.engine.kernels.job import AHEAD_ENTRY_WORDS, AHEAD_HEAD_WORDS, LINE_BYTES, Word
from tatamu.engine.lowering.common import Lowered, Operand, flattened, grain, operand_words
from tatamu.engine.planning.common import tiles
from tatamu.engine.planning.streamed_grad_weight import (
    StreamPlan,
    StreamWork,
    plan_streams,
    step_cycles,
)
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.target import Target
from tatamu.geometry import Axis, Geometry

_MANY_CHANNELS = 24
"""So many channels fill the rows of register tiles tap by tap."""
_TURNED = 1.05
"""What sums cost, relative to all others, that must be turned before they are written."""
_SLICES = 8
"""Pieces of a task's sums whose parts are added by different threads."""


def has_few_channels(geometry: Geometry, element: ElementType, target: Target) -> bool:
    """Whether channels are too few to be worth Winograd's transforms, and results enough for streams."""
    lanes = target.lanes(element.compute_bytes)
    channels, m = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
    return 4 * channels <= lanes < 2 * m


@dataclass(frozen=True)
class _Roles:
    """Which operand's channels are rows of the product (streams), and which fill registers (second)."""

    geometry: Geometry
    source: Operand
    second: Operand
    channels: int
    m: int
    layouts: tuple[Layout, Layout]
    swapped: bool
    target_m: int
    target_c: int


def lower_grad_weight(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    grad_output: Operand,
    result: Operand,
) -> Lowered | None:
    """The gradient of the weight, or None where another technique is better."""
    if element.parts != 1 or element.bits != element.compute_bits or geometry.padding_mode != "zeros":
        return None
    rows = max(tiles(target))
    widest = rows, tiles(target)[rows]
    lanes = target.lanes(element.compute_bytes)
    roles = _roles(geometry, source, grad_output, result, widest, lanes)
    if Layout.STRIDED in roles.layouts or roles.m * 2 <= lanes:
        return None
    paired = roles.channels < _MANY_CHANNELS and roles.channels % rows != 0
    if paired and roles.channels * geometry.kernel_size[0] * geometry.kernel_size[1] < rows:
        return None
    return _lower(roles, element, target, result, *widest, paired=paired)


def _roles(
    geometry: Geometry,
    source: Operand,
    grad_output: Operand,
    result: Operand,
    tile: tuple[int, int],
    lanes: int,
) -> _Roles:
    """Result channels fill registers; of a pointwise layer, those of whichever operand fill them better."""
    geometry = _one_line(flattened(geometry, source, grad_output), source, grad_output)
    groups = geometry.groups
    channels, m = geometry.in_channels // groups, geometry.out_channels // groups
    layouts = source.layout(geometry.input_size), grad_output.layout(geometry.output_size)
    n, c, *_ = result.strides
    plain = _Roles(geometry, source, grad_output, channels, m, layouts, False, n, c)
    axes = geometry.rows, geometry.columns
    if any((axis.kernel, axis.stride, axis.before, axis.after) != (1, 1, 0, 0) for axis in axes):
        return plain
    turned = replace(geometry, in_channels=geometry.out_channels, out_channels=geometry.in_channels)
    swapped = _Roles(turned, grad_output, source, m, channels, (layouts[1], layouts[0]), True, c, n)

    def cycles(roles: _Roles) -> float:
        turned = roles.layouts[1] is not Layout.INTERLEAVED
        step = step_cycles(roles.channels, roles.m, tile, lanes, turned=turned)
        # Sums that are registers of the result need no turning.
        return step if roles.target_m == 1 and roles.m % lanes == 0 else step * _TURNED

    return min((plain, swapped), key=cycles)


def _one_line(geometry: Geometry, *operands: Operand) -> Geometry:
    """Images of one row each that follow one another, all channels of a pixel side by side, as one row."""
    rows, columns = geometry.rows, geometry.columns
    pointwise = all(
        (axis.kernel, axis.stride, axis.before, axis.after) == (1, 1, 0, 0) for axis in (rows, columns)
    )
    follow = all(operand.strides[0] == columns.size * operand.strides[3] for operand in operands)
    if not pointwise or rows.size > 1 or not follow:
        return geometry
    return replace(geometry, batch=1, columns=Axis(geometry.batch * columns.size, 1))


def _lower(
    roles: _Roles,
    element: ElementType,
    target: Target,
    result: Operand,
    rows: int,
    vectors: int,
    *,
    paired: bool,
) -> Lowered:
    geometry, item = roles.geometry, element.compute_bytes
    down, across = geometry.rows, geometry.columns
    count = down.kernel * across.kernel
    grid = down.output, across.output
    interleaved = tuple(layout is Layout.INTERLEAVED for layout in roles.layouts)
    gathered = paired and not (_inside(down) and _inside(across))
    kernel = StreamedGradWeightKernel(element, rows, vectors, gathered, *interleaved)
    line = down.stride * ((grid[1] - 1) * across.stride + across.effective_kernel) * roles.channels * item
    work = StreamWork(
        geometry.batch,
        geometry.groups,
        roles.channels * count if paired else roles.channels,
        1 if paired else count,
        roles.m,
        grid,
        not interleaved[1],
        # The taps of few channels lie near one another as they are.
        interleaved[0] and not paired,
        line if gathered else 0,
    )
    plan = plan_streams(work, rows, vectors, item, target)
    table = Table(1)
    if paired:
        streams = _paired_streams(table, roles, plan, result, gathered=gathered)
    else:
        streams = _streams_in_place(table, roles, result)
    channels_along = (plan.stream_block, plan.m_block)
    steps = (streams[Word.STREAM_W], roles.second.strides[3])
    line_bytes = [
        (channels if flag else plan.block[1] * step) * item
        for flag, channels, step in zip(interleaved, channels_along, steps, strict=True)
    ]
    line_bytes += [plan.stream_block * work.taps * item, plan.m_block * item]
    rooms, scratch = _rooms(
        work, plan, streams, target.lanes(item), rows, item, gathered=gathered, line_bytes=line_bytes
    )
    direct = roles.target_m == 1 and roles.m % target.lanes(item) == 0 and plan.parts == 1
    direct = direct and work.taps == 1 and not paired
    slices = 1 if plan.parts == 1 else max(1, min(_SLICES, plan.stream_block // rows))
    blocks = [-(-size // block) for size, block in zip(grid, plan.block, strict=True)]
    m_blocks = -(-roles.m // plan.m_block)
    tasks = geometry.groups * -(-work.streams // plan.stream_block) * m_blocks
    width = vectors * target.lanes(item)
    sums = work.taps * -(-plan.m_block // width) * width * -(-plan.stream_block // rows) * rows
    shared = aligned(tasks * plan.parts * sums * item) if plan.parts > 1 else 0
    table.set_job(0, {
        **operand_words("SOURCE", roles.source.strides, roles.channels, 1),
        **operand_words("SECOND", roles.second.strides, roles.m, 1),
        **streams,
        **rooms,
        Word.TARGET_G: result.strides[0] * (roles.channels if roles.swapped else roles.m),
        Word.TARGET_N: roles.target_m,
        Word.TARGET_C: roles.target_c,
        Word.DIRECT: int(direct),
        Word.AHEAD: int(gathered or not paired),
        Word.SLICES: slices,
        Word.TASKS: tasks * slices,
        Word.SWAPPED: int(roles.swapped),
        Word.PARTS: plan.parts,
        Word.SUMS: sums,
        Word.GROUPS: geometry.groups,
        Word.IMAGES: geometry.batch,
        Word.IMAGES_A_TASK: plan.images,
        Word.GRID_H: grid[0],
        Word.GRID_W: grid[1],
        Word.BLOCK_H: plan.block[0],
        Word.BLOCK_W: plan.block[1],
        Word.COLUMN_BLOCKS: blocks[1],
        Word.BLOCKS: -(-geometry.batch // plan.images) * blocks[0] * blocks[1],
        Word.CHANNELS: work.streams,
        Word.CHANNEL_BLOCK: plan.stream_block,
        Word.M: roles.m,
        Word.M_BLOCK: plan.m_block,
        Word.M_BLOCKS: m_blocks,
        Word.ROW_TAPS: work.taps,
        Word.IN_PLACE: int(plan.in_place),
        Word.HEIGHT: down.size,
        Word.COLUMN_HIGH: across.size,
        Word.ROW_BEFORE: down.before,
        Word.COLUMN_BEFORE: across.before,
        Word.STRIDE_H: down.stride,
        Word.STRIDE_W: across.stride,
    })  # fmt: skip
    operations = geometry.macs
    table.set_header(
        JOBS=1,
        TASKS=tasks * slices,
        GRAIN=grain(tasks * slices, operations) if plan.parts == 1 else 1,
        SHARED=shared,
        SCRATCH=scratch,
        PACK_TASKS=tasks * plan.parts if plan.parts > 1 else 0,
    )
    return Lowered(kernel, table.words, shared, scratch, operations, plan.reason)


def _streams_in_place(table: Table, roles: _Roles, result: Operand) -> dict[Word, int]:
    """Streams are channels; each tap reads those of its own pixels."""
    geometry = roles.geometry
    step_n, step_c, step_h, step_w = roles.source.strides
    _, _, result_h, result_w = result.strides
    down, across = taps.forward(geometry.rows, "zeros"), taps.forward(geometry.columns, "zeros")
    entries, places = [], []
    for i, di in down.taps:
        for j, dj in across.taps:
            entries += [di * step_h + dj * step_w, *down.inside(di), *across.inside(dj)]
            places.append(i * result_h + j * result_w)
    together = roles.target_c == len(places) and places == list(range(len(places)))
    return {
        Word.ROW_TAP_TABLE: table.append(entries),
        Word.WEIGHT_TAP_TABLE: table.append(places),
        Word.STREAM_TABLE: table.append([channel * step_c for channel in range(roles.channels)]),
        Word.PLACE_TABLE: table.append([channel * roles.target_c for channel in range(roles.channels)]),
        Word.WEIGHT_CONTIGUOUS: int(together or roles.target_c == 1),
        Word.WEIGHT_RUN: len(places) if together else 1,
        Word.STREAM_N: step_n,
        Word.STREAM_H: step_h * geometry.rows.stride,
        Word.STREAM_W: step_w * geometry.columns.stride,
    }


def _inside(axis: Axis) -> bool:
    """Whether the first tap begins with the source, and every tap of every result lies in it."""
    return axis.before == 0 and (axis.output - 1) * axis.stride + axis.effective_kernel <= axis.size


def _paired_streams(
    table: Table, roles: _Roles, plan: StreamPlan, result: Operand, *, gathered: bool
) -> dict[Word, int]:
    """Streams are channels and taps, in the order of the weight; of a padded copy, or where they lie."""
    down, across = roles.geometry.rows, roles.geometry.columns
    channels = roles.channels
    height, width = (
        (block - 1) * axis.stride + axis.effective_kernel
        for block, axis in zip(plan.block, (down, across), strict=True)
    )
    n, c, h, w = roles.source.strides
    if gathered:
        n = channels * height * width
        interleaved = roles.layouts[0] is Layout.INTERLEAVED
        c, h, w = (1, width * channels, channels) if interleaved else (height * width, width, 1)
    _, _, result_h, result_w = result.strides
    taps = [
        (i * result_h + j * result_w, i * down.dilation * h + j * across.dilation * w)
        for i in range(down.kernel)
        for j in range(across.kernel)
    ]
    starts = [(channel * roles.target_c, channel * c) for channel in range(channels)]
    # What lies side by side in the weight varies fastest: then they are nearly always in order already.
    slow, fast = (taps, starts) if roles.target_c < result_w else (starts, taps)
    places = [one + other for one, _ in slow for other, _ in fast]
    streams = [one + other for _, one in slow for _, other in fast]
    in_order = sorted(places)
    if in_order != places:
        streams = [stream for _, stream in sorted(zip(places, streams, strict=True))]
    return {
        Word.ROW_TAP_TABLE: table.append([0, 0, down.output, 0, across.output]),
        Word.WEIGHT_TAP_TABLE: table.append([0]),
        Word.STREAM_TABLE: table.append(streams),
        Word.PLACE_TABLE: table.append(in_order),
        Word.WEIGHT_CONTIGUOUS: int(in_order == list(range(len(in_order)))),
        Word.WEIGHT_RUN: 1,
        Word.STREAM_N: n,
        Word.STREAM_H: h * down.stride,
        Word.STREAM_W: w * across.stride,
        Word.PLANE: c,
        Word.PITCH: h,
        Word.PACKS: channels,
        Word.SLOTS: height,
        Word.SLAB_COLUMNS: width,
    }


def _rooms(
    work: StreamWork,
    plan: StreamPlan,
    streams: dict[Word, int],
    lanes: int,
    rows: int,
    item: int,
    *,
    gathered: bool,
    line_bytes: list[int],
) -> tuple[dict[Word, int], int]:
    """How the parts of a thread's scratch lie; its size in bytes.

    ``line_bytes`` lie side by side of a line of a block, of each operand and result that is fetched ahead.
    """
    width = plan.vectors * lanes
    lines = plan.images * plan.block[0]
    pixels = lines * plan.block[1]
    panels = -(-plan.m_block // width)
    stream_block = -(-plan.stream_block // rows) * rows
    # The last block of a panel may be overrun by a register of pixels.
    panel_pitch = (pixels + lanes) * width
    stream_pitch = pixels * rows if plan.packs_streams else 0
    columns_ahead = lines * sum(bytes_ // LINE_BYTES + 2 for bytes_ in line_bytes)
    sizes = {
        Word.ROWS_AT: 16 * lines,
        Word.FLAGS_AT: 8 * (stream_block + rows),
        Word.ADDRESSES_AT: stream_block // rows * stream_pitch * item,
        Word.PANEL_AT: 0 if plan.in_place else panels * panel_pitch * item,
        Word.SLAB_AT: plan.images * streams[Word.STREAM_N] * item if gathered else 0,
        Word.AHEAD_AT: 8 * (AHEAD_HEAD_WORDS + AHEAD_ENTRY_WORDS * (columns_ahead + 1)),
        Word.TILES_AT: work.taps * panels * width * stream_block * item,
    }
    words = {Word.PANEL_PITCH: panel_pitch, Word.STREAM_PITCH: stream_pitch}
    at = 64  # A thread's scratch begins with a word of the entry's.
    for word, size in sizes.items():
        words[word] = at
        at += aligned(size)
    return words, at
