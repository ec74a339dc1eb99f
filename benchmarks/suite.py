"""Every bar in one command, `python -m benchmarks.suite --csv suite.csv`. It takes hours, and can be resumed.

What should be reached is in `bars`; a table at the end says what was, and what was not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from rich.table import Table

from benchmarks import bars, latency, memory, overhead
from benchmarks.bars import Bar
from benchmarks.case import Case
from benchmarks.layer import load_all
from benchmarks.libraries import PEERS, asked, installed
from benchmarks.models import __main__ as models
from benchmarks.models.step import WrongModelError
from benchmarks.report import STYLE, Row, console, rows
from benchmarks.results import Store
from benchmarks.run import cases, measure_all
from tatamu.measuring.machine import described
from tatamu.measuring.passes import PASSES

NETWORKS = (
    *("resnet50", "vgg16", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "resnext50"),
    *("densenet121", "unet", "deeplabv3", "yolov5s", "replknet31b"),
)
BATCHES = (1, 16)
PARTS = ("forward", "gradients", "dtypes", "avx2", "models", "overhead", "latency", "memory")
LAYER_PEERS = tuple(name for name in PEERS if name != "torch.compile")
"""torch.compile calls the same convolutions as torch does, after compiling for seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if a bar is missed or a result was wrong, else 0."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    out = console()
    machine = described(options.threads)
    out.print(f"{machine}; torch {torch.__version__}")
    measured: list[Bar] = []
    problems: list[str] = []
    with Store(options.csv, machine) as store:
        for part, passes, elements in (
            ("forward", PASSES[:1], ["f32"]),
            ("gradients", PASSES[1:], ["f32"]),
            ("dtypes", PASSES[:1], list(bars.MEAN_ELEMENT)),
        ):
            if part not in options.parts:
                continue
            batches = BATCHES[:1] if part == "dtypes" else BATCHES
            peers, sentences = installed(LAYER_PEERS)
            everything = cases(options.networks, passes, batches, elements)
            found = measure_all(everything, peers, options.seconds, store, out)
            problems += [*sentences, *found.remarks, *found.wrong]
            evaluate = bars.elements if part == "dtypes" else bars.layers
            measured += evaluate(rows(found.measured))
    if "avx2" in options.parts:
        measured += bars.avx2(_rows_with_avx2(options))
    measured += _others(options, problems)
    out.print(_table(measured))
    for sentence in problems:
        print(sentence, file=sys.stderr)
    return 0 if all(it.reached for it in measured) and not problems else 1


def _rows_with_avx2(options: argparse.Namespace) -> list[Row]:
    """Measured in a process of its own, into the same file, where its machine has another name."""
    command = [sys.executable, "-m", "benchmarks", "--avx2", "--passes", "forward", "--batch", "1"]
    command += ["--networks", *options.networks, "--csv", str(options.csv), "--threads", str(options.threads)]
    subprocess.run([*command, "--seconds", str(options.seconds)], check=False, stdout=subprocess.DEVNULL)
    machine = described(options.threads, "avx2")
    with Store(options.csv, machine) as store:
        everything = cases(options.networks, PASSES[:1], BATCHES[:1], ["f32"])
        return rows(it for case in everything for it in store.of(case, asked(case, ["torch"])) or [])


def _others(options: argparse.Namespace, problems: list[str]) -> list[Bar]:
    """The parts that are not layers."""
    found: list[Bar] = []
    if "overhead" in options.parts:
        found += bars.overhead(overhead.run(seconds=1.0))
    if "models" in options.parts:
        made = []
        for step, names in bars.MODEL.items():
            for name in names:
                try:
                    made.append(models.run(name, step, models.BATCHES[step], (), seconds=2.0))
                except WrongModelError as error:  # noqa: PERF203 - one for each model.
                    problems.append(f"{name}: {error}")
        found += bars.models(made)
    if "latency" in options.parts:
        kinds = latency.kinds(latency.REPETITIONS)
        found += bars.latencies({key: median(values) for key, values in kinds.items()})
    if "memory" in options.parts:
        extra = {}
        for layer in load_all(["known"]):
            for direction in PASSES:
                case = Case(layer, 1, direction)
                weight = 4 * case.geometry.parameters(bias=False) / 2**20
                taken = memory.in_a_process(case, "tatamu", "NCHW", options.threads)
                extra[f"{layer}, {direction}"] = taken, weight
        found += bars.memory(extra)
    return found


def _table(measured: Sequence[Bar]) -> Table:
    table = Table("what", title="bars", **STYLE)
    for heading in ("measured", "bar"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    table.add_column("of")
    for it in measured:
        bar = f"{'≥' if it.at_least else '≤'} {it.bar:.3g}"
        table.add_row(it.what, f"{it.figure:.3g}", bar, "" if it.reached else "missed", it.of)
    return table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.suite",
        description="Measure every bar. It takes hours, and can be resumed.",
    )
    add = parser.add_argument
    add("--csv", type=Path, required=True, metavar="FILE", help="keep the layers' measurements there")
    add("--networks", nargs="+", default=list(NETWORKS), metavar="NAME", help=", ".join(NETWORKS))
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    add("--threads", type=int, default=2, metavar="N", help="threads of everyone (2)")
    add("--seconds", type=float, default=0.1, metavar="S", help="to measure each layer's call for (0.1)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
