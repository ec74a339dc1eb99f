"""Whether Winograd's filters pay for a layer, which of them, and in which blocks: a pure function.

The costs are cycles of one core: multiply-adds at one register a cycle, transforms by their instructions,
traffic by the level of cache it comes from. docs/decisions/winograd.md compares them with measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_POINTS = (3, 5)
"""Besides infinity. Seven cost more accuracy on data of very different sizes than is promised."""
INSTRUCTIONS_A_CYCLE = 2.5
_DIRECT_EFFICIENCY = 0.85
MULTIPLY_EFFICIENCY = 0.92
_NEAR_BYTES_A_CYCLE = 32
_FAR_BYTES_A_CYCLE = 10
_WRITE_BYTES_A_CYCLE = 6
TASKS_WANTED = 8
WAITING_POWER = 0.2
_MOST_TILES = 96
_MOST_SCRATCH = 4 << 20


@dataclass(frozen=True)
class WinogradWork:
    """A convolution of stride 1 as its tiles see it: ``m`` results from ``channels``, each of a group."""

    batch: int
    groups: int
    channels: int
    m: int
    grid: tuple[int, int]
    taps: tuple[int, int]
    packings: float = 1.0
    """How often a call packs its weights: less than once where they are used again (`engine/reuse.py`)."""


@dataclass(frozen=True)
class WinogradPlan:
    """Tiles of ``outputs`` results; a task does ``images`` x ``block`` of them and ``panels`` of channels."""

    outputs: tuple[int, int]
    rows: tuple[int, ...]
    vectors: int
    images: int
    block: tuple[int, int]
    panels: int
    cycles: float
    reason: str


def direct_cycles(work: WinogradWork, lanes: int) -> float:
    """What the same layer costs without."""
    pixels = work.batch * work.grid[0] * work.grid[1]
    products = work.groups * work.channels * work.m * work.taps[0] * work.taps[1]
    return pixels * products / lanes / _DIRECT_EFFICIENCY


def plan_winograd(work: WinogradWork, element: ElementType, target: Target) -> WinogradPlan | str:
    """The cheapest plan, or why the direct kernel is to be taken."""
    best = min(plans(work, element, target), key=lambda plan: plan.cycles, default=None)
    if best is None:
        return no_filter(work)
    direct = direct_cycles(work, target.lanes(element.compute_bytes))
    return best if best.cycles < direct else dearer(best.cycles, direct)


def no_filter(work: WinogradWork) -> str:
    """There is no plan to choose from."""
    return f"no filter for a kernel of {work.taps[0]} x {work.taps[1]}"


def dearer(cycles: float, direct: float) -> str:
    """The cheapest plan costs more than the direct kernel."""
    return f"estimated {cycles / 1e6:.3g} million cycles against {direct / 1e6:.3g} directly"


def plans(work: WinogradWork, element: ElementType, target: Target) -> list[WinogradPlan]:
    """The best plan of every filter that there is for these taps."""
    return [
        _plan(work, (a, b), element, target)
        for a in tile_sizes(work.taps[0])
        for b in tile_sizes(work.taps[1])
        if work.taps != (1, 1)
    ]


def tile_sizes(taps: int) -> tuple[int, ...]:
    """Results of a tile along an axis for which there are points; one where there is nothing to gain."""
    return (1,) if taps == 1 else tuple(n + 2 - taps for n in _POINTS if n >= taps)


def register_tile(vectors_wanted: int, registers: int) -> tuple[tuple[int, ...], int]:
    """Rows, the largest number first, and registers of a row that fill the register file."""
    vectors = min(2, vectors_wanted)
    if registers >= 32:
        return (12, 4), vectors
    return (6, 2), vectors


def evenly(size: int, most: int) -> list[int]:
    """Block sizes that cut ``size`` evenly, none above ``most``."""
    return sorted({-(-size // n) for n in range(1, size + 1) if -(-size // n) <= most})


def _plan(work: WinogradWork, outputs: tuple[int, int], element: ElementType, target: Target) -> WinogradPlan:
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    registers = -(-work.m // lanes)
    rows, vectors = register_tile(registers, target.registers)
    panels = -(-registers // vectors)
    tiles_h, tiles_w = (-(-size // m) for size, m in zip(work.grid, outputs, strict=True))
    products = (outputs[0] + work.taps[0] - 1) * (outputs[1] + work.taps[1] - 1)
    weight_bytes = products * work.channels * panels * vectors * lanes * item
    pixels = outputs[0] * outputs[1]
    source_blocks = -(-work.channels // lanes)
    # Instructions of a transform, counted on F(4x4, 3x3): three passes over the products, and its own.
    there = (7 * products + 2 * pixels) / INSTRUCTIONS_A_CYCLE
    back = (5 * products + 6 * pixels) / INSTRUCTIONS_A_CYCLE
    weights = work.groups * registers * work.channels * (5 * products) / INSTRUCTIONS_A_CYCLE
    weights += work.groups * weight_bytes / _WRITE_BYTES_A_CYCLE
    weights *= work.packings

    def candidate(images: int, block_h: int, block_w: int, split: int) -> WinogradPlan:
        tiles = images * block_h * block_w
        whole = -(-tiles // rows[-1]) * rows[-1]
        blocks = -(-work.batch // images) * -(-tiles_h // block_h) * -(-tiles_w // block_w) * work.groups
        each = -(-panels // split)
        multiply = products * whole * work.channels * each * vectors / MULTIPLY_EFFICIENCY
        near = products * whole * work.channels * item
        rate = _NEAR_BYTES_A_CYCLE if near < target.l2_bytes // 2 else _FAR_BYTES_A_CYCLE
        traffic = near * each / rate
        rate = _NEAR_BYTES_A_CYCLE if weight_bytes < target.l2_bytes // 2 else _FAR_BYTES_A_CYCLE
        traffic += weight_bytes / split / rate
        transforms = tiles * (source_blocks * there + each * vectors * back)
        tasks = blocks * split
        waiting = max(1.0, TASKS_WANTED / tasks) ** WAITING_POWER
        cycles = weights + tasks * (multiply + 0.3 * traffic + transforms) * waiting
        reason = (
            f"winograd F({outputs[0]}x{outputs[1]}, {work.taps[0]}x{work.taps[1]}): {products} products for"
            f" {pixels * work.taps[0] * work.taps[1]}; blocks of {images}x{block_h}x{block_w} tiles,"
            f" {each * vectors * lanes} of {work.m} result channels a task"
        )
        return WinogradPlan(outputs, rows, vectors, images, (block_h, block_w), each, cycles, reason)

    def fits(images: int, block_h: int, block_w: int) -> bool:
        tiles = images * block_h * block_w
        return tiles <= _MOST_TILES and tiles * products * (work.channels + lanes) * item <= _MOST_SCRATCH

    shapes = [
        (1, block_h, block_w)
        for block_h in evenly(tiles_h, 8)
        for block_w in evenly(tiles_w, _MOST_TILES)
        if fits(1, block_h, block_w)
    ]
    shapes += [
        (images, tiles_h, tiles_w)
        for images in evenly(work.batch, _MOST_TILES)
        if images > 1 and fits(images, tiles_h, tiles_w)
    ]
    splits = [n for n in (1, 2, 4, 8) if n <= panels]
    return min(
        (candidate(*shape, split) for shape in shapes or [(1, 1, 1)] for split in splits),
        key=lambda plan: plan.cycles,
    )
