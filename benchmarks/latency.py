"""How long the first calls take: `python -m benchmarks.latency`.

A figure is the median over processes of their own. The image is small: what is timed is not the convolution.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap

REPETITIONS = 5
BARS = {
    "import": 150.0,
    "first": 150.0,
    "cached": 10.0,
    "new size": 1.0,
    "ResNet-50, first": 4000.0,
    "ResNet-50, cached": 500.0,
}
"""Milliseconds that each kind of figure may take."""

PROGRAM = textwrap.dedent("""
    import json
    import time
    import torch

    figures = {}

    class Timed:
        def __init__(self, name):
            self.name = name
        def __enter__(self):
            self.begin = time.perf_counter()
        def __exit__(self, *_):
            figures[self.name] = (time.perf_counter() - self.begin) * 1e3

    with Timed("import"):
        import tatamu
    from tatamu import launch
    from tatamu.geometry import Convolution

    how = Convolution(padding=((1, 1), (1, 1)))
    layer = tatamu.Conv2d(16, 32, 3, padding=1).requires_grad_(False)
    for size, suffix in ((8, ""), (9, ", new size")):
        x, grad = torch.randn(1, 16, size, size), torch.randn(1, 32, size, size)
        with Timed("forward" + suffix):
            layer(x)
        with Timed("grad_input" + suffix):
            launch.grad_input(grad, layer.weight, tuple(x.shape), how, False)
        with Timed("grad_weight" + suffix):
            launch.grad_weight(grad, x, tuple(layer.weight.shape), how, False)
        with Timed("grad_bias" + suffix):
            launch.grad_bias(grad)
    print(json.dumps(figures))
""")

MODEL = textwrap.dedent("""
    import json
    import time
    import torch
    import tatamu
    from benchmarks.layer import load

    everything = []
    for it in load("resnet50"):
        how = (it.stride, it.padding, it.dilation, it.groups, False)
        layer = tatamu.Conv2d(it.in_channels, it.out_channels, it.kernel, *how).requires_grad_(False)
        everything.append((it.times, layer, torch.randn(it.geometry(1).input_size)))

    def seconds():
        start = time.perf_counter()
        for times, layer, x in everything:
            for _ in range(times):
                layer(x)
        return time.perf_counter() - start

    first = seconds()
    print(json.dumps({"beyond a warm pass": (first - min(seconds() for _ in range(3))) * 1e3}))
""")


def measure(cache: str, program: str) -> dict[str, float]:
    """The figures, in milliseconds, of one new process with this cache directory."""
    environment = os.environ | {"TATAMU_CACHE_DIR": cache}
    output = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    figures: dict[str, float] = json.loads(output.stdout)
    return figures


def kinds(repetitions: int) -> dict[tuple[str, str], list[float]]:
    """All measurements, by kind (a key of `BARS`) and name; caches begin empty."""
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as cache:
            for kind in ("first", "cached"):
                for name, value in measure(cache, PROGRAM).items():
                    of = "import" if name == "import" else "new size" if name.endswith("new size") else kind
                    found.setdefault((of, name.removesuffix(", new size")), []).append(value)
        with tempfile.TemporaryDirectory() as cache:
            for kind in ("first", "cached"):
                for name, value in measure(cache, MODEL).items():
                    found.setdefault((f"ResNet-50, {kind}", name), []).append(value)
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description="How long the first calls take."
    )
    parser.add_argument(
        "--repetitions", type=int, default=REPETITIONS, help="processes a figure is the median of"
    )
    found = kinds(parser.parse_args().repetitions)
    print(f"{'':19}{'':20}{'median':>9}{'least':>9}{'bar':>9}  (milliseconds)")
    for kind, bar in BARS.items():
        for (of, name), values in found.items():
            if of == kind:
                median = statistics.median(values)
                mark = "" if median <= bar else "  over"
                print(f"{kind:19}{name:20}{median:9.2f}{min(values):9.2f}{bar:9.0f}{mark}")


if __name__ == "__main__":
    main()
