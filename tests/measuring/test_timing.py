"""Calls are timed in blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from tatamu.measuring import timing
from tatamu.measuring.timing import ROUNDS, Timing


class Clock:
    """Time that passes only in calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def call(self, name: str, seconds: float, first: float) -> Callable[[], None]:
        """A call that takes longer when another was before it."""

        def run() -> None:
            self.now += seconds if self.log and self.log[-1] == name else first
            self.log.append(name)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    it = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: it.now)
    monkeypatch.setattr(time, "sleep", lambda _: it.log.append("pause"))
    return it


def _blocks(log: Sequence[str]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for name in log:
        if name == "pause":
            found.append(("", 0))
        else:
            found[-1] = (name, found[-1][1] + 1)
    return found


def test_calls_are_timed_in_blocks_whose_order_rotates(clock: Clock) -> None:
    calls = [clock.call("a", 0.001, 0.004), clock.call("b", 0.002, 0.008), clock.call("c", 0.050, 0.060)]
    a, b, c = timing.measure(calls, seconds=0.03)
    # Two unmeasured calls, or one where a call is slow, then 0.03 s / 3 rounds.
    assert _blocks(clock.log) == [
        *[("a", 12), ("b", 7), ("c", 2)],
        *[("b", 7), ("c", 2), ("a", 12)],
        *[("c", 2), ("a", 12), ("b", 7)],
    ]
    assert a == Timing(pytest.approx(0.001), pytest.approx(0, abs=1e-9), 10 * ROUNDS)
    assert b == Timing(pytest.approx(0.002), pytest.approx(0, abs=1e-9), 5 * ROUNDS)
    assert c == Timing(pytest.approx(0.050), pytest.approx(0, abs=1e-9), 1 * ROUNDS)


def test_a_timing_is_a_median_and_a_deviation() -> None:
    assert Timing.of([5.0, 1.0, 2.0, 100.0, 4.0]) == Timing(4.0, 2.0, 5)
