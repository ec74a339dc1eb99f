"""Forward and grad input of depthwise layers and of groups of few channels → a kernel of channel lanes."""

from __future__ import annotations

from collections.abc import Sequence

from tatamu.engine import taps
from tatamu.engine.group_lanes import GroupLanes
from tatamu.engine.kernels.descriptions import STRETCH, DepthwiseKernel, depthwise_tiles
from tatamu.engine.kernels.job import Word
from tatamu.engine.lowering.common import Lowered, Operand, grain, operand_words
from tatamu.engine.lowering.lane_weights import WeightAxes, patterns
from tatamu.engine.padded import PaddedAxis, padded_words
from tatamu.engine.planning.depthwise import DepthwiseAxis, plan_depthwise
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.taps import AxisTaps
from tatamu.engine.target import Target
from tatamu.geometry import Geometry

_LEAST_FILLED = {True: 0.5, False: 0.25}
"""Of the lanes of registers, by groups of several channels: where both operands are planes (pixels would fill
them), and elsewhere."""


def serves(geometry: Geometry, element: ElementType, target: Target) -> bool:
    """Whether each channel is convolved alone, and there are enough of them to fill most of a register."""
    alone = geometry.groups == geometry.in_channels == geometry.out_channels
    return alone and element.parts == 1 and geometry.groups * 2 > target.lanes(element.compute_bytes)


def serves_grad_input(geometry: Geometry, element: ElementType, target: Target) -> bool:
    """The same of grad input: it gathers copies of pixels only where padding is zeros."""
    return geometry.padding_mode == "zeros" and serves(geometry, element, target)


def serves_groups(
    geometry: Geometry, element: ElementType, target: Target, source: Operand, result: Operand
) -> bool:
    """Whether registers are well filled by the result channels of whole groups."""
    planes = _planes(geometry, source, result)
    return _fill(_forward_lanes(geometry, element, target), geometry, element, planes)


def serves_groups_gradients(
    geometry: Geometry, element: ElementType, target: Target, grad_output: Operand, input: Operand
) -> bool:
    """The same of grad weight, and of grad input where padding is zeros; both have the same lanes."""
    planes = _planes(geometry, input, grad_output)
    return _fill(grad_input_lanes(geometry, element, target), geometry, element, planes)


def shares_registers(geometry: Geometry, element: ElementType, target: Target) -> bool:
    """Whether a register holds several groups."""
    return _forward_lanes(geometry, element, target).together > 1


def _planes(geometry: Geometry, input: Operand, output: Operand) -> bool:
    layouts = input.layout(geometry.input_size), output.layout(geometry.output_size)
    return all(layout is Layout.PLANAR for layout in layouts)


def _fill(lanes: GroupLanes, geometry: Geometry, element: ElementType, planes: bool) -> bool:
    return geometry.groups > 1 and element.parts == 1 and lanes.filled() >= _LEAST_FILLED[planes]


def _forward_lanes(geometry: Geometry, element: ElementType, target: Target) -> GroupLanes:
    groups, lanes = geometry.groups, target.lanes(element.compute_bytes)
    return GroupLanes(groups, geometry.in_channels // groups, geometry.out_channels // groups, lanes)


def grad_input_lanes(geometry: Geometry, element: ElementType, target: Target) -> GroupLanes:
    """Groups whose source is the gradient of the output, and whose result is that of the input."""
    forward = _forward_lanes(geometry, element, target)
    return GroupLanes(forward.groups, forward.result, forward.source, forward.lanes)


def lower_forward(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    weight: Operand,
    bias_stride: int | None,
    result: Operand,
) -> Lowered:
    """The forward pass. Strides in elements; ``bias_stride`` is None where there is no bias."""
    phases = ([taps.forward(geometry.rows, "zeros")], [taps.forward(geometry.columns, "zeros")])
    layouts = source.layout(geometry.input_size), result.layout(geometry.output_size)
    groups = _forward_lanes(geometry, element, target)
    m, c, h, w = weight.strides
    panel = WeightAxes(groups, c, (h, w), groups.result * m, m)
    return _lower(geometry, element, target, phases, source, panel, bias_stride, result, layouts)


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
) -> Lowered:
    """The gradient of the input, where padding is zeros: all stride phases of a row together."""
    phases = (list(taps.grad_input(geometry.rows, "zeros")), list(taps.grad_input(geometry.columns, "zeros")))
    layouts = grad_output.layout(geometry.output_size), result.layout(geometry.input_size)
    groups = grad_input_lanes(geometry, element, target)
    m, c, h, w = weight.strides
    panel = WeightAxes(groups, m, (h, w), groups.source * m, c)
    return _lower(geometry, element, target, phases, grad_output, panel, None, result, layouts)


class _Phases:
    """The phases of one axis, seen from the first padded position that any of them reads."""

    def __init__(self, phases: Sequence[AxisTaps]) -> None:
        # In the order of the positions that they read.
        ordered = [sorted(phase.taps, key=lambda tap: tap[1]) for phase in phases]
        self.stride, self.step, self.size = phases[0].stride, phases[0].step, phases[0].size
        offsets = [offset for found in ordered for _, offset in found]
        self.before = -min(offsets, default=0)
        pair = next((found for found in ordered if len(found) > 1), ((0, 0), (1, 1)))
        self.weight_step, self.tap_step = pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]
        self.entries = [
            [len(found), found[0][1] + self.before, found[0][0]] if found else [0, 0, 0] for found in ordered
        ]
        reaching = ((phase, found[-1][1]) for phase, found in zip(phases, ordered, strict=True) if found)
        self.last = max(
            ((phase.grid - 1) * phase.stride + furthest for phase, furthest in reaching), default=0
        )
        self.axis = DepthwiseAxis(
            grid=sum(phase.grid for phase in phases),
            phases=self.step,
            stride=self.stride,
            span=max(offsets, default=0) + self.before + 1,
            taps=len(offsets),
        )

    @property
    def padded(self) -> PaddedAxis:
        """The source with the padding that is read."""
        return PaddedAxis(self.size, self.before, self.last + 1 - self.size)

    def table(self) -> list[int]:
        """An entry for each phase."""
        return [value for entry in self.entries for value in entry]


_CHUNKS = (7, 5, 3)
"""Column taps that a kernel may multiply at a time."""


def _taps(rows: _Phases, columns: _Phases, depth: int) -> tuple[tuple[int, ...], int]:
    """The column taps of each phase, where a kernel is made for them; else at how many a time to multiply.

    That is the chunk that leaves the fewest over, the largest of such, and 1 where taps lie apart.
    """
    counts = tuple(count for count, _, _ in columns.entries)
    few = max(counts) <= max(_CHUNKS) and max(counts) * rows.axis.taps * depth <= STRETCH
    if columns.tap_step != 1 or columns.stride > 2:
        return (), 1
    if few and len(counts) == columns.step <= 2 and min(counts) > 0:
        return counts, 1
    fitting = [chunk for chunk in _CHUNKS if chunk <= max(counts)]
    return (), min(fitting, key=lambda chunk: max(counts) % chunk) if fitting else 1


def _lower(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    phases: tuple[list[AxisTaps], list[AxisTaps]],
    source: Operand,
    weight: WeightAxes,
    bias_stride: int | None,
    result: Operand,
    layouts: tuple[Layout, Layout],
) -> Lowered:
    rows, columns = _Phases(phases[0]), _Phases(phases[1])
    interleaved = [layout is Layout.INTERLEAVED for layout in layouts]
    stride = columns.stride if columns.stride <= 2 else 0
    groups = weight.groups
    channels, lanes, item = groups.groups * groups.result, groups.lanes, element.compute_bytes
    grouped = (groups.source, groups.result) != (1, 1)
    column_taps, chunk = _taps(rows, columns, groups.source)
    in_place = not grouped and all(interleaved) and channels % lanes == 0 and column_taps != ()
    kernel = DepthwiseKernel(
        element, stride, column_taps, chunk, grouped, in_place, interleaved[0], interleaved[1]
    )
    plan = plan_depthwise(
        rows.axis, columns.axis, geometry.batch, groups, element, target, *interleaved, in_place=in_place
    )

    column_blocks = -(-columns.axis.grid // plan.block_w)
    blocks = -(-rows.axis.grid // plan.block_h) * column_blocks
    blocks_together = plan.channel_block // groups.result_lanes
    m_blocks = -(-channels // plan.channel_block)
    tasks = geometry.batch * m_blocks * blocks
    slab_at = 64
    overrun = depthwise_tiles(target)[0][0] * max(columns.stride, columns.step)
    slab = rows.axis.extent(plan.block_h) * columns.axis.extent(plan.block_w)
    slab = (slab + 1) * blocks_together + overrun
    tiles_at = slab_at + aligned(slab * lanes * item)
    # Results are written a tile at a time, and read a register of pixels at a time.
    held = 0 if kernel.target_interleaved else plan.block_h * plan.block_w + max(overrun, lanes)
    if in_place:  # Addresses, some of them of rows that are asked for beforehand; and a pixel of zeros.
        extent = rows.axis.extent(plan.block_h) + columns.stride * rows.tap_step
        slab = extent * columns.axis.extent(plan.block_w) + overrun
        tiles_at, held = slab_at + aligned(8 * slab), blocks_together
    scratch = tiles_at + aligned(held * lanes * item)
    table = Table(1)
    weights = weight.words(table, geometry.kernel_size)
    shared = aligned(groups.registers * (weights[Word.PACKED_TAPS] + 1) * lanes * item)
    average = rows.axis.taps * columns.axis.taps // (rows.step * columns.step)
    results = geometry.batch * channels * rows.axis.grid * columns.axis.grid
    operations = results * groups.source * max(1, average)
    mode = geometry.padding_mode
    words = {
        **weights,
        **operand_words("SOURCE", source.strides, 1, 1),
        **operand_words("TARGET", result.strides, 1, 1),
        **padded_words(table, rows.padded, columns.padded, mode),
        Word.TASKS: tasks,
        Word.BLOCKS: blocks,
        Word.COLUMN_BLOCKS: column_blocks,
        Word.BLOCK_H: plan.block_h,
        Word.BLOCK_W: plan.block_w,
        Word.GRID_H: rows.axis.grid,
        Word.GRID_W: columns.axis.grid,
        Word.M: channels,
        Word.M_BLOCKS: m_blocks,
        Word.M_BLOCK: plan.channel_block,
        Word.CHANNELS: groups.groups * groups.source,
        Word.SOURCE_LANES: groups.source_lanes,
        Word.RESULT_LANES: groups.result_lanes,
        Word.TARGET_LANE_TABLE: table.append(
            [lane * result.strides[1] for lane in range(groups.result_lanes)]
        ),
        Word.DEPTH: groups.source,
        Word.PATTERN_TABLE: table.append(patterns(groups, element, target) if grouped else []),
        Word.STRIDE_H: rows.stride,
        Word.STRIDE_W: columns.stride,
        Word.ROW_PHASES: rows.step,
        Word.ROW_PHASE_TABLE: table.append(rows.table()),
        Word.COLUMN_PHASES: columns.step,
        Word.COLUMN_PHASE_TABLE: table.append(columns.table()),
        Word.TAP_STEP_H: rows.tap_step,
        Word.TAP_STEP_W: columns.tap_step,
        Word.SPAN_H: rows.axis.span,
        Word.SPAN_W: columns.axis.span,
        Word.PANEL_STEP_H: rows.weight_step,
        Word.PANEL_STEP_W: columns.weight_step,
        Word.STRETCH_ROWS: max(1, STRETCH // (geometry.kernel_size[1] * groups.source)),
        Word.HAS_BIAS: int(bias_stride is not None),
        Word.BIAS_C: bias_stride or 0,
        Word.SLAB_AT: slab_at,
        Word.TILES_AT: tiles_at,
    }
    table.set_job(0, words)
    table.set_header(
        JOBS=1,
        TASKS=tasks,
        GRAIN=grain(tasks, operations),
        SHARED=shared,
        SCRATCH=scratch,
        PACK_TASKS=groups.registers,
    )
    return Lowered(kernel, table.words, shared, scratch, operations, plan.reason)
