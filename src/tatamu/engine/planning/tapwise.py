"""How many result channels, and how many channels at a time, where taps are multiplied one after another."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.planning.common import waiting
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_STEP_CYCLES = 2
"""Of one step of a register tile, besides its products."""
_GATHER_CYCLES = 7
"""Of a register of the source that is gathered."""
_PACK_CYCLES = 1
"""Of a weight that is packed."""


@dataclass(frozen=True)
class TapwisePlan:
    """A task does ``vectors`` registers of result channels, from ``channel_block`` channels at a time."""

    vectors: int
    channel_block: int
    reason: str


def plan_tapwise(
    tasks: int,
    m: int,
    channels: int,
    pixels: int,
    products: int,
    taps: int,
    tile: tuple[int, int],
    element: ElementType,
    target: Target,
) -> TapwisePlan:
    """The plan of a job of ``tasks`` images and groups.

    ``m`` results from ``channels`` channels, both of a group, for ``pixels`` pixels, of which all ``taps``
    together meet ``products``; ``tile`` are the rows and the most registers of the register tile.
    """
    item, (rows, most_vectors) = element.compute_bytes, tile
    lanes = target.lanes(item)
    registers = -(-m // lanes)

    def cycles(vectors: int) -> float:
        """For each channel."""
        across = -(-registers // vectors)
        multiplying = products / rows * (registers * rows + across * _STEP_CYCLES)
        gathering = across * pixels / lanes * _GATHER_CYCLES
        packing = _PACK_CYCLES * taps * registers * lanes
        return (multiplying + gathering + packing) * waiting(tasks * across)

    vectors = min(range(min(most_vectors, registers), 0, -1), key=cycles)
    # Gathered pixels, panels and sums of a task stay in L2 together; a stretch of sums in registers.
    width = vectors * lanes
    room = target.l2_bytes * 3 // 4 - pixels * width * item
    most = max(2 * lanes, min(STRETCH, room // ((pixels + taps * width) * item))) // lanes * lanes
    even = -(-channels // -(-channels // most))
    block = -(-even // lanes) * lanes
    reason = (
        f"tap by tap: {rows}x{vectors} tile for {m} channels, all {pixels} pixels of an image a task, summed"
        f" over {min(block, channels)} of {channels} channels at a time"
    )
    return TapwisePlan(vectors, block, reason)
