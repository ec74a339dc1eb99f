"""Whether result channels belong in registers where planes are read and written, and in which blocks.

A pure function of the work and the target. The costs are cycles of one core.
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_TASKS_WANTED = 8
_WAITING_POWER = 0.2
_MOST_PIXELS = 1024
_PACK_CYCLES = 0.6
"""Of a weight that is turned and packed."""
_COPY_CYCLES = 3
"""Of a register of a row that is copied with its padding; a row costs as much as two."""
_STORE_CYCLES = 6
"""Of a register of results that is turned and written."""


@dataclass(frozen=True)
class PlanarWork:
    """A job as this kernel sees it: ``m`` results from ``channels``, each of a group, on a grid."""

    batch: int
    groups: int
    m: int
    channels: int
    grid: tuple[int, int]
    taps: int
    rows: tuple[int, int]
    """Padded source rows: of one row of results, and from one to the next."""
    columns: int
    """Padded source columns; 0 where the source is read in place."""


@dataclass(frozen=True)
class PlanarPlan:
    """A task does ``images`` x ``block_h`` rows of ``m_block`` channels, from ``channel_block`` at a time."""

    vectors: int
    images: int
    block_h: int
    m_block: int
    channel_block: int
    cycles: float
    reason: str


def tile_rows(pixels: int, target: Target) -> int:
    """Pixels of a register tile that fill it; most images are a multiple of seven wide."""
    if target.registers < 32:
        return 4
    return min((8, 7), key=lambda rows: -(-pixels // rows) * rows * (1 + 0.01 * (8 - rows)))


def plan_planar(work: PlanarWork, rows: int, most_vectors: int, element: ElementType, target: Target) -> PlanarPlan:
    """The plan of one job; ``rows`` and ``most_vectors`` are those of the register tile."""
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    grid_h, grid_w = work.grid
    registers = -(-work.m // lanes)
    vectors = -(-registers // -(-registers // most_vectors))
    tiles_across = -(-registers // vectors)
    width = vectors * lanes
    taps = max(1, work.taps)

    def slab_bytes(images: int, block_h: int) -> int:
        """Of one channel."""
        return images * (work.rows[0] + (block_h - 1) * work.rows[1]) * work.columns * item

    def channel_block(images: int, block_h: int) -> int:
        most = target.l2_bytes * 3 // 8 // (taps * width * item)
        if work.columns:
            most = min(most, target.l2_bytes * 3 // 8 // slab_bytes(images, block_h))
        blocks = -(-work.channels // max(1, most))
        return -(-work.channels // blocks)

    def cycles(images: int, block_h: int, across: int) -> float:
        pixels = images * block_h * grid_w
        m_blocks = -(-tiles_across // across)
        tasks = work.groups * -(-work.batch // images) * -(-grid_h // block_h) * m_blocks
        m = min(across * vectors, registers)
        steps = -(-pixels // rows) * rows * taps * work.channels
        cost = float(steps * m)
        cost += _PACK_CYCLES * m * lanes * taps * work.channels + _STORE_CYCLES * pixels * m
        if work.columns:
            lines = images * (work.rows[0] + (block_h - 1) * work.rows[1]) * work.channels
            cost += lines * _COPY_CYCLES * (2 + work.columns // lanes)
        if channel_block(images, block_h) < work.channels:
            waiting = images * block_h * grid_w * across * width * item
            cost *= 1 + max(0.0, waiting / target.l2_bytes - 0.25)
        return cost * tasks * max(1.0, _TASKS_WANTED / tasks) ** _WAITING_POWER

    shapes = [(1, block_h) for block_h in _evenly(grid_h) if block_h * grid_w <= _MOST_PIXELS] or [(1, 1)]
    shapes += [(n, grid_h) for n in _evenly(work.batch) if n > 1 and n * grid_h * grid_w <= _MOST_PIXELS]
    choices = [
        (*shape, across)
        for shape in shapes
        for across in sorted({-(-tiles_across // n) for n in (1, 2, 4, 6, 8, 16) if n <= tiles_across})
    ]
    best = min(choices, key=lambda choice: cycles(*choice))
    images, block_h, across = best
    block = channel_block(images, block_h)
    reason = (
        f"planar: {rows}x{vectors} tile for {work.m} channels; blocks of {images}x{block_h}x{grid_w} pixels,"
        f" {across * width} channels each, summed over {block} of {work.channels} channels at a time"
    )
    return PlanarPlan(vectors, images, block_h, across * width, block, cycles(*best), reason)


def _evenly(size: int) -> list[int]:
    """Block sizes that cut ``size`` evenly."""
    return sorted({-(-size // n) for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, size) if n <= size})
