"""Time tatamu against torch and others, layer by layer, and say how far each is from float64.

For example: `python -m benchmarks --networks resnet50 vgg16 --batch 1 --passes forward --csv out.csv`
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import gpu
from benchmarks.chart import draw
from benchmarks.instructions import leave_512_bits_unused
from benchmarks.layer import NETWORKS
from benchmarks.libraries import LIBRARIES, PEERS, installed
from benchmarks.report import console, rows, show_means, show_rows
from benchmarks.results import Store
from benchmarks.run import cases, measure_all
from tatamu.measuring.machine import described, version
from tatamu.measuring.passes import DTYPES, PASSES


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if a result of tatamu's was wrong, 2 if the CSV is of something else, else 0."""
    options = _options(arguments)
    if options.device == "cuda":
        return gpu.main(
            cases(
                options.networks or NETWORKS,
                options.passes,
                options.batch or gpu.BATCHES,
                options.dtypes or gpu.ELEMENTS,
            )
        )
    torch.set_num_threads(options.threads)
    if options.avx2:
        leave_512_bits_unused()
    out = console()
    peers, sentences = installed(options.peers)
    for sentence in sentences:
        out.print(sentence)
    machine = described(options.threads)
    with contextlib.ExitStack() as stack:
        store = None
        if options.csv is not None:
            try:
                store = stack.enter_context(Store(options.csv, machine))
            except ValueError as error:
                print(error, file=sys.stderr)
                return 2
        everything = cases(
            options.networks or ["known"], options.passes, options.batch or [1, 16], options.dtypes or ["f32"]
        )
        found = measure_all(everything, peers, options.seconds, store, out)
    versions = {LIBRARIES[name].package: None for name in ("tatamu", *peers)}
    out.print(f"{machine}; {', '.join(f'{it} {version(it)}' for it in versions)}.")
    out.print("Times: median ± median deviation. Best peer: the time of the row's fastest / tatamu's.")
    out.print("Error: the largest, against float64, relative to max Σ|x||w|.")
    everyone = rows(found.measured)
    show_rows(out, everyone)
    if everyone:
        show_means(out, everyone)
        if options.chart is not None:
            draw(options.chart, found.measured, options.threads)
    for sentence in (*found.remarks, *found.wrong):
        print(sentence, file=sys.stderr)
    return 1 if found.wrong else 0


def positive(text: str) -> int:
    """The number in an argument, at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Time tatamu's convolutions against torch's and others'."
    )
    add = parser.add_argument
    names = ", ".join(NETWORKS)
    add("--networks", nargs="+", choices=NETWORKS, metavar="NAME", help=f"{names} (known)")
    add("--batch", nargs="+", type=positive, metavar="N", help="images at a time (1 16)")
    add("--passes", nargs="+", choices=PASSES, default=list(PASSES), metavar="PASS", help=", ".join(PASSES))
    add("--dtypes", nargs="+", choices=DTYPES, metavar="T", help=f"{', '.join(DTYPES)} (f32)")
    add(
        "--peers",
        nargs="+",
        choices=PEERS,
        default=["torch"],
        metavar="P",
        help=f"{', '.join(PEERS)} (torch)",
    )
    add("--threads", type=positive, default=2, metavar="N", help="threads of everyone (2)")
    add("--seconds", type=float, default=0.1, metavar="S", help="to measure each call for (0.1)")
    add(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="cuda: test and measure against cuDNN, all networks in batches of 32 and 256 if not said, (cpu)",
    )
    add("--avx2", action="store_true", help="tatamu and torch's convolutions without 512-bit instructions")
    add(
        "--csv",
        type=Path,
        metavar="FILE",
        help="keep every measurement there; what it holds is not measured again",
    )
    add(
        "--chart",
        type=Path,
        metavar="FILE.svg",
        help="draw the layers' speed, below or above the machine's peak",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
