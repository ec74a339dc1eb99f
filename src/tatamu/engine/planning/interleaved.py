"""The blocks of the interleaved kernel."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.planning.common import shared_out, threads_used, tile_rows
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_PACK_CYCLES = 1.0
"""Of a weight that is turned and packed."""
_READ_CYCLES = 0.3
"""Of a weight that was packed before, from the cache that all cores share."""
_LIST_CYCLES = 1
"""Of an address that is listed."""
_STEP_CYCLES = 1.5
"""Of one step of a register tile, besides its products."""
_STORE_CYCLES = 3
"""Of a register of sums that is written."""
_FAR_BYTES_A_CYCLE = 24
"""Of a source that is read for the first time, or did not stay in L2."""
_TASK_CYCLES = 600
_MOST_PIXELS = 1024
_PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""In how many blocks the pixels of a batch may be cut."""
_PARTS_WEIGHED = 8
_SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""In how many blocks result channels may be cut."""


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
    of_layer = -(-registers // -(-registers // most_vectors))
    width = of_layer * lanes

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

    products = channels * max(1, taps)
    threads = threads_used(target, pixels * groups * m * products)

    def vectors_of(block: int) -> int:
        """The width of the tiles that a block of so many registers is cut into."""
        return -(-block // -(-block // most_vectors)) if packs else of_layer

    def cycles(pixel_block: int, block: int) -> float:
        """Of the whole job, with tasks of so many pixels and registers."""

        def of_task(pixels: int, registers: int) -> float:
            tiles = -(-registers // vectors_of(block))
            steps = tile_rows(pixels, rows) * (registers + tiles * _STEP_CYCLES / rows)
            weights = registers * lanes * products
            far = pixels * channels * item > target.l2_bytes // 2
            reading = (tiles if far else 1) * pixels * channels * item / _FAR_BYTES_A_CYCLE
            return (
                steps * products
                + pixels * registers * _STORE_CYCLES
                + weights * (_PACK_CYCLES if packs else _READ_CYCLES)
                + reading
                + pixels * taps * _LIST_CYCLES
                + _TASK_CYCLES
            )

        return shared_out(of_task, (pixels, pixel_block), (registers, block), groups, threads)

    most_pixels = max(rows, min(_MOST_PIXELS, target.l2_bytes // 8 // (8 * max(1, taps))))
    parts = [n for n in _PARTS if n <= max(1, pixels // rows)]
    fine = [n for n in parts if -(-pixels // n) <= most_pixels] or parts[-1:]
    step = 1 if packs else of_layer
    choices = {
        (-(-pixels // n // rows) * rows, -(-registers // split // step) * step)
        for n in fine[:_PARTS_WEIGHED]
        for split in _SPLITS
        if split <= -(-registers // step)
    }
    pixel_block, block = min(sorted(choices, reverse=True), key=lambda choice: cycles(*choice))
    vectors, m_block = vectors_of(block), block * lanes
    reason = (
        f"interleaved: {rows}x{vectors} tile for {m} channels; blocks of {pixel_block} pixels, {m_block}"
        f" channels each, summed over {channel_block} of {channels} channels at a time"
    )
    return InterleavedPlan(
        vectors, pixel_block, m_block, channel_block, taps_a_stretch, channels_a_stretch, reason
    )
