"""What a call costs where there is next to nothing to compute: `python -m benchmarks.overhead`.

The input is 1×3×8×8 and the layer has 4 outputs; layers of both libraries are called as users call them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import nn

import tatamu
from tatamu.measuring.timing import Timing, measure

REPETITIONS = 200
"""Calls that one measurement is the mean of."""
KINDS = ("forward without gradients", "forward", "forward and backward")


def calls(conv2d: type[nn.Conv2d]) -> dict[str, Callable[[], object]]:
    """A call of each of `KINDS`, repeated."""
    layer = conv2d(3, 4, 3, padding=1)
    x = torch.randn(1, 3, 8, 8)
    differentiable = x.clone().requires_grad_()
    gradient = torch.randn(1, 4, 8, 8)

    def without_gradients() -> None:
        with torch.no_grad():
            for _ in range(REPETITIONS):
                layer(x)

    def forward() -> None:
        for _ in range(REPETITIONS):
            layer(differentiable)

    def backward() -> None:
        for _ in range(REPETITIONS):
            layer(differentiable).backward(gradient)

    return dict(zip(KINDS, (without_gradients, forward, backward), strict=True))


def run(seconds: float) -> dict[str, tuple[Timing, Timing]]:
    """tatamu's and torch's time for one call, for each of `KINDS`."""
    ours, theirs = calls(tatamu.Conv2d), calls(nn.Conv2d)
    found = {}
    for kind in KINDS:
        ours[kind]()  # What is compiled, is compiled now.
        timings = measure([ours[kind], theirs[kind]], seconds)
        a, b = (Timing(it.median / REPETITIONS, it.deviation / REPETITIONS, it.calls) for it in timings)
        found[kind] = (a, b)
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description="What a call on a tiny image costs."
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="to measure each call for (1)")
    parser.add_argument("--threads", type=int, default=2, help="threads of both libraries (2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{'':28}{'tatamu':>9}{'torch':>9}{'ratio':>8}  (microseconds)")
    for kind, (ours, theirs) in run(options.seconds).items():
        ratio = theirs.median / ours.median
        print(f"{kind:28}{ours.median * 1e6:9.1f}{theirs.median * 1e6:9.1f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
