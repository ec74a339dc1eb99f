"""Whether result channels belong in registers where planes are read and written, and in which blocks.

A pure function of the work and the target. The costs are cycles of one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_TASKS_WANTED = 8
_WAITING_POWER = 0.2
_MOST_PIXELS = 1600
_PACK_CYCLES = 1.0
"""Of a weight that is turned and packed."""
_BYTES_A_CYCLE = 24
"""Of a source that comes from further away than L2."""
_COPY_CYCLES = 3
"""Of a register of a row that is copied with its padding; a row costs as much as two."""
_WAIT_CYCLES = 3
"""Of a register of sums that is added to those in memory."""
_FAR_WAIT_CYCLES = 10
"""The same where they have left the cache."""
_STEP_CYCLES = 1.5
"""Of one step of a register tile, besides its products."""
_DIRECT_EFFICIENCY = (0.79, 0.72, 0.62)
"""Of the direct kernel, for strides of one, two and more."""
_DIRECT_WHOLE_EFFICIENCY = 0.86
"""The same for stride one where pixels fill whole registers."""
_SPLITS = (1, 2, 4, 8, 16)
_STORE_CYCLES = 16
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
    """Source rows: of one row of results, and from one to the next."""
    columns: int
    """Source columns, with their padding."""
    in_place: bool
    stride_w: int
    packs_weights: bool
    """Whether the direct kernel packs them too."""


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


def plan_planar(
    work: PlanarWork, rows: int, most_vectors: int, element: ElementType, target: Target
) -> PlanarPlan:
    """The plan of one job; ``rows`` and ``most_vectors`` are those of the register tile."""
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    grid_h, grid_w = work.grid
    registers = -(-work.m // lanes)
    taps = max(1, work.taps)
    room = _room(target)

    def cycles(vectors: int, images: int, block_h: int, across: int) -> float:
        pixels = images * block_h * grid_w
        blocks = work.groups * -(-work.batch // images) * -(-grid_h // block_h)
        m_blocks = -(-registers // (across * vectors))
        products = taps * work.channels
        tiles = -(-pixels // rows) * -(-registers // vectors)
        waits = -(-products // STRETCH) * _WAIT_CYCLES + _STORE_CYCLES
        if pixels * across * vectors * lanes * item > room:
            block = _channel_block(work, vectors * lanes, images, block_h, item, room)
            waits += -(-work.channels // block) * _FAR_WAIT_CYCLES
        cost = -(-pixels // rows) * rows * registers * products + tiles * products * _STEP_CYCLES
        cost += registers * (_PACK_CYCLES * lanes * products + waits * pixels)
        lines = _lines(work, images, block_h)
        read = lines * work.columns * item
        passes = m_blocks if read < room else -(-registers // vectors)
        cost += passes * work.channels * read / _BYTES_A_CYCLE
        if not work.in_place:
            copied = lines * (2 + work.columns // lanes)
            cost += m_blocks * work.channels * copied * _COPY_CYCLES
        tasks = blocks * m_blocks
        waiting: float = max(1.0, _TASKS_WANTED / tasks) ** _WAITING_POWER
        return cost * blocks * waiting

    shapes = [(1, block_h) for block_h in _evenly(grid_h) if block_h * grid_w <= _MOST_PIXELS] or [(1, 1)]
    shapes += [(n, grid_h) for n in _evenly(work.batch) if n > 1 and n * grid_h * grid_w <= _MOST_PIXELS]
    widths = {most_vectors, max(1, most_vectors - 1)} if registers >= most_vectors else {registers}
    best = min(
        (
            (vectors, *shape, across)
            for vectors in sorted(widths, reverse=True)
            for shape in shapes
            for across in sorted({-(-registers // vectors // n) for n in _SPLITS if n * vectors <= registers})
        ),
        key=lambda choice: cycles(*choice),
    )
    vectors, images, block_h, across = best
    block = _channel_block(work, vectors * lanes, images, block_h, item, room)
    m_block = across * vectors * lanes
    reason = (
        f"planar: {rows}x{vectors} tile for {work.m} channels; blocks of {images}x{block_h}x{grid_w} pixels,"
        f" {m_block} channels each, summed over {block} of {work.channels} channels at a time"
    )
    return PlanarPlan(vectors, images, block_h, m_block, block, cycles(*best), reason)


def direct_cycles(work: PlanarWork, element: ElementType, target: Target) -> float:
    """What the direct kernel takes for the same job: pixels fill its registers, and it gathers them."""
    lanes = target.lanes(element.compute_bytes)
    stride = max(work.rows[1], work.stride_w)
    efficiency = _DIRECT_EFFICIENCY[min(stride, len(_DIRECT_EFFICIENCY)) - 1]
    pixels = work.grid[0] * work.grid[1]
    if stride == 1 and pixels % lanes == 0:
        efficiency = _DIRECT_WHOLE_EFFICIENCY
    registers = work.groups * work.batch * -(-pixels // lanes)
    products = work.m * max(1, work.taps) * work.channels
    packing = _PACK_CYCLES * work.groups * products if work.packs_weights else 0.0
    return registers * products / efficiency + packing


def follow(plan: PlanarPlan, work: PlanarWork, element: ElementType, target: Target) -> PlanarPlan:
    """The same plan for another job, with as many channels at a time as suit it."""
    item = element.compute_bytes
    block_h = max(1, min(plan.block_h, work.grid[0]))
    width = plan.vectors * target.lanes(item)
    block = _channel_block(work, width, plan.images, block_h, item, _room(target))
    return replace(plan, block_h=block_h, channel_block=block)


def _room(target: Target) -> int:
    """Bytes of L2 for the panel, and as many for the planes."""
    return target.l2_bytes * 3 // 8


def _lines(work: PlanarWork, images: int, block_h: int) -> int:
    """Source rows of a channel."""
    return images * (work.rows[0] + (block_h - 1) * work.rows[1])


def _channel_block(work: PlanarWork, width: int, images: int, block_h: int, item: int, room: int) -> int:
    """How many channels' panel, and planes, stay in L2."""
    of_channel = max(max(1, work.taps) * width, _lines(work, images, block_h) * work.columns) * item
    most = max(1, room // of_channel)
    blocks = -(-work.channels // most)
    return -(-work.channels // blocks)


def _evenly(size: int) -> list[int]:
    """Block sizes that cut ``size`` evenly."""
    return sorted({-(-size // n) for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, size) if n <= size})
