"""Whether Winograd's filters pay for a layer, which of them, and in which blocks: a pure function.

The costs are cycles of one core: multiply-adds at one register a cycle, transforms by their instructions,
traffic by the level of cache it comes from. docs/decisions/winograd.md compares them with measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.plan import waiting
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
_LEAST_TILES = 12
_MOST_TILES = 96
_CHOICES = 4
"""Numbers of images that are weighed, the largest that fit."""
_WORTH_WEIGHING = 1.3
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
    products_a_lane = 2 if target.multiplies_pairs(element) else 1
    direct = direct_cycles(work, target.lanes(element.compute_bytes) * products_a_lane)
    return best if best.cycles < direct else dearer(best.cycles, direct)


def no_filter(work: WinogradWork) -> str:
    """There is no plan to choose from."""
    return f"no filter for a kernel of {work.taps[0]} x {work.taps[1]}"


def dearer(cycles: float, direct: float) -> str:
    """The cheapest plan costs more than the direct kernel."""
    return f"estimated {cycles / 1e6:.3g} million cycles against {direct / 1e6:.3g} directly"


def plans(work: WinogradWork, element: ElementType, target: Target) -> list[WinogradPlan]:
    """The best plan of each filter for these taps; not of those far behind in products alone."""
    if work.taps == (1, 1):
        return []
    choices = [(a, b) for a in tile_sizes(work.taps[0]) for b in tile_sizes(work.taps[1])]
    products = [_products(work, outputs) for outputs in choices]
    least = min(products, default=0)
    return [
        _plan(work, outputs, element, target)
        for outputs, count in zip(choices, products, strict=True)
        if count <= _WORTH_WEIGHING * least
    ]


def _products(work: WinogradWork, outputs: tuple[int, int]) -> int:
    """Of an image, for each pair of channels."""
    count = 1
    for size, m, r in zip(work.grid, outputs, work.taps, strict=True):
        count *= -(-size // m) * (m + r - 1)
    return count


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

    multiplying = products * work.channels * vectors / MULTIPLY_EFFICIENCY
    weight_rate = _NEAR_BYTES_A_CYCLE if weight_bytes < target.l2_bytes // 2 else _FAR_BYTES_A_CYCLE

    def cycles(shape: tuple[int, int, int], split: int) -> float:
        images, block_h, block_w = shape
        tiles = images * block_h * block_w
        whole = -(-tiles // rows[-1]) * rows[-1]
        blocks = -(-work.batch // images) * -(-tiles_h // block_h) * -(-tiles_w // block_w) * work.groups
        each = -(-panels // split)
        near = products * whole * work.channels * item
        rate = _NEAR_BYTES_A_CYCLE if near < target.l2_bytes // 2 else _FAR_BYTES_A_CYCLE
        traffic = near * each / rate + weight_bytes / split / weight_rate
        transforms = tiles * (source_blocks * there + each * vectors * back)
        tasks = blocks * split
        return weights + tasks * (multiplying * whole * each + 0.3 * traffic + transforms) * waiting(tasks)

    most = min(_MOST_TILES, _MOST_SCRATCH // (products * (work.channels + lanes) * item))
    splits = [n for n in (1, 2, 4, 8) if n <= panels]
    shapes = _shapes(work.batch, tiles_h, tiles_w, most)
    cost, shape, split = min((cycles(shape, split), shape, split) for shape in shapes for split in splits)
    each = -(-panels // split)
    reason = (
        f"winograd F({outputs[0]}x{outputs[1]}, {work.taps[0]}x{work.taps[1]}): {products} products for"
        f" {pixels * work.taps[0] * work.taps[1]}; blocks of {'x'.join(map(str, shape))} tiles,"
        f" {each * vectors * lanes} of {work.m} result channels a task"
    )
    return WinogradPlan(outputs, rows, vectors, shape[0], shape[1:], each, cost, reason)


def _shapes(batch: int, tiles_h: int, tiles_w: int, most: int) -> list[tuple[int, int, int]]:
    """Images, rows and columns of tiles that a task may have: enough to be worth reading the weights for."""
    all_tiles = tiles_h * tiles_w
    if all_tiles * 2 <= most and batch > 1:
        return [(images, tiles_h, tiles_w) for images in evenly(batch, most // all_tiles)[-_CHOICES:]]
    least = min(all_tiles, most, _LEAST_TILES)
    shapes = [
        (1, block_h, block_w)
        for block_h in evenly(tiles_h, 8)
        for block_w in evenly(tiles_w, most)
        if least <= block_h * block_w <= most
    ]
    return shapes or [(1, 1, min(tiles_w, max(1, most)))]
