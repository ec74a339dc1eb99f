"""Whether Winograd's filters pay for a layer, and in which blocks: a pure function.

Which filter, and whether it pays, is a question of the layer alone, not of the image and the batch, so a new
size compiles nothing. The costs are cycles of one core: multiply-adds at one register a cycle, transforms by
their instructions, traffic by the level of cache it comes from. docs/decisions/winograd.md compares them with
measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tatamu.engine.planning.common import waiting
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_POINTS = 5
"""Besides infinity. Seven cost more accuracy on data of very different sizes than is promised."""
INSTRUCTIONS_A_CYCLE = 2.5
_MOVING_INSTRUCTIONS_A_CYCLE = 0.85
"""Of the transforms of tiles, whose slabs are gathered before, and whose products all go to L2."""
_DIRECT_EFFICIENCY = 0.85
MULTIPLY_EFFICIENCY = 0.92
_NEAR_BYTES_A_CYCLE = 32
_FAR_BYTES_A_CYCLE = 10
_WRITE_BYTES_A_CYCLE = 6
_LEAST_TILES = 12
_MOST_TILES = 96
_CHOICES = 4
"""Numbers of images that are weighed, the largest that fit."""
_MOST_SCRATCH = 4 << 20
_PACKINGS = 0.5
"""How often a call is taken to transform shared weights: every one in training, none while they stay."""
_LEAST_GAIN = 1.15
"""Products that are left out, taps in the padding not counted: less does not pay for the transforms."""


@dataclass(frozen=True)
class WinogradWork:
    """A convolution of stride 1 as its tiles see it: ``m`` results from ``channels``, each of a group."""

    batch: int
    groups: int
    channels: int
    m: int
    grid: tuple[int, int]
    taps: tuple[int, int]
    dilation: tuple[int, int]
    """Of each axis. Results so far apart are those of a convolution without dilation, a phase."""
    inside: int
    """Pairs of a result and a tap that does not lie in zero padding, of each pair of channels in an image."""

    @property
    def phases(self) -> int:
        """Phases of the rows: those of the columns are done together, tile by tile."""
        return min(self.dilation[0], self.grid[0])

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows of tiles of a phase, and tiles of a row: so many of each phase of the columns side by side."""
        mh, mw = tile(self.taps)
        across = self.dilation[1]
        return -(-self.grid[0] // (self.dilation[0] * mh)), -(-self.grid[1] // (across * mw)) * across

    @property
    def products(self) -> int:
        """Of an image, for each pair of channels."""
        return self.phases * self.tiles[0] * self.tiles[1] * tile_products(self.taps)


@dataclass(frozen=True)
class WinogradPlan:
    """Tiles of ``outputs`` results; a task does ``images`` x ``block`` of them and ``panels`` of channels."""

    outputs: tuple[int, int]
    rows: tuple[int, ...]
    vectors: int
    images: int
    block: tuple[int, int]
    panels: int
    channel_block: int
    """Source channels that are summed over at a time."""
    own_weights: bool
    """Whether tasks transform the weights that they multiply by, a block of channels at a time; else a phase
    before transforms all, which tasks share."""
    cycles: float
    reason: str


def plan_winograd(work: WinogradWork, element: ElementType, target: Target) -> WinogradPlan | str:
    """The cheapest plan, or why the direct kernel is to be taken."""
    there, back = transforms(work.taps)
    lanes = target.lanes(element.compute_bytes)
    each = there * -(-work.channels // lanes) + back * -(-work.m // lanes)
    rows, _ = register_tile(1, target.registers)
    products_a_cycle = lanes * (2 if target.multiplies_pairs(element) else 1)
    tiles = rows[-1], _most_tiles(work, element, target)
    if obstacle := why_direct(work, lanes, products_a_cycle, each, tiles):
        return obstacle
    return min(plans(work, element, target), key=lambda plan: plan.cycles)


def _most_tiles(work: WinogradWork, element: ElementType, target: Target) -> int:
    """Of a task."""
    item = element.compute_bytes
    room = tile_products(work.taps) * (work.channels + target.lanes(item)) * item
    return max(1, min(_MOST_TILES, _MOST_SCRATCH // room))


def why_direct(
    work: WinogradWork, lanes: int, direct_lanes: int, transforming: float, tiles: tuple[int, int]
) -> str | None:
    """Why the direct kernel is to be taken: the layer's kernel, its channels, or an image of a few pixels.

    The direct kernel does ``direct_lanes`` products a cycle. The transforms of a tile cost ``transforming``
    cycles; ``tiles`` are the fewest and the most of a task.
    """
    (r, s), (a, b) = work.taps, tile(work.taps)
    if a * b <= 1:
        return f"no filter for a kernel of {r} x {s}"
    multiplying = tile_products(work.taps) * work.channels * -(-work.m // lanes) / MULTIPLY_EFFICIENCY
    direct = a * b * r * s * work.channels * work.m / direct_lanes / _DIRECT_EFFICIENCY
    if multiplying + transforming >= direct:
        return f"estimated {multiplying + transforming:.0f} cycles a tile against {direct:.0f} directly"
    if max(tiles[0], work.dilation[1]) > tiles[1]:
        return f"tiles of {work.channels} channels, dilation {work.dilation[1]}: too much memory for a task"
    extents = [-(-size // step) for size, step in zip(work.grid, work.dilation, strict=True)]
    if all(extent < most for extent, most in zip(extents, tile(work.taps), strict=True)):
        return f"{extents[0]} x {extents[1]} results do not fill a tile"
    if work.inside < _LEAST_GAIN * work.products:
        return f"{work.products} products against {work.inside} directly: many taps lie in the padding"
    return None


def tile_size(taps: int) -> int:
    """Results of a tile along an axis, as many as the points give; 1 where there is nothing to gain."""
    return _POINTS + 2 - taps if 1 < taps <= _POINTS else 1


def tile(taps: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of results of a tile."""
    return tile_size(taps[0]), tile_size(taps[1])


def tile_products(taps: tuple[int, int]) -> int:
    """Products of a tile for each pair of channels."""
    (a, b), (r, s) = tile(taps), taps
    return (a + r - 1) * (b + s - 1)


def transforms(taps: tuple[int, int]) -> tuple[float, float]:
    """Cycles of the transforms of a register of channels of a tile, there and back, with what moves them.

    Instructions are counted on F(4x4, 3x3): three passes over the products, and its own.
    """
    products, pixels = tile_products(taps), tile(taps)[0] * tile(taps)[1]
    there = (7 * products + 2 * pixels) / _MOVING_INSTRUCTIONS_A_CYCLE
    return there, (5 * products + 6 * pixels) / _MOVING_INSTRUCTIONS_A_CYCLE


def register_tile(vectors_wanted: int, registers: int) -> tuple[tuple[int, ...], int]:
    """Rows, the largest number first, and registers of a row that fill the register file."""
    vectors = min(2, vectors_wanted)
    if registers >= 32:
        return (12, 4), vectors
    return (6, 2), vectors


def evenly(size: int, most: int) -> list[int]:
    """Block sizes that cut ``size`` evenly, none above ``most``."""
    return sorted({-(-size // n) for n in range(1, size + 1) if -(-size // n) <= most})


def plans(work: WinogradWork, element: ElementType, target: Target) -> list[WinogradPlan]:
    """The best plan with weights transformed in a phase before, and the best whose tasks do it themselves."""
    if math.prod(tile(work.taps)) <= 1:
        return []
    return [_plan(work, element, target, own=own) for own in (False, True)]


def _plan(work: WinogradWork, element: ElementType, target: Target, *, own: bool) -> WinogradPlan:
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    registers = -(-work.m // lanes)
    rows, vectors = register_tile(registers, target.registers)
    panels = -(-registers // vectors)
    outputs, products = tile(work.taps), tile_products(work.taps)
    tiles_h, tiles_w = work.tiles
    weight_bytes = products * work.channels * panels * vectors * lanes * item
    there, back = transforms(work.taps)
    transforming = registers * work.channels * (11 * products) / INSTRUCTIONS_A_CYCLE
    shared = 0.0 if own else work.groups * (transforming + weight_bytes / _WRITE_BYTES_A_CYCLE) * _PACKINGS
    multiplying = products * work.channels * vectors / MULTIPLY_EFFICIENCY
    weight_rate = _NEAR_BYTES_A_CYCLE if weight_bytes < target.l2_bytes // 2 else _FAR_BYTES_A_CYCLE
    # What is transformed at a time is written and then read: it should stay in L2 beside the tiles.
    most_channels = max(lanes, target.l2_bytes // 3 // (products * vectors * lanes * item) // lanes * lanes)
    # Shared weights are read channel after channel: in blocks they come from memory a third slower.
    channel_block = -(-evenly(work.channels, most_channels)[-1] // lanes) * lanes if own else work.channels

    def cycles(shape: tuple[int, int, int], split: int) -> float:
        images, block_h, block_w = shape
        tiles = images * block_h * block_w
        whole = -(-tiles // rows[-1]) * rows[-1]
        blocks = -(-work.batch // images) * work.phases * -(-tiles_h // block_h) * -(-tiles_w // block_w)
        blocks *= work.groups
        each = -(-panels // split)
        near = products * whole * work.channels * item
        rate = _NEAR_BYTES_A_CYCLE if near < target.l2_bytes // 2 else _FAR_BYTES_A_CYCLE
        traffic = near * each / rate + (0 if own else weight_bytes / split / weight_rate)
        transforms = tiles * (-(-work.channels // lanes) * there + each * vectors * back)
        transforms += transforming / split if own else 0
        tasks = blocks * split
        return shared + tasks * (multiplying * whole * each + 0.3 * traffic + transforms) * waiting(tasks)

    splits = [n for n in (1, 2, 4, 8) if n <= panels]
    shapes = _shapes(work.batch, tiles_h, tiles_w, work.dilation[1], _most_tiles(work, element, target))
    cost, shape, split = min((cycles(shape, split), shape, split) for shape in shapes for split in splits)
    each = -(-panels // split)
    whose = "weights transformed by each task" if own else "weights transformed beforehand"
    reason = (
        f"winograd F({outputs[0]}x{outputs[1]}, {work.taps[0]}x{work.taps[1]}): {products} products for"
        f" {outputs[0] * outputs[1] * work.taps[0] * work.taps[1]}; blocks of {'x'.join(map(str, shape))}"
        f" tiles, {each * vectors * lanes} of {work.m} result channels a task; {whose}"
    )
    return WinogradPlan(outputs, rows, vectors, shape[0], shape[1:], each, channel_block, own, cost, reason)


def _shapes(batch: int, tiles_h: int, tiles_w: int, unit: int, most: int) -> list[tuple[int, int, int]]:
    """Images, rows and columns of tiles that a task may have: enough to be worth reading the weights for.

    Columns are multiples of ``unit``.
    """
    all_tiles = tiles_h * tiles_w
    if all_tiles * 2 <= most and batch > 1:
        return [(images, tiles_h, tiles_w) for images in evenly(batch, most // all_tiles)[-_CHOICES:]]
    least = min(all_tiles, most, _LEAST_TILES)
    widths = [width * unit for width in evenly(tiles_w // unit, max(1, most // unit))]
    shapes = [
        (1, block_h, block_w)
        for block_h in evenly(tiles_h, 8)
        for block_w in widths
        if least <= block_h * block_w <= most
    ]
    return shapes or [(1, 1, widths[-1])]
