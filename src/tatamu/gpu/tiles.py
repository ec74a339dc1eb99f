"""How large the tiles of a pass are: rules on its shape, from which the measured tuning starts too.

No GPU has measured them yet. What they follow from: `docs/decisions/gpu.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.gpu.numbers import Numbers
from tatamu.gpu.processor import Processor

_LEAST = 16
"""The shortest side of a product on tensor cores."""
_VECTOR = 8
"""Numbers of 16 bits that are loaded at once."""


@dataclass(frozen=True)
class Tile:
    """Blocks of one program.

    Attributes:
        pixels, channels: of the result; in grad weight `pixels` are what is summed over.
        depth: of what is summed over; in grad weight, of the result's other side (taps × channels).
        warps: of 32 threads. stages: steps of the loop whose loads are on their way at the same time.
    """

    pixels: int
    channels: int
    depth: int
    warps: int
    stages: int


def power_of_two(least: int) -> int:
    """The smallest that is not smaller."""
    return 1 << max(least - 1, 0).bit_length()


def _within(size: int, least: int, most: int) -> int:
    return min(max(power_of_two(size), least), most)


def product(
    pixels: int,
    channels: int,
    depth: int,
    numbers: Numbers,
    processor: Processor,
    *,
    rest: int,
    joint: bool,
    folded: bool,
) -> Tile:
    """For `products.multiply`, with so many pixels, result channels and channels summed over.

    `rest` is how often there are as many: groups times phases. `joint`: `depth` counts taps too. `folded`:
    pixels have images in the padding, whose addresses take registers from loads that are on their way.
    """
    if not numbers.has_tensor_cores:
        return Tile(_within(pixels, _LEAST, 64), _within(channels, _LEAST, 64), 16, 4, 3)
    half = numbers.dtype.itemsize == 2
    # A step of several taps has an address for each of its elements, in registers.
    # So has one of channels that do not fill whole vectors of memory.
    block_depth = _within(depth, _LEAST, 32 if joint or depth % _VECTOR or not half else 64)
    block_channels = _within(channels, _LEAST, 128)
    # For little work at a time ptxas allots few registers: too few for the addresses of as many pixels.
    is_little = block_channels == block_depth == _LEAST
    block_pixels = _within(pixels, _LEAST, 64 if is_little else 128)

    def is_idle() -> bool:
        each = -(-pixels // block_pixels) * -(-channels // block_channels)
        return each * rest < processor.multiprocessors

    while block_pixels > 64 and is_idle():
        block_pixels //= 2
    while block_channels > 64 and is_idle():
        block_channels //= 2
    large = block_pixels * block_channels >= 128 * 128
    many_warps = large or (joint and block_pixels * block_channels >= 128 * 64)
    stages = 2 if folded else 3 if large else 4
    return Tile(block_pixels, block_channels, block_depth, 8 if many_warps else 4, stages)


def weight_product(
    pixels: int, channels: int, depth: int, numbers: Numbers, *, planes: bool, joint: bool
) -> Tile:
    """For `weight_products.multiply_pixels`: result channels × `depth` (of one tap, or of all if joint).

    `planes`: pixels are the fast axis; 16-bit numbers then pass through registers on their way.
    """
    if not numbers.has_tensor_cores:
        return Tile(16, _within(channels, _LEAST, 64), _within(depth, _LEAST, 64), 4, 2)
    half = numbers.dtype.itemsize == 2
    block_channels = _within(channels, _LEAST, 64 if channels % _VECTOR else 128)
    block_depth = _within(depth, _LEAST, 64 if joint or depth % _VECTOR else 128)
    large = block_channels * block_depth >= 128 * 128
    block_pixels = _within(pixels, _LEAST, 64 if half and not planes else 32)
    return Tile(block_pixels, block_channels, block_depth, 8 if large else 4, 3)


def multiply_add(pixels: int, channels: int, numbers: Numbers, *, dense: bool, channels_fast: bool) -> Tile:
    """For `multiply_adds.multiply_add`: some sums for each of 128 threads."""
    each = 8 if dense and numbers.parts == 1 else 4 // numbers.parts
    each = max(1, each // 2) if numbers.sums.itemsize == 8 else each
    return _spread(128 * each, pixels, channels, dense=dense, channels_fast=channels_fast)


def _spread(elements: int, pixels: int, channels: int, *, dense: bool, channels_fast: bool) -> Tile:
    """So many elements, as far along the fast axis as makes loads wide, the rest along the other."""
    if dense or channels_fast:
        block_channels = _within(channels, 1, 32 if dense else 64)
        block_pixels = _within(pixels, 1, max(elements // block_channels, 1))
    else:
        block_pixels = _within(pixels, 1, elements)
        block_channels = _within(channels, 1, elements // block_pixels)
    return Tile(block_pixels, block_channels, 1, 4, 2)


def weight_multiply_add(
    pixels: int, channels: int, taps: int, numbers: Numbers, *, dense: bool, channels_fast: bool
) -> Tile:
    """For `weight_multiply_adds.multiply_add_pixels`; `depth` is that of taps × channels of a group."""
    block_taps = _within(taps, 1, 8)
    each = 16 // numbers.parts // (numbers.sums.itemsize // 4)
    tile = _spread(128 * each // block_taps, pixels, channels, dense=dense, channels_fast=channels_fast)
    return Tile(tile.pixels, tile.channels, block_taps, 4, 2)
