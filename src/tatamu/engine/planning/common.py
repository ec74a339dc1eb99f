"""What several plans share: the work of a direct job, register tiles, and what too few tasks cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tatamu.engine.target import Target

TASKS_WANTED = 8
"""Enough for a few threads to share evenly; fewer cost waiting, by a power of what is missing."""
_WAITING_POWER = 0.3


def waiting(tasks: int) -> float:
    """What a call costs, relative to its work, where its tasks are too few to be shared evenly."""
    return math.pow(max(1.0, TASKS_WANTED / tasks), _WAITING_POWER)


@dataclass(frozen=True)
class Work:
    """The shape of one job: results of ``m`` channels on a grid, from ``channels`` channels and some taps."""

    batch: int
    groups: int
    m: int
    channels: int
    grid_h: int
    grid_w: int
    row_taps: int
    column_taps: int
    row_span: int
    """Source rows from the first tap to the last."""
    stride_h: int
    stride_w: int
    gap: int | None
    """Source columns from the first tap to the last, less one; None where rows cannot be gapped."""
    images_follow: bool
    """Whether the results of an image are a constant step apart, so that images can be taken together."""
    gathered: int = 1
    """Channels of the source that are gathered into one: two where they are multiplied in pairs."""


def tiles(target: Target) -> dict[int, int]:
    """Registers of pixels for each number of rows that a register tile may have.

    rows x vectors sums, the vectors of one step and a scalar must fit the register file, and enough
    sums must be in flight to hide the latency of multiply-add.
    """
    if target.registers >= 32:
        return {8: 3, 4: 6, 2: 8, 1: 8}
    # One register is to spare: LLVM orders the steps of 4x3 so that it needs seventeen, and moves sums about.
    return {4: 2, 2: 4, 1: 8}
