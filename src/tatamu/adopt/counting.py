"""What has been served, what was passed on to torch, and why: counted for the whole process."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

FORWARD, BACKWARD = "forward", "backward"

# Not held while the process forks: a child would wait for it for ever.
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)

_served = {FORWARD: 0, BACKWARD: 0}
_passed_on: Counter[str] = Counter()


@dataclass(frozen=True)
class Case:
    """One of the convolutions that a program asks for: what there is a line for in a report."""

    kind: str
    """FORWARD or BACKWARD."""
    transposed: bool
    input_size: tuple[int, ...]
    weight_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    dtype: str
    device: str


@dataclass
class Cost:
    """Calls of one case, and the seconds that they took from call to return."""

    calls: int = 0
    seconds: float = 0.0


@dataclass
class Costs:
    """What each case has cost while `measured`."""

    of: dict[Case, Cost] = field(default_factory=dict)

    def add(self, case: Case, seconds: float) -> None:
        """One more call."""
        with _lock:
            cost = self.of.setdefault(case, Cost())
            cost.calls += 1
            cost.seconds += seconds


measuring: Costs | None = None
"""Where costs go; None while nobody asks."""


@contextmanager
def measured() -> Iterator[Costs]:
    """Take the time of each call that is served, in all threads, until the block ends."""
    global measuring  # noqa: PLW0603  # One for the process, as are the kernels that ask for it.
    before, measuring = measuring, Costs()
    try:
        yield measuring
    finally:
        measuring = before


def serve(kind: str) -> None:
    """Count a call that is served."""
    with _lock:
        _served[kind] += 1


def pass_on(reason: str) -> None:
    """Count a call that is torch's."""
    with _lock:
        _passed_on[reason] += 1


def counts() -> tuple[int, int, Mapping[str, int]]:
    """Calls served forward and backward, and passed on, by their reasons."""
    with _lock:
        return _served[FORWARD], _served[BACKWARD], dict(_passed_on)
