"""What several plans share: the work of a direct job, register tiles, and what too few tasks cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tatamu.engine.kernels.descriptions import REST, REST_ROWS
from tatamu.engine.target import Target

WORTH_A_THREAD = 1 << 19
"""Multiply-adds that are worth one thread more."""
TASKS_WANTED = 8
"""Enough for a few threads to share evenly; fewer cost waiting, by a power of what is missing."""
_WAITING_POWER = 0.3
_START_CYCLES = 8000.0
"""Until a second thread begins."""
_UNEVEN = 0.08
"""The part of its longest task that a call waits for, as tasks of one size do not take the same time."""
_REST_CYCLES = 1.4
"""Of a row of the small tiles that left-over pixels are multiplied in, relative to one of the large."""


def waiting(tasks: int) -> float:
    """What a call costs, relative to its work, where its tasks are too few to be shared evenly."""
    return math.pow(max(1.0, TASKS_WANTED / tasks), _WAITING_POWER)


def threads_used(target: Target, operations: int) -> int:
    """How many threads a call of so many multiply-adds runs on, where it may use all cores."""
    return min(target.cores, 1 + operations // WORTH_A_THREAD)


def shared_out(
    cycles: Callable[[int, int], float],
    down: tuple[int, int],
    across: tuple[int, int],
    sets: int,
    threads: int,
) -> float:
    """Cycles until ``threads`` that take the tasks of a grid one after another are done with all.

    The grid is cut into tasks along both axes, given as (size, size of a task); there are as many ``sets`` of
    tasks, and ``cycles`` are those of a task of so much.
    """
    (rows, rest_down), (columns, rest_across) = (divmod(size, of_task) for size, of_task in (down, across))
    loads = [0.0] + [_START_CYCLES] * (threads - 1)
    longest = 0.0
    for height, count in ((down[1], rows), (rest_down, int(rest_down > 0))):
        for width, number in ((across[1], columns), (rest_across, int(rest_across > 0))):
            if not count or not number:
                continue
            cost, (rounds, left) = cycles(height, width), divmod(sets * count * number, threads)
            loads = sorted(load + rounds * cost for load in loads)
            loads[:left] = [load + cost for load in loads[:left]]
            longest = max(longest, cost)
    return max(loads) + longest * _UNEVEN


def tile_rows(pixels: int, rows: int) -> float:
    """Rows of register tiles that some pixels take, as much as they cost."""
    rest = pixels % rows
    if rest > REST:
        return pixels - rest + rows
    return pixels - rest + _REST_CYCLES * REST_ROWS * -(-rest // REST_ROWS)


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
