"""Depthwise forward and grad input → a kernel whose lanes are channels."""

from __future__ import annotations

from collections.abc import Sequence

from tatamu.engine import taps
from tatamu.engine.kernels.descriptions import DEPTHWISE_TILES, STRETCH, DepthwiseKernel
from tatamu.engine.kernels.job import Word
from tatamu.engine.lowering.common import Lowered, Operand, grain, operand_words
from tatamu.engine.padded import PaddedAxis, padded_words
from tatamu.engine.plan_depthwise import DepthwiseAxis, plan_depthwise
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.tables import Table, aligned
from tatamu.engine.taps import AxisTaps
from tatamu.engine.target import Target
from tatamu.geometry import Geometry


def serves(geometry: Geometry, element: ElementType, target: Target) -> bool:
    """Whether each channel is convolved alone, and there are enough of them to fill most of a register."""
    alone = geometry.groups == geometry.in_channels == geometry.out_channels
    return alone and element.parts == 1 and geometry.groups * 2 > target.lanes(element.compute_bytes)


def serves_grad_input(geometry: Geometry, element: ElementType, target: Target) -> bool:
    """The same of grad input: it gathers copies of pixels only where padding is zeros."""
    plain = geometry.padding_mode == "zeros" or not any(map(any, geometry.padding))
    return plain and serves(geometry, element, target)


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
    return _lower(geometry, element, target, phases, source, weight, bias_stride, result, layouts)


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
    return _lower(geometry, element, target, phases, grad_output, weight, None, result, layouts)


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


def _taps(rows: _Phases, columns: _Phases) -> tuple[tuple[int, ...], int]:
    """The column taps of each phase, where a kernel is made for them; else at how many a time to multiply.

    That is the chunk that leaves the fewest over, the largest of such, and 1 where taps lie apart.
    """
    counts = tuple(count for count, _, _ in columns.entries)
    few = max(counts) <= max(_CHUNKS) and max(counts) * rows.axis.taps <= STRETCH
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
    weight: Operand,
    bias_stride: int | None,
    result: Operand,
    layouts: tuple[Layout, Layout],
) -> Lowered:
    rows, columns = _Phases(phases[0]), _Phases(phases[1])
    interleaved = [layout is Layout.INTERLEAVED for layout in layouts]
    stride = columns.stride if columns.stride <= 2 else 0
    channels, lanes, item = geometry.groups, target.lanes(element.compute_bytes), element.compute_bytes
    column_taps, chunk = _taps(rows, columns)
    in_place = all(interleaved) and channels % lanes == 0 and column_taps != ()
    kernel = DepthwiseKernel(element, stride, column_taps, chunk, in_place, interleaved[0], interleaved[1])
    plan = plan_depthwise(
        rows.axis, columns.axis, geometry.batch, channels, element, target, *interleaved, in_place=in_place
    )

    column_blocks = -(-columns.axis.grid // plan.block_w)
    blocks = -(-rows.axis.grid // plan.block_h) * column_blocks
    channel_blocks = -(-channels // lanes)
    m_blocks = -(-channels // plan.channel_block)
    tasks = geometry.batch * m_blocks * blocks
    kernel_h, kernel_w = geometry.kernel_size
    slab_at = 64
    overrun = DEPTHWISE_TILES[0][0] * max(columns.stride, columns.step)
    slab = rows.axis.extent(plan.block_h) * columns.axis.extent(plan.block_w)
    slab = (slab + 1) * -(-plan.channel_block // lanes) + overrun
    tiles_at = slab_at + aligned(slab * lanes * item)
    # Results are written a tile at a time, and read a register of pixels at a time.
    held = 0 if kernel.target_interleaved else plan.block_h * plan.block_w + max(overrun, lanes)
    if in_place:  # Addresses, and a pixel of zeros.
        slab = rows.axis.extent(plan.block_h) * columns.axis.extent(plan.block_w) + overrun
        tiles_at, held = slab_at + aligned(8 * slab), plan.channel_block // lanes
    scratch = tiles_at + aligned(held * lanes * item)
    shared = aligned(channel_blocks * (kernel_h * kernel_w + 1) * lanes * item)
    average = rows.axis.taps * columns.axis.taps // (rows.step * columns.step)
    operations = geometry.batch * channels * rows.axis.grid * columns.axis.grid * max(1, average)

    table = Table(1)
    mode = geometry.padding_mode
    places = [i * weight.strides[2] + j * weight.strides[3] for i in range(kernel_h) for j in range(kernel_w)]
    words = {
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
        Word.CHANNELS: 1,
        Word.CHANNEL_BLOCK: 1,
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
        Word.KERNEL_W: kernel_w,
        Word.STRETCH_ROWS: max(1, STRETCH // kernel_w),
        Word.HAS_BIAS: int(bias_stride is not None),
        Word.BIAS_C: bias_stride or 0,
        Word.WEIGHT_M: weight.strides[0],
        Word.PACKED_TAPS: len(places),
        Word.WEIGHT_TAP_TABLE: table.append(places),
        Word.WEIGHT_CONTIGUOUS: int(places == list(range(len(places)))),
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
        PACK_TASKS=channel_blocks,
    )
    return Lowered(kernel, table.words, shared, scratch, operations, plan.reason)
