"""Timing calls side by side.

In blocks: each contender makes some calls in a row, after a pause and calls that are not measured, and the
order changes from round to round. Call by call in turn, one library's spinning threads and cold caches are
charged to the next: the same code, measured so against itself, comes out at 0.86 of its
speed, and in blocks at 0.99.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

ROUNDS = 3
MOST_CALLS = 20
WARM_UP_CALLS = 2
SLOW = 0.01
"""Seconds; a call this long warms up by itself: one unmeasured call is enough."""
PAUSE = 0.03
"""Seconds; idle threads have given up spinning by then: an OpenMP pool's after 5 ms, ONNX Runtime's after 20.
After 5 ms it would still slow down the next library by up to half."""


@dataclass(frozen=True)
class Timing:
    """The median of some calls, and the median of their absolute deviations from it, in seconds."""

    median: float
    deviation: float
    calls: int

    @staticmethod
    def of(seconds: Sequence[float]) -> Timing:
        """The timing of calls that took so long."""
        middle = median(seconds)
        return Timing(middle, median(abs(value - middle) for value in seconds), len(seconds))


def measure(calls: Sequence[Callable[[], object]], seconds: float) -> list[Timing]:
    """Time each of the calls, for about `seconds` in all each, but at least once a round.

    They have been called before: what is done once, such as compiling, is not measured.
    """
    took: list[list[float]] = [[] for _ in calls]
    for turn in range(ROUNDS):
        for place in range(len(calls)):
            which = (place + turn) % len(calls)
            took[which] += _block(calls[which], seconds / ROUNDS)
    return [Timing.of(durations) for durations in took]


def _block(call: Callable[[], object], seconds: float) -> list[float]:
    time.sleep(PAUSE)
    expected = _once(call)
    for _ in range(WARM_UP_CALLS - 1):
        if expected < SLOW:
            expected = _once(call)
    number = min(max(round(seconds / expected), 1), MOST_CALLS)
    return [_once(call) for _ in range(number)]


def _once(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
