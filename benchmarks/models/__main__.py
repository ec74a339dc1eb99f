"""Time whole models with tatamu's layers against the same with torch's.

For example: `python -m benchmarks.models --models resnet50 --steps inference --peers torch.compile openvino`
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table

from benchmarks.libraries import FROZEN
from benchmarks.models.networks import MODELS, SIZE, SIZES, build
from benchmarks.models.step import PEERS, STEPS, WrongModelError, judged, makers, verify
from benchmarks.report import STYLE, console
from tatamu.measuring.machine import described
from tatamu.measuring.timing import Timing, measure

SEED = 0
BATCHES = {"inference": 1, "training": 16}


@dataclass(frozen=True)
class Made:
    """One maker's step of a model. `error` is relative to the result's length, against float64."""

    model: str
    step: str
    batch: int
    library: str
    layout: str
    timing: Timing
    error: float


def run(name: str, step: str, batch: int, peers: tuple[str, ...], seconds: float) -> list[Made]:
    """Judge, then time, everyone on a model.

    Raises:
        WrongModelError: a result is wrong; nothing was timed.
    """
    model = build(name, SEED)
    size = SIZES.get(name, SIZE)
    x = torch.randn(batch, 3, size, size)
    expected = judged(model, x, step)
    everyone = list(makers(model, x, step, peers))
    errors = [verify(maker, expected, step) for maker in everyone]
    timings = measure([maker.call for maker in everyone], seconds)
    return [
        Made(name, step, batch, maker.library, maker.layout, timing, error)
        for maker, timing, error in zip(everyone, timings, errors, strict=True)
    ]


def ratio(made: Sequence[Made]) -> float:
    """The time of eager torch's better memory format / that of tatamu's better one, frozen in inference."""
    ours = FROZEN if made[0].step == "inference" else "tatamu"
    best = {
        library: min(it.timing.median for it in made if it.library == library) for library in (ours, "torch")
    }
    return best["torch"] / best[ours]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if a result was wrong, else 0."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    out = console()
    peers = tuple(it for it in options.peers if it != "openvino" or importlib.util.find_spec("openvino"))
    if len(peers) < len(options.peers):
        out.print("openvino is left out: it is not installed.")
    out.print(f"{described(options.threads)}; torch {torch.__version__}. Milliseconds: median ± deviation.")
    status = 0
    everything: list[Made] = []
    for name in options.models:
        for step in options.steps:
            try:
                made = run(name, step, options.batch or BATCHES[step], peers, options.seconds)
            except WrongModelError as error:
                print(f"{name}: {error}", file=sys.stderr)
                status = 1
                continue
            everything += made
            out.print(_table(made))
    if options.csv is not None:
        _write(options.csv, everything)
    return status


def _table(made: Sequence[Made]) -> Table:
    first = made[0]
    title = (
        f"{first.model}: {first.step}, batch {first.batch}: {ratio(made):.2f}× eager torch's better layout"
    )
    table = Table("library", "layout", title=title, **STYLE)
    for heading in ("ms", "error"):
        table.add_column(heading, justify="right")
    for it in sorted(made, key=lambda it: it.timing.median):
        timing = it.timing
        milliseconds = f"{timing.median * 1e3:.2f} ±{timing.deviation / timing.median:.0%}"
        table.add_row(it.library, it.layout, milliseconds, f"{it.error:.0e}")
    return table


def _write(path: Path, made: Sequence[Made]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("model", "step", "batch", "library", "layout", "seconds", "deviation", "error"))
        for it in made:
            timing = (f"{it.timing.median:.4g}", f"{it.timing.deviation:.2g}", f"{it.error:.2g}")
            writer.writerow((it.model, it.step, it.batch, it.library, it.layout, *timing))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models", description="Time whole models with tatamu's layers and torch's."
    )
    add = parser.add_argument
    models, steps, peers = (", ".join(names) for names in (MODELS, STEPS, PEERS))
    add("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME", help=models)
    add("--steps", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help=steps)
    add("--batch", type=int, metavar="N", help="images at a time (1 for inference, 16 for training)")
    add("--peers", nargs="*", choices=PEERS, default=[], metavar="P", help=f"{peers} (neither)")
    add("--threads", type=int, default=2, metavar="N", help="threads of everyone (2)")
    add("--seconds", type=float, default=2.0, metavar="S", help="to measure each model for (2)")
    add("--csv", type=Path, metavar="FILE", help="write every measurement there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
