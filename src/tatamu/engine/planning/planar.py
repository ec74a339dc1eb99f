"""In which blocks planes are computed with result channels in registers.

A pure function of the work and the target. The costs are cycles of one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.planning.common import shared_out, threads_used, tile_rows
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_MOST_PIXELS = 1600
_PACK_CYCLES = 1.0
"""Of a weight that is turned and packed."""
_NEAR_CYCLES, _FAR_CYCLES = 0.25, 0.6
"""Of a packed weight that a task reads: from L2, or where all of them do not stay there."""
_PHASE_CYCLES = 8000
"""Of threads that meet once more."""
_TASK_CYCLES = 600
"""Of a task, besides a cycle for each pixel and product that it lists."""
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
_SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 32)
_TASKS_A_THREAD = 8
"""That share the work evenly enough: more are only weighed where larger tasks are not."""
_STORE_CYCLES = 12
"""Of a register of results that is turned and written."""
_SHARED_BYTES = range(64 << 10, 64 << 20)
"""Of weights that are packed once for all tasks; fewer are packed sooner than threads have met again."""


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
    may_share: bool
    """Whether weights may be packed before the tasks begin."""


@dataclass(frozen=True)
class PlanarPlan:
    """A task does ``images`` x ``block_h`` rows of ``m_block`` channels, from ``channel_block`` at a time."""

    vectors: int
    images: int
    block_h: int
    m_block: int
    channel_block: int
    shares: bool
    """Whether weights are packed once, before the tasks begin, rather than by each task."""
    reason: str


def may_share(weights: int, item: int) -> bool:
    """Whether so many weights may be packed once for all tasks, rather than by each task."""
    return weights * item in _SHARED_BYTES


def plan_planar(
    work: PlanarWork,
    rows: int,
    most_vectors: int,
    element: ElementType,
    target: Target,
    *,
    narrower: bool = True,
) -> PlanarPlan:
    """The plan of one job; ``rows`` and ``most_vectors`` are those of the register tile.

    A block of result channels may be cut into tiles that are ``narrower``, or else only its last one is.
    """
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    grid_h, grid_w = work.grid
    registers = -(-work.m // lanes)
    taps = max(1, work.taps)
    products = taps * work.channels
    room = _room(target)
    weights = registers * lanes * products
    reading = _FAR_CYCLES if weights * item > room else _NEAR_CYCLES
    operations = work.batch * work.groups * grid_h * grid_w * work.m * products
    threads = threads_used(target, operations)

    def vectors_of(block: int) -> int:
        """The width of the tiles that a block of so many registers is cut into."""
        return -(-block // -(-block // most_vectors)) if narrower else most_vectors

    def cycles(images: int, block_h: int, block: int, shares: bool) -> float:
        """Of the whole job, with tasks of ``block`` registers."""
        vectors = vectors_of(block)

        def of_task(size: int, registers: int) -> float:
            """Of rows of an image, or of so many images."""
            images_now, rows_now = (size, grid_h) if images > 1 else (1, size)
            pixels, tiles = images_now * rows_now * grid_w, -(-registers // vectors)
            waits = -(-products // STRETCH) * _WAIT_CYCLES + _STORE_CYCLES
            if pixels * registers * lanes * item > room:
                at_once = _channel_block(work, vectors * lanes, images_now, rows_now, item, room)
                waits += -(-work.channels // at_once) * _FAR_WAIT_CYCLES
            cost = tile_rows(pixels, rows) * products * (registers + tiles * _STEP_CYCLES / rows)
            cost += registers * (reading if shares else _PACK_CYCLES) * lanes * products
            cost += registers * waits * -(-pixels // lanes) * lanes
            cost += _TASK_CYCLES + pixels + products
            lines = _lines(work, images_now, rows_now)
            read = lines * work.columns * item
            cost += (1 if read < room else tiles) * work.channels * read / _BYTES_A_CYCLE
            if not work.in_place:
                cost += work.channels * lines * (2 + work.columns // lanes) * _COPY_CYCLES
            return cost

        down, sets = ((work.batch, images), 1) if images > 1 else ((grid_h, block_h), work.batch)
        first = work.groups * weights * _PACK_CYCLES / threads + _PHASE_CYCLES if shares else 0.0
        return shared_out(of_task, down, (registers, block), sets * work.groups, threads) + first

    shapes = [(1, block_h) for block_h in _evenly(grid_h) if block_h * grid_w <= _MOST_PIXELS] or [(1, 1)]
    shapes += [(n, grid_h) for n in _evenly(work.batch) if n > 1 and n * grid_h * grid_w <= _MOST_PIXELS]
    unit = 1 if narrower else most_vectors
    units = -(-registers // unit)
    blocks = sorted({unit * -(-units // n) for n in _SPLITS if n <= units}, reverse=True)

    def worth_weighing(images: int, block_h: int) -> list[int]:
        """Blocks of registers: the largest, and smaller ones until there are tasks enough."""
        sets = work.groups * -(-work.batch // images) * -(-grid_h // block_h)
        return blocks[:2] + [it for it in blocks[2:] if sets * (registers // it) <= _TASKS_A_THREAD * threads]

    best = min(
        (
            (*shape, block, shares)
            for shape in shapes
            for block in worth_weighing(*shape)
            for shares in ((False, True) if work.may_share else (False,))
        ),
        key=lambda choice: cycles(*choice),
    )
    images, block_h, registers_a_task, shares = best
    vectors, m_block = vectors_of(registers_a_task), registers_a_task * lanes
    block = _channel_block(work, vectors * lanes, images, block_h, item, room)
    reason = (
        f"planar: {rows}x{vectors} tile for {work.m} channels; blocks of {images}x{block_h}x{grid_w} pixels,"
        f" {m_block} channels each, summed over {block} of {work.channels} channels at a time"
    )
    return PlanarPlan(vectors, images, block_h, m_block, block, shares, reason)


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
