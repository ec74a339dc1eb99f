"""Time tatamu against torch, and say how far each is from float64.

For example: `python -m benchmarks --networks resnet50 vgg16 --batch 1 --passes forward --csv out.csv`
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.case import LAYOUTS, LIBRARIES, PASSES, Case, contenders, operands
from benchmarks.layer import NETWORKS, load_all
from benchmarks.measure import measure
from benchmarks.report import CsvWriter, Measured, Row, console, show_means, show_rows
from benchmarks.verify import WrongResultError, expected, verify

SEED = 0


def run(case: Case, seconds: float) -> list[Row]:
    """Judge, then time, one pass of one layer: a row per memory format.

    Args:
        seconds: how long to measure each call, warm-up aside; a slow one is measured three times anyway.

    Raises:
        WrongResultError: a result is wrong; nothing was timed.
    """
    given = operands(case, SEED)
    everyone = list(contenders(case, given))
    judge = expected(case, given)
    errors = [verify(case, contender, judge) for contender in everyone]
    del judge, given
    timings = measure([contender.call for contender in everyone], seconds)
    found = {
        (contender.library, contender.layout): Measured(timing, error)
        for contender, timing, error in zip(everyone, timings, errors, strict=True)
    }
    return [Row(case, layout, *(found[library, layout] for library in LIBRARIES)) for layout in LAYOUTS]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if a result was wrong, else 0."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    cases = [
        Case(layer, batch, direction)
        for layer in load_all(options.networks)
        for direction in options.passes
        for batch in options.batch
    ]
    # Sorted so that a network's cases of a pass and batch follow one another; the layers stay in their order.
    cases.sort(key=lambda case: (options.networks.index(case.layer.network), *_order(options, case)))
    rows: list[Row] = []
    wrong: list[str] = []
    out = console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with contextlib.ExitStack() as stack:
        writer = None
        if options.csv is not None:
            writer = CsvWriter(stack.enter_context(options.csv.open("w", encoding="utf-8", newline="")))
        # No refreshing in the background: it would take its time from the calls that are measured.
        bar = stack.enter_context(Progress(*columns, console=out, auto_refresh=False, transient=True))
        task = bar.add_task("", total=len(cases))
        for case in cases:
            description = f"{case.layer.network}, {case.direction}, batch {case.batch}"
            bar.update(task, description=description, refresh=True)
            try:
                measured = run(case, options.seconds)
            except WrongResultError as error:
                wrong.append(str(error))
            else:
                rows += measured
                if writer is not None:
                    for row in measured:
                        writer.add(row)
            bar.update(task, advance=1, refresh=True)
    out.print(
        f"torch {torch.__version__}, float32, {options.threads} threads. Times: median ± median deviation."
    )
    out.print("Ratio: torch's time / tatamu's. Error: the largest, against float64, relative to max Σ|x||w|.")
    show_rows(out, rows)
    if rows:
        show_means(out, rows)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


def _order(options: argparse.Namespace, case: Case) -> tuple[int, int]:
    return options.passes.index(case.direction), options.batch.index(case.batch)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Time tatamu's convolutions against torch's, in float32."
    )
    add = parser.add_argument
    names = ", ".join(NETWORKS)
    add("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME", help=names)
    add("--batch", nargs="+", type=_positive, default=[1, 16], metavar="N", help="images at a time (1 16)")
    add("--passes", nargs="+", choices=PASSES, default=list(PASSES), metavar="PASS", help=", ".join(PASSES))
    add("--threads", type=_positive, default=2, metavar="N", help="threads of both libraries (2)")
    add("--seconds", type=float, default=0.1, metavar="S", help="to measure each call for (0.1)")
    add("--csv", type=Path, metavar="FILE", help="write every measurement there, as it is made")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
