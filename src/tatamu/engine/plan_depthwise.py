"""In which blocks depthwise results are computed: a pure function of the work and the target."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.group_lanes import GroupLanes
from tatamu.engine.plan import waiting
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target
from tatamu.geometry import Axis

_PACK_CYCLES = {True: 3, False: 8}
"""Of a register that is written to the slab, or a result that is written out: interleaved, or transposed."""
_FAR_CYCLES = 10
"""Of a register that is read from a page of its own; its neighbours share them."""
_MOST_TAPS_ACROSS = 7
_PIXELS_OF_A_LINE = 256
"""What is summed at once is no longer than that."""
_LINE_CYCLES = 60
"""Of a line of results, beside its products."""


@dataclass(frozen=True)
class DepthwiseAxis:
    """One axis: ``grid`` results in turns of ``phases``, each reading ``span`` slab positions at most.

    The next result of a phase reads ``stride`` positions further; ``taps`` is how many it reads in all.
    """

    grid: int
    phases: int
    stride: int
    span: int
    taps: int

    def extent(self, results: int) -> int:
        """Slab positions behind some results from the first of a turn on."""
        return (results - 1) // self.phases * self.stride + self.span


@dataclass(frozen=True)
class DepthwisePlan:
    """Blocks of whole turns of results, and of channels, with the reason in words."""

    block_h: int
    block_w: int
    channel_block: int
    reason: str


def _counts(most: int) -> list[int]:
    """Pieces worth weighing."""
    return [n for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128) if n < most] + [most]


def plan_depthwise(
    rows: DepthwiseAxis,
    columns: DepthwiseAxis,
    images: int,
    groups: GroupLanes,
    element: ElementType,
    target: Target,
    source_interleaved: bool,
    target_interleaved: bool,
    *,
    in_place: bool,
) -> DepthwisePlan:
    """Blocks that stay in cache, repack few rows of their neighbours, and are enough for some threads."""
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    most = target.l2_bytes // 2 // (lanes * item)
    read, written = _PACK_CYCLES[source_interleaved], 0 if target_interleaved else _PACK_CYCLES[False]
    registers = groups.registers

    def turns(axis: DepthwiseAxis, pieces: int) -> int:
        """Results of a block when the axis is cut into so many."""
        return -(-axis.grid // (pieces * axis.phases)) * axis.phases

    block_w = columns.grid
    while columns.extent(block_w) * rows.span > most and block_w > max(64, columns.phases):
        block_w = turns(columns, -(-columns.grid // block_w) + 1)

    def cost(block: tuple[int, int]) -> float:
        """Cycles of a result row of the whole layer."""
        block_h, blocks = block
        gathering = _FAR_CYCLES / blocks if in_place else read + _FAR_CYCLES / blocks
        packing = rows.extent(block_h) * columns.extent(block_w) * gathering
        products = groups.source * rows.taps * columns.taps / (rows.phases * columns.phases)
        computing = block_h * (block_w * (products + written) + _LINE_CYCLES)
        tasks = images * -(-registers // blocks) * -(-rows.grid // block_h) * -(-columns.grid // block_w)
        return (packing + computing) / block_h * waiting(tasks)

    heights = sorted({turns(rows, n) for n in _counts(rows.grid)})
    together = source_interleaved and target_interleaved
    widths = sorted({-(-registers // n) for n in _counts(registers)}) if together else [1]
    choices = [(h, b) for h in heights for b in widths]
    extent = columns.extent(block_w)
    if in_place:  # The rows behind a row of results are what should stay in cache.
        fitting = [(h, b) for h, b in choices if b * rows.span * extent <= most and h * extent <= most]
    else:
        fitting = [(h, b) for h, b in choices if b * max(rows.extent(h) * extent, h * block_w) <= most]
    block_h, blocks = min(fitting or choices[:1], key=cost)
    kind = "depthwise" if (groups.source, groups.result) == (1, 1) else "grouped"
    channel_block = blocks * groups.result_lanes
    reason = (
        f"{kind}: registers of {groups.result_lanes} channels; blocks of {block_h}x{block_w} results of"
        f" {channel_block} channels"
    )
    return DepthwisePlan(block_h, block_w, channel_block, reason)


@dataclass(frozen=True)
class DepthwiseWeightPlan:
    """Register tile and blocks of grad weight; see `DepthwiseWeightKernel`.

    A task owns ``tap_rows`` rows of taps of a register of channels, and sums blocks of ``block_h`` x
    ``block_w`` pixels of grad output, in order. ``slab_registers`` hold what a block reads of the input.
    """

    rows: tuple[int, int]
    taps: tuple[int, int]
    tap_rows: int
    block_h: int
    block_w: int
    slab_registers: int
    reason: str


def plan_depthwise_weight(
    rows: Axis, columns: Axis, channels: int, element: ElementType, target: Target
) -> DepthwiseWeightPlan:
    """A tile that fills the register file, and blocks that stay in cache."""
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    sums = target.registers - 4
    across = -(-columns.kernel // -(-columns.kernel // min(_MOST_TAPS_ACROSS, sums)))
    # A single register of channels is a single task, unless its taps are shared out.
    tap_rows = -(-rows.kernel // 2) if channels <= lanes else rows.kernel
    pieces = -(-tap_rows // max(1, sums // across))
    down = -(-tap_rows // pieces)
    last = rows.kernel - (rows.kernel - 1) // tap_rows * tap_rows
    # Parts of the last task's taps may leave another rest than the others do.
    if last != tap_rows and last % down not in (0, tap_rows % down):
        tap_rows, down = rows.kernel, -(-rows.kernel // -(-rows.kernel // max(1, sums // across)))
        last = tap_rows
    rest = max(tap_rows % down, last % down)
    most = target.l2_bytes // 4 // (lanes * item)
    block_w = min(columns.output, _PIXELS_OF_A_LINE)

    def registers(block_h: int) -> int:
        down = (block_h - 1) * rows.stride + (tap_rows - 1) * rows.dilation + 1
        return down * ((block_w - 1) * columns.stride + columns.effective_kernel)

    fitting = [h for n in _counts(rows.output) if registers(h := -(-rows.output // n)) <= most]
    block_h = max(fitting, default=1)
    while block_h == 1 and registers(1) > 2 * most and block_w > lanes:
        block_w = -(-block_w // 2)
    reason = (
        f"depthwise grad weight: registers of {lanes} channels; {down}x{across} taps at a time; blocks of"
        f" {block_h}x{block_w} pixels"
    )
    tile = (down, rest), (across, columns.kernel % across)
    return DepthwiseWeightPlan(*tile, tap_rows, block_h, block_w, registers(block_h), reason)
