"""Register tile and blocks of the direct grad weight."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.planning.common import TASKS_WANTED, Work, tiles
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_ROWS_AT_LEAST = 64
_OUTER_PIXELS = 192
_DOT_PIXELS = 1024


@dataclass(frozen=True)
class GradWeightPlan:
    """Register tile and blocks of grad weight; see `GradWeightKernel` and `planning.direct.Plan`."""

    rows: int
    vectors: int
    dot: bool
    block_h: int
    block_w: int
    channel_block: int
    m_block: int
    reason: str


def plan_grad_weight(work: Work, element: ElementType, target: Target) -> GradWeightPlan:
    """The plan of grad weight: which operand's channels fill a register, and what stays in cache."""
    lanes = target.lanes(element.compute_bytes)
    item = element.compute_bytes
    taps = work.row_taps * work.column_taps
    # Few result channels leave most of a register idle; dot products fill it with pixels instead.
    dot = work.m * 2 <= lanes
    if dot:
        vectors = min(4, work.m)
        rows = (
            {1: 8, 2: 8, 3: 6, 4: 6}[vectors] if target.registers >= 32 else {1: 6, 2: 4, 3: 2, 4: 2}[vectors]
        )
        tile_columns = vectors
    else:
        rows = max(tiles(target))
        vectors = tiles(target)[rows]
        tile_columns = vectors * lanes
    padded_m = -(-work.m // tile_columns) * tile_columns
    most_tiles = target.l2_bytes // 4

    wanted = _DOT_PIXELS if dot else _OUTER_PIXELS
    block_w = work.grid_w
    block_h = max(1, min(work.grid_h, wanted // max(1, block_w)))
    if block_h == 1:
        block_w = min(block_w, max(lanes, wanted // lanes * lanes))
    slots = (block_h - 1) * work.stride_h + work.row_span

    m_block = min(
        padded_m, max(tile_columns, most_tiles // (max(128, taps) * item) // tile_columns * tile_columns)
    )
    slab_channel_bytes = work.column_taps * slots * block_w * item
    channel_block = max(
        1, min(most_tiles // (taps * m_block * item), most_tiles // max(1, slab_channel_bytes))
    )
    channel_block = min(channel_block, work.channels)
    wanted_tasks = max(1, TASKS_WANTED // 4)

    def tasks() -> int:
        return work.groups * -(-work.channels // channel_block) * -(-work.m // m_block)

    while (
        tasks() < wanted_tasks and channel_block * taps > 2 * _ROWS_AT_LEAST and channel_block > element.parts
    ):
        channel_block = -(-channel_block // 2)
    while tasks() < wanted_tasks and m_block > tile_columns:
        m_block = -(-(m_block // 2) // tile_columns) * tile_columns
    if element.parts == 2:  # The two parts of a channel are combined when they are stored.
        channel_block += channel_block % 2
        m_block += m_block % 2
    reason = (
        f"grad weight by {'dot products' if dot else 'outer products'}: {rows}x{vectors}"
        f" tile; {channel_block} of {work.channels} input and {m_block} of {work.m} output channels a task;"
        f" blocks of {block_h}x{block_w} pixels"
    )
    return GradWeightPlan(rows, vectors, dot, block_h, block_w, channel_block, m_block, reason)
