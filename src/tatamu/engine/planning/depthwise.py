"""In which blocks depthwise results are computed: a pure function of the work and the target."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.group_lanes import GroupLanes
from tatamu.engine.planning.common import waiting
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

PACK_CYCLES = {True: 3, False: 8}
"""Of a register that is written to the slab, or a result that is written out: interleaved, or transposed."""
FAR_CYCLES = 10
"""Of a register that is read from a page of its own; its neighbours share them."""
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


def counts(most: int) -> list[int]:
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
    read, written = PACK_CYCLES[source_interleaved], 0 if target_interleaved else PACK_CYCLES[False]
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
        gathering = FAR_CYCLES / blocks if in_place else read + FAR_CYCLES / blocks
        packing = rows.extent(block_h) * columns.extent(block_w) * gathering
        products = groups.source * rows.taps * columns.taps / (rows.phases * columns.phases)
        computing = block_h * (block_w * (products + written) + _LINE_CYCLES)
        tasks = images * -(-registers // blocks) * -(-rows.grid // block_h) * -(-columns.grid // block_w)
        return (packing + computing) / block_h * waiting(tasks)

    heights = sorted({turns(rows, n) for n in counts(rows.grid)})
    together = source_interleaved and target_interleaved
    widths = sorted({-(-registers // n) for n in counts(registers)}) if together else [1]
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
