"""How much memory a call takes beyond its output: `python -m benchmarks.memory`.

Each figure is of a process of its own: by how much its memory grows at the most, as the operating system
counts it (VmHWM), less the output. Machine code is compiled by another process beforehand: what is counted is
a call, with the code it loads and whatever it keeps.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Table

from benchmarks.case import Case
from benchmarks.layer import NETWORKS, Layer, load, load_all
from benchmarks.libraries import LIBRARIES, contenders
from benchmarks.report import STYLE, console
from tatamu.measuring.passes import PASSES, operands

LIMIT = 16.0
"""MiB that a call of tatamu's may take; transformed weights, at most four times the weight, come on top."""
MEASURED = ("tatamu", "torch")


def extra(case: Case, library: str, layout: str) -> float:
    """MiB that the case's call takes in this process; to be called once, in a new process.

    The library has computed a small layer before: what it takes for itself is not the call's.
    """
    small = Case(Layer("none", "small", 4, 4, (3, 3), 1, (1, 1), 1, 1, 8, 1), 1, case.direction)
    for it in (small, case):
        given = operands(it, 0)
        call = next(
            one.call
            for one in contenders(it, given, ["torch"])
            if (one.library, one.layout) == (library, layout)
        )
        if it is small:
            call()
    del given
    with contextlib.suppress(
        AttributeError
    ):  # glibc's: free memory would be used for the output, and not grow.
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="ascii"
    )  # VmHWM starts anew from what there is now.
    before = _kibibytes("VmRSS")
    result = call()
    most = _kibibytes("VmHWM")
    return (most - before) / 1024 - result.nbytes / 2**20


def in_a_process(case: Case, library: str, layout: str, threads: int) -> float:
    """`extra` of the second of two new processes; the first fills the cache of machine code."""
    layer = case.layer
    arguments = [layer.network, layer.name, str(case.batch), case.direction, library, layout, str(threads)]
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(2):
            output = subprocess.run(
                [sys.executable, "-m", "benchmarks.memory", "--child", *arguments],
                env=os.environ | {"TATAMU_CACHE_DIR": cache},
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
    return float(output)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if a call of tatamu's takes more than it may, else 0."""
    options = _options(arguments)
    if options.child:
        network, name, batch, direction, library, layout, threads = options.child
        torch.set_num_threads(int(threads))
        layer = next(it for it in load(network) if it.name == name)
        print(extra(Case(layer, int(batch), direction), library, layout))
        return 0
    table = Table(title="MiB beyond the output", **STYLE)
    for heading in ("layer", "pass"):
        table.add_column(heading)
    for heading in ("output", "weight", *MEASURED, "tatamu may"):
        table.add_column(heading, justify="right")
    over = 0
    for layer in load_all(options.networks):
        for direction in options.passes:
            case = Case(layer, options.batch, direction)
            took = [in_a_process(case, library, options.layout, options.threads) for library in MEASURED]
            geometry = case.geometry
            weight = 4 * geometry.parameters(bias=False) / 2**20
            over += took[0] > LIMIT + 4 * weight
            output = 4 * torch.Size(geometry.output_size).numel() / 2**20
            figures = (output, weight, *took, LIMIT + 4 * weight)
            table.add_row(str(layer), direction, *(f"{it:.1f}" for it in figures))
    console().print(table)
    return 1 if over else 0


def _kibibytes(name: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {name}: memory can be measured on Linux only")
    return int(found[1])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description="How much memory a call takes beyond its output."
    )
    add = parser.add_argument
    add("--networks", nargs="+", choices=NETWORKS, default=["known"], metavar="NAME", help="(known)")
    add("--batch", type=int, default=1, metavar="N", help="images at a time (1)")
    add("--passes", nargs="+", choices=PASSES, default=list(PASSES), metavar="PASS", help=", ".join(PASSES))
    add("--layout", choices=LIBRARIES["tatamu"].layouts, default="NCHW", help="of all operands (NCHW)")
    add("--threads", type=int, default=2, metavar="N", help="threads of both libraries (2)")
    add("--child", nargs=7, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
