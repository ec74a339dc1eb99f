"""Tiles, blocks of pixels and tasks of grad weight of streams: a function of the work and the target."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tatamu.engine.planning.common import TASKS_WANTED, waiting
from tatamu.engine.target import Target

_PIXELS = 144
"""Of a block: as many steps of a panel as stay in the first cache beside the streams."""
_FEW_SUMS = 1 << 18
"""Sums that may be kept once for each part of the pixels."""
_BLOCKS_A_PART = 3
_SUM_BYTES_A_CYCLE = 24
_STREAM_CYCLES = 0.5
"""Of an element of a stream when it is first read."""
_TURN_CYCLES, _COPY_CYCLES = 10.0, 6.0
"""Of a register of the second operand that is packed: from pixels, or channels, side by side."""
_ROWS_A_PANEL = 80
"""So many rows of the product are worth a panel."""
_TILES_A_PACK = 2
"""So many register tiles are worth the packing of the streams that they share."""


@dataclass(frozen=True)
class StreamWork:
    """``streams`` x ``taps`` x ``m`` sums for each group, over the pixels of a batch."""

    batch: int
    groups: int
    streams: int
    taps: int
    m: int
    grid: tuple[int, int]
    turned: bool
    """Whether channels of the second operand are turned to lie side by side."""
    beside: bool
    """Whether streams lie side by side in the source."""
    gathered_line: int
    """Bytes of the padded source that a line of results needs; 0 where nothing is gathered."""


@dataclass(frozen=True)
class StreamPlan:
    """Blocks of pixels (images, rows, columns), streams and channels of a task, parts of the pixels."""

    vectors: int
    images: int
    block: tuple[int, int]
    stream_block: int
    m_block: int
    parts: int
    in_place: bool
    """Whether the second operand is read where it lies."""
    packs_streams: bool
    reason: str


def step_cycles(streams: int, m: int, tile: tuple[int, int], lanes: int, *, turned: bool) -> float:
    """Of one pixel, packing included; ``tile`` is the register tile."""
    packing = (
        0.0 if reads_in_place(streams, m, lanes, turned=turned) else -(-m // lanes) * pack_cycles(turned)
    )
    return -(-streams // tile[0]) * across_cycles(-(-m // lanes), tile) + packing


def across_cycles(registers: int, tile: tuple[int, int]) -> int:
    """Of one step of all register tiles of a row."""
    (rows, vectors), rest = tile, registers % tile[1]
    return registers // vectors * tile_cycles(rows, vectors) + (tile_cycles(rows, rest) if rest else 0)


def tile_cycles(rows: int, vectors: int) -> int:
    """Of one step of a register tile: as many as it multiplies registers, or loads."""
    return max(rows * vectors, rows + vectors + 1)


def pack_cycles(turned: bool) -> float:
    """Of a register of the second operand."""
    return _TURN_CYCLES if turned else _COPY_CYCLES


def reads_in_place(rows: int, m: int, lanes: int, *, turned: bool) -> bool:
    """Whether the second operand is read where it lies: for few ``rows`` of the product."""
    return not turned and m % lanes == 0 and rows < _ROWS_A_PANEL


def plan_streams(work: StreamWork, rows: int, most_vectors: int, item: int, target: Target) -> StreamPlan:
    """The plan; ``rows`` x ``most_vectors`` is the register tile."""
    lanes = target.lanes(item)
    registers, row_tiles = -(-work.m // lanes), -(-work.streams // rows)
    width, m_tiles = most_vectors * lanes, -(-registers // most_vectors)
    all_pixels = work.batch * math.prod(work.grid)

    def split(most_parts: int, stream_splits: int, m_splits: int) -> tuple[float, int, int, _Pixels]:
        pixels = _pixels(work, lanes, target, most_parts)
        stream_block, m_block = -(-row_tiles // stream_splits) * rows, -(-m_tiles // m_splits) * width
        stream_splits, m_splits = -(-work.streams // stream_block), -(-work.m // m_block)
        # As if all tasks were as large as the first.
        across = across_cycles(-(-min(m_block, work.m) // lanes), (rows, most_vectors)) * m_splits
        multiplying = stream_splits * (stream_block // rows) * work.taps * across
        packing = stream_splits * registers * pack_cycles(work.turned)
        reading = m_splits * work.streams * work.taps * _STREAM_CYCLES
        tile_bytes = stream_block * work.taps * m_block * item
        near = tile_bytes + pixels.of_a_block * (m_block + stream_block) * item
        adding = 2 * tile_bytes / _SUM_BYTES_A_CYCLE
        tasks = stream_splits * m_splits * work.groups
        sums = tasks * adding * (pixels.blocks + (2 * pixels.parts if pixels.parts > 1 else 0))
        cycles = work.groups * all_pixels * (multiplying + packing + reading) + sums
        cycles *= waiting(tasks * pixels.parts) * max(1.0, near / target.l2_bytes)
        return cycles, stream_block, m_block, pixels

    choices = [
        split(parts, across, along)
        for parts in _most_parts(work)
        for across in _pieces(row_tiles)
        for along in _pieces(m_tiles)
        if parts == 1 or across * along * parts * work.groups <= TASKS_WANTED
    ]
    _, stream_block, m_block, pixels = min(choices, key=lambda choice: choice[0])
    in_place = reads_in_place(stream_block * work.taps, work.m, lanes, turned=work.turned)
    across = -(-m_block // width)
    packs_streams = work.beside and across >= _TILES_A_PACK
    reason = (
        f"grad weight by outer products of streams: {rows}x{most_vectors} tile; {stream_block} of"
        f" {work.streams} streams, {work.taps} taps and {m_block} of {work.m} channels a task; blocks of"
        f" {pixels.images}x{pixels.block[0]}x{pixels.block[1]} pixels in {pixels.parts} parts"
    )
    return StreamPlan(
        most_vectors,
        pixels.images,
        pixels.block,
        stream_block,
        m_block,
        pixels.parts,
        in_place,
        packs_streams,
        reason,
    )


def _most_parts(work: StreamWork) -> list[int]:
    """In how many parts pixels may be summed: powers of two, if the sums are few."""
    few = work.streams * work.taps * work.m * work.groups <= _FEW_SUMS
    return [n for n in (1, 2, 4, 8) if n == 1 or (few and n * work.groups <= TASKS_WANTED)]


def _pieces(count: int) -> list[int]:
    """In how many pieces so many tiles may be cut."""
    return sorted({n for n in (1, 2, 3, 4, 5, 6, 8, 11, 16, 22, 32, 48, 64, 96, 128, 256) if n <= count})


@dataclass(frozen=True)
class _Pixels:
    """Images, rows and columns of a block; how many blocks there are, and parts of them."""

    images: int
    block: tuple[int, int]
    blocks: int
    parts: int

    @property
    def of_a_block(self) -> int:
        return self.images * math.prod(self.block)


def _pixels(work: StreamWork, lanes: int, target: Target, most_parts: int) -> _Pixels:
    """Blocks of whole rows and whole images where they are small, in parts of several blocks each."""
    (grid_h, grid_w), images = work.grid, 1
    across = max(1, round(grid_w / _PIXELS))
    if across > 1:
        if grid_h * work.batch % most_parts:  # Parts are equally long.
            across = max(1, round(across / most_parts)) * most_parts
        rows, columns = 1, -(-grid_w // across)
        if work.turned:
            columns = -(-columns // lanes) * lanes
    else:
        most, columns = max(1, _PIXELS // grid_w), grid_w
        if work.gathered_line:
            most = max(1, min(most, target.l2_bytes // 4 // work.gathered_line))
        rows = -(-grid_h // -(-grid_h // most))
        images = max(1, min(work.batch, most // grid_h)) if rows == grid_h else 1
        images = -(-work.batch // -(-work.batch // images))
    blocks = -(-work.batch // images) * -(-grid_h // rows) * -(-grid_w // columns)
    return _Pixels(images, (rows, columns), blocks, max(1, min(most_parts, blocks // _BLOCKS_A_PART)))
