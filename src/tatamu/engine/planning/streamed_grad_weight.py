"""Tiles, blocks of pixels and tasks of grad weight of streams: a function of the work and the target."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.target import Target

_PIXELS = 144
"""Of a block: as many steps of a panel as stay in the first cache beside the streams."""
_TASKS_WANTED = 8
_WAITING_POWER = 0.3
_FEW_SUMS = 1 << 18
"""Sums that may be kept once for each part of the pixels."""
_BLOCKS_A_PART = 4
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


def step_cycles(streams: int, m: int, rows: int, lanes: int, *, turned: bool) -> float:
    """Of one pixel, packing included."""
    registers = -(-m // lanes)
    return registers * (-(-streams // rows) * rows + (_TURN_CYCLES if turned else _COPY_CYCLES))


def plan_streams(work: StreamWork, rows: int, most_vectors: int, item: int, target: Target) -> StreamPlan:
    """The plan; ``rows`` x ``most_vectors`` is the register tile."""
    lanes = target.lanes(item)
    registers = -(-work.m // lanes)
    width = most_vectors * lanes
    images, block = _pixel_block(work, lanes, target)
    row_tiles = -(-work.streams // rows)
    grid_h, grid_w = work.grid
    blocks = -(-work.batch // images) * -(-grid_h // block[0]) * -(-grid_w // block[1])
    parts = 1
    if work.streams * work.taps * work.m * work.groups <= _FEW_SUMS:
        parts = max(1, min(_TASKS_WANTED // work.groups, blocks // _BLOCKS_A_PART))
    room = target.l2_bytes * 5 // 8

    def split(stream_splits: int, m_splits: int) -> tuple[float, int, int]:
        stream_block = -(-row_tiles // stream_splits) * rows
        m_block = -(-registers // most_vectors // m_splits) * width
        stream_splits, m_splits = -(-work.streams // stream_block), -(-work.m // m_block)
        tasks = stream_splits * m_splits * work.groups * parts
        tile_bytes = stream_block * work.taps * m_block * item
        bytes_ = tile_bytes + images * block[0] * block[1] * (m_block + stream_block) * item
        multiplying = stream_splits * stream_block * work.taps * registers
        packing = stream_splits * registers * (_TURN_CYCLES if work.turned else _COPY_CYCLES)
        reading = m_splits * work.streams * work.taps * _STREAM_CYCLES
        waiting: float = max(1.0, _TASKS_WANTED / tasks) ** _WAITING_POWER
        overflow = max(1.0, bytes_ / room)
        return (multiplying + packing + reading) * waiting * overflow, stream_block, m_block

    m_tiles = -(-registers // most_vectors)
    choices = [
        split(across, along)
        for across in _pieces(row_tiles)
        for along in _pieces(m_tiles)
        if parts == 1 or across * along * parts * work.groups <= _TASKS_WANTED
    ]
    _, stream_block, m_block = min(choices)
    in_place = not work.turned and work.m % lanes == 0 and stream_block * work.taps < _ROWS_A_PANEL
    across = -(-m_block // width)
    packs_streams = work.beside and across >= _TILES_A_PACK
    reason = (
        f"grad weight by outer products of streams: {rows}x{most_vectors} tile; {stream_block} of"
        f" {work.streams} streams, {work.taps} taps and {m_block} of {work.m} channels a task; blocks of"
        f" {images}x{block[0]}x{block[1]} pixels in {parts} parts"
    )
    return StreamPlan(
        most_vectors, images, block, stream_block, m_block, parts, in_place, packs_streams, reason
    )


def _pieces(count: int) -> list[int]:
    """In how many pieces so many tiles may be cut."""
    return sorted({n for n in (1, 2, 3, 4, 5, 6, 8, 11, 16, 22, 32, 48, 64, 96, 128, 256) if n <= count})


def _pixel_block(work: StreamWork, lanes: int, target: Target) -> tuple[int, tuple[int, int]]:
    """Images, rows and columns of a block: whole rows and whole images where they are small."""
    grid_h, grid_w = work.grid
    columns = -(-grid_w // max(1, round(grid_w / _PIXELS)))
    if columns < grid_w:
        columns = -(-columns // lanes) * lanes
        return 1, (1, columns)
    most = max(1, _PIXELS // columns)
    if work.gathered_line:
        most = max(1, min(most, target.l2_bytes // 4 // work.gathered_line))
    rows = -(-grid_h // -(-grid_h // most))
    images = max(1, min(work.batch, most // grid_h)) if rows == grid_h else 1
    return -(-work.batch // -(-work.batch // images)), (rows, columns)
