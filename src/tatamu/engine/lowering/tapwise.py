"""Forward and grad input whose dilation puts many taps into the padding → the kernel that goes tap by tap."""

from __future__ import annotations

from tatamu.engine import taps
from tatamu.engine.kernels.job import StreamTap, Word
from tatamu.engine.kernels.lane_descriptions import TAPWISE_ENTRY, TapwiseKernel
from tatamu.engine.lowering.common import Lowered, Operand, grain, operand_words
from tatamu.engine.lowering.sides import Side, weight_lines
from tatamu.engine.planning.common import tiles
from tatamu.engine.planning.tapwise import TapwisePlan, plan_tapwise
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.taps import AxisTaps
from tatamu.engine.target import Target
from tatamu.geometry import Geometry

_SEEN = 0.85
"""The part of the products at most that padding leaves; else few taps are idle."""
_FILLED = 0.75
"""The part of the registers' lanes that result channels fill at least."""
_CHANNELS = 2
"""Registers of channels at least that are summed over: each tap adds its sums to memory."""
_MOST_PIXELS = 1 << 13
"""Of an image, all of which a task sums; the images of layers whose taps lie in the padding are small."""


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
    side = Side.of_forward(geometry, source, weight, bias_stride, result)
    axes = taps.forward(geometry.rows, "zeros"), taps.forward(geometry.columns, "zeros")
    return _lower(geometry, element, target, side, axes, source.layout(geometry.input_size), weight)


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
) -> Lowered | None:
    """The gradient of the input, of layers without stride; None where another technique is better."""
    if max(geometry.rows.stride, geometry.columns.stride) > 1:
        return None
    side = Side.of_grad_input(geometry, grad_output, weight, result)
    (rows,), (columns,) = (taps.grad_input(axis, "zeros") for axis in (geometry.rows, geometry.columns))
    layout = grad_output.layout(geometry.output_size)
    return _lower(geometry, element, target, side, (rows, columns), layout, weight)


def _seen(axis: AxisTaps) -> list[tuple[int, int]]:
    """The results that see the source through each tap."""
    return [axis.inside(offset) for _, offset in axis.taps]


def _products(axis: AxisTaps) -> int:
    return sum(high - low for low, high in _seen(axis))


def _applies(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    side: Side,
    axes: tuple[AxisTaps, AxisTaps],
    layout: Layout,
) -> bool:
    rows, columns = axes
    lanes = target.lanes(element.compute_bytes)
    products = _products(rows) * _products(columns)
    return (
        geometry.padding_mode == "zeros"
        and max(geometry.rows.dilation, geometry.columns.dilation) > 1
        and element.parts == 1
        and not target.multiplies_pairs(element)
        and layout is not Layout.STRIDED
        and side.channels >= _CHANNELS * lanes
        and side.m >= _FILLED * -(-side.m // lanes) * lanes
        and max(rows.size * columns.size, rows.grid * columns.grid) <= _MOST_PIXELS
        and products <= _SEEN * rows.grid * len(rows.taps) * columns.grid * len(columns.taps)
    )


def _lower(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    side: Side,
    axes: tuple[AxisTaps, AxisTaps],
    layout: Layout,
    weight: Operand,
) -> Lowered | None:
    if not _applies(geometry, element, target, side, axes, layout):
        return None
    rows, columns = axes
    tile = max(tiles(target).items())
    products = _products(rows) * _products(columns)
    tap_count, images = len(rows.taps) * len(columns.taps), geometry.batch * geometry.groups
    pixels = max(rows.size * columns.size, rows.grid * columns.grid)
    interleaved = layout is Layout.INTERLEAVED
    plan = plan_tapwise(
        images, side.m, side.channels, pixels, products, tap_count, tile, interleaved, element, target
    )
    m_blocks = -(-side.m // plan.m_block)
    kernel = TapwiseKernel(element, *tile, interleaved)
    table = Table(1)
    room, scratch = _scratch_words(kernel, target, plan, axes)
    table.set_job(0, {
        **operand_words("SOURCE", side.source, side.channels, 1),
        **operand_words("TARGET", side.target, side.m, 1),
        **_tap_words(table, axes),
        **_weight_words(table, axes, side, weight),
        **room,
        Word.TASKS: images * m_blocks,
        Word.IMAGES: geometry.batch,
        Word.GROUPS: geometry.groups,
        Word.M: side.m,
        Word.M_BLOCKS: m_blocks,
        Word.M_BLOCK: plan.m_block,
        Word.VECTORS: plan.vectors,
        Word.CHANNELS: side.channels,
        Word.CHANNEL_BLOCK: plan.channel_block,
        Word.HEIGHT: rows.size,
        Word.SLAB_COLUMNS: columns.size,
        Word.PITCH: plan.channel_block,
        Word.STRIDE_H: rows.stride,
        Word.STRIDE_W: columns.stride,
        Word.GRID_H: rows.grid,
        Word.GRID_W: columns.grid,
        Word.HAS_BIAS: int(side.bias_stride is not None),
        Word.BIAS_C: side.bias_stride or 0,
    })  # fmt: skip
    operations = images * side.m * side.channels * products
    table.set_header(
        JOBS=1, TASKS=images * m_blocks, GRAIN=grain(images * m_blocks, operations), SCRATCH=scratch
    )
    return Lowered(kernel, table.words, 0, scratch, operations, plan.reason)


def _tap_words(table: Table, axes: tuple[AxisTaps, AxisTaps]) -> dict[Word, int]:
    """The taps, and which results see the source through each."""
    rows, columns = axes
    entries = []
    for (_, down), (top, bottom) in zip(rows.taps, _seen(rows), strict=True):
        for (_, across), (left, right) in zip(columns.taps, _seen(columns), strict=True):
            entry = {
                StreamTap.SHIFT: down * columns.size + across,
                StreamTap.TOP: top,
                StreamTap.BOTTOM: bottom,
                StreamTap.LEFT: left,
                StreamTap.RIGHT: right,
            }
            entries += [value for _, value in sorted(entry.items())]
    return {
        Word.STREAM_TABLE: table.append(entries),
        Word.ROW_TAPS: len(rows.taps),
        Word.TAPS_ACROSS: len(columns.taps),
    }


def _weight_words(
    table: Table, axes: tuple[AxisTaps, AxisTaps], side: Side, weight: Operand
) -> dict[Word, int]:
    """Where the weights of each tap lie, and along what they are read."""
    _, _, step_h, step_w = weight.strides
    places = [i * step_h + j * step_w for i, _ in axes[0].taps for j, _ in axes[1].taps]
    return {
        Word.WEIGHT_G: side.weight_g,
        Word.WEIGHT_M: side.weight_m,
        Word.WEIGHT_C: side.weight_c,
        Word.WEIGHT_TAP_TABLE: table.append(places),
        Word.WEIGHT_LINES: weight_lines(places, side.weight_c),
    }


def _scratch_words(
    kernel: TapwiseKernel, target: Target, plan: TapwisePlan, axes: tuple[AxisTaps, AxisTaps]
) -> tuple[dict[Word, int], int]:
    """Where the parts of a thread's scratch begin, and how many bytes it has."""
    rows, columns = axes
    lanes, item = target.lanes(kernel.element.compute_bytes), kernel.element.compute_bytes
    width, tap_count = plan.vectors * lanes, len(rows.taps) * len(columns.taps)
    listed = _products(rows) * _products(columns) + tap_count * kernel.rows
    pitch = rows.grid * columns.grid + lanes
    sizes = (
        (Word.ADDRESSES_AT, TAPWISE_ENTRY * 8 * listed),
        (Word.PANEL_AT, tap_count * plan.channel_block * width * item),
        (Word.SLAB_AT, rows.size * columns.size * plan.channel_block * item),
        (Word.TILES_AT, pitch * plan.m_block * item),
    )
    words = {Word.TILE_PITCH: pitch}
    end = 64  # A thread's scratch begins with a word of the entry's.
    for word, size in sizes:
        words[word] = end
        end += aligned(size)
    return words, end
