"""What has been served, what was passed on to torch, and why: counted for the whole process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tatamu.adopt.locks import lock

FORWARD, BACKWARD = "forward", "backward"

_lock = lock()
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
    """What each case has cost since `measure`."""

    of: dict[Case, Cost] = field(default_factory=dict)

    def add(self, case: Case, seconds: float) -> None:
        """One more call."""
        with _lock:
            cost = self.of.setdefault(case, Cost())
            cost.calls += 1
            cost.seconds += seconds


measuring: Costs | None = None
"""Where costs go; None while nobody asks."""


def measure() -> Costs:
    """Take the time of each call that is served from now on, in all threads."""
    global measuring  # noqa: PLW0603  # One for the process, as are the kernels that ask for it.
    measuring = measuring or Costs()
    return measuring


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
