"""The blocks of the interleaved kernel."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.planning.common import waiting
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_PACK_CYCLES = 0.7
"""Of a weight that is turned and packed."""
_READ_CYCLES = 0.3
"""Of a weight that was packed before, from the cache that all cores share."""
_LIST_CYCLES = 1
"""Of an address that is listed."""
_MOST_PIXELS = 1024
_PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""In how many blocks the pixels of a batch may be cut."""


@dataclass(frozen=True)
class InterleavedPlan:
    """Blocks of the interleaved kernel: a block of ``pixel_block`` counts through all images."""

    vectors: int
    pixel_block: int
    m_block: int
    channel_block: int
    taps_a_stretch: int
    channels_a_stretch: int
    reason: str


@functools.lru_cache(maxsize=64)  # Jobs of one layer are often alike.
def plan_interleaved(
    pixels: int,
    groups: int,
    m: int,
    channels: int,
    taps: int,
    rows: int,
    most_vectors: int,
    element: ElementType,
    target: Target,
    *,
    packs: bool = True,
) -> InterleavedPlan:
    """The plan of the interleaved kernel, for one job of ``pixels`` results of ``m`` channels.

    Each task packs the weights it needs, unless ``packs`` is False.
    """
    item = element.compute_bytes
    lanes = target.lanes(item)
    registers = -(-m // lanes)
    vectors = -(-registers // -(-registers // most_vectors))
    width = vectors * lanes

    # A panel is read once for each tile of pixels: it should stay in L2.
    most_channels = max(1, target.l2_bytes // 2 // (max(1, taps) * width * item))
    channel_block = channels
    if channels > most_channels:
        even = -(-channels // -(-channels // most_channels))
        channel_block = even if even < lanes else -(-even // lanes) * lanes
    if channel_block <= STRETCH:
        taps_a_stretch, channels_a_stretch = max(1, STRETCH // channel_block), channel_block
    else:
        taps_a_stretch, channels_a_stretch = 1, -(-channel_block // -(-channel_block // STRETCH))

    tiles_across = -(-registers // vectors)
    products = channels * max(1, taps)

    def cycles(pixel_block: int, m_block: int) -> float:
        """Of one result, in a task of so many."""
        tasks = groups * -(-pixels // pixel_block) * -(-m // m_block)
        multiplying = -(-pixel_block // rows) * rows * m_block // lanes * products
        packing = (_PACK_CYCLES if packs else _READ_CYCLES) * products * m_block
        listing = _LIST_CYCLES * pixel_block * taps
        return (multiplying + packing + listing) * waiting(tasks) / (pixel_block * m_block)

    choices = [
        (-(-pixels // parts // rows) * rows, -(-tiles_across // across) * width)
        for parts in _PARTS
        if parts <= max(1, pixels // rows)
        for across in range(1, min(8, tiles_across) + 1)
    ]
    least = min(pixel_block for pixel_block, _ in choices)
    fitting = [
        choice
        for choice in choices
        if choice[0] <= max(least, min(_MOST_PIXELS, target.l2_bytes // 8 // (8 * max(1, taps))))
    ]
    pixel_block, m_block = min(fitting, key=lambda choice: cycles(*choice))
    reason = (
        f"interleaved: {rows}x{vectors} tile for {m} channels; blocks of {pixel_block} pixels, {m_block}"
        f" channels each, summed over {channel_block} of {channels} channels at a time"
    )
    return InterleavedPlan(
        vectors, pixel_block, m_block, channel_block, taps_a_stretch, channels_a_stretch, reason
    )
