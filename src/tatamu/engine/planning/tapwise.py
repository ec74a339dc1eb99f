"""How many result channels, and how many channels at a time, where taps are multiplied one after another."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.planning.common import waiting
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_STEP_CYCLES = 2
"""Of one step of a register tile, besides its products."""
_GATHER_CYCLES = 18
"""Of a register of the source that is gathered from far away."""
_PACK_CYCLES = 1
"""Of a weight that is packed."""


@dataclass(frozen=True)
class TapwisePlan:
    """A task does ``m_block`` result channels, from ``channel_block`` channels at a time.

    A register tile has ``vectors`` registers of result channels.
    """

    vectors: int
    m_block: int
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
    interleaved: bool,
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

    def cycles(choice: tuple[int, int]) -> float:
        """For each channel, where a task does so many register tiles of so many registers."""
        vectors, together = choice
        across = -(-registers // vectors)
        blocks = -(-across // together)
        multiplying = products / rows * (registers * rows + across * _STEP_CYCLES)
        gathering = blocks * pixels / lanes * _GATHER_CYCLES
        packing = _PACK_CYCLES * taps * registers * lanes
        return (multiplying + gathering + packing) * waiting(tasks * blocks)

    # Gathered pixels, panels and sums of a task stay in L2 together; a stretch of sums in registers.
    most_sums = max(1, target.l2_bytes * 3 // 8 // (pixels * lanes * item))
    choices = [
        (vectors, together)
        for vectors in range(min(most_vectors, registers), 0, -1)
        for together in range(1, -(-registers // vectors) + 1)
        if together == 1 or vectors * together <= most_sums
    ]
    vectors, together = min(choices, key=cycles)
    width, m_block = vectors * lanes, vectors * together * lanes
    room = target.l2_bytes * 3 // 4 - pixels * m_block * item
    # Where channels lie side by side, those that are gathered next are brought into L2 meanwhile.
    held = 2 * pixels if interleaved else pixels
    most = max(2 * lanes, min(STRETCH, room // ((held + taps * width) * item))) // lanes * lanes
    even = -(-channels // -(-channels // most))
    block = -(-even // lanes) * lanes
    reason = (
        f"tap by tap: {rows}x{vectors} tile for {m} channels; {min(m, m_block)} of them for {pixels} pixels"
        f" of an image a task, summed over {min(block, channels)} of {channels} channels at a time"
    )
    return TapwisePlan(vectors, m_block, block, reason)
