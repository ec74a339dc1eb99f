"""What was measured, as tables and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import geometric_mean
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.case import Case
from benchmarks.measure import Timing

_STYLE: dict[str, Any] = {
    "box": box.SIMPLE_HEAD,
    "padding": (0, 1),
    "collapse_padding": True,
    "pad_edge": False,
}
_MEASURED = ("library", "seconds", "deviation", "calls", "error")


@dataclass(frozen=True)
class Measured:
    """One library's call on a case. `error` is relative to the largest Σ|x||w|."""

    timing: Timing
    error: float


@dataclass(frozen=True)
class Row:
    """Both libraries on a case, in one memory format."""

    case: Case
    layout: str
    tatamu: Measured
    torch: Measured

    @property
    def ratio(self) -> float:
        """How many times as fast as torch tatamu is."""
        return self.torch.timing.median / self.tatamu.timing.median


def console() -> Console:
    """Standard output. Where it is no terminal, lines are long enough for the tables."""
    it = Console()
    return it if it.is_terminal else Console(width=100)


def show_rows(out: Console, rows: Iterable[Row]) -> None:
    """Show a table for each network, pass and batch, in the order of `rows`."""
    for (network, direction, batch), group in groupby(rows, key=_heading):
        table = Table(title=f"{network}: {direction}, batch {batch}", **_STYLE)
        for heading in ("layer", "layout"):
            table.add_column(heading, no_wrap=True)
        for heading in ("tatamu ms", "torch ms", "ratio", "error", "torch's"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in group:
            table.add_row(
                str(row.case.layer),
                "NHWC" if row.layout == "channels_last" else row.layout,
                _milliseconds(row.tatamu.timing),
                _milliseconds(row.torch.timing),
                f"{row.ratio:.2f}",
                f"{row.tatamu.error:.0e}",
                f"{row.torch.error:.0e}",
            )
        out.print(table)


def show_means(out: Console, rows: Sequence[Row]) -> None:
    """Show the geometric mean of the ratios and the lowest, for each pass, batch and memory format."""
    table = Table(title="torch's time / tatamu's", **_STYLE)
    for heading in ("pass", "batch", "layout"):
        table.add_column(heading)
    for heading in ("layers", "geometric mean", "lowest"):
        table.add_column(heading, justify="right")
    table.add_column("of")
    for direction, batch, layout in dict.fromkeys(
        (row.case.direction, row.case.batch, row.layout) for row in rows
    ):
        group = [
            row
            for row in rows
            if (row.case.direction, row.case.batch, row.layout) == (direction, batch, layout)
        ]
        lowest = min(group, key=lambda row: row.ratio)
        mean = geometric_mean(row.ratio for row in group)
        table.add_row(
            direction,
            str(batch),
            layout,
            str(len(group)),
            f"{mean:.2f}",
            f"{lowest.ratio:.2f}",
            str(lowest.case.layer),
        )
    out.print(table)


class CsvWriter:
    """Writes a line for each call measured, at once: what is interrupted keeps what it has."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer = csv.writer(file)
        self._write("network", "layer", "shape", "pass", "batch", "layout", *_MEASURED)

    def add(self, row: Row) -> None:
        """Write the two lines of a row."""
        case = row.case
        for library, it in (("tatamu", row.tatamu), ("torch", row.torch)):
            what = (case.layer.network, case.layer.name, case.layer, case.direction, case.batch, row.layout)
            timing = (f"{it.timing.median:.4g}", f"{it.timing.deviation:.2g}", it.timing.calls)
            self._write(*what, library, *timing, f"{it.error:.2g}")

    def _write(self, *fields: object) -> None:
        self._writer.writerow(fields)
        self._file.flush()


def _heading(row: Row) -> tuple[str, str, int]:
    return row.case.layer.network, row.case.direction, row.case.batch


def _milliseconds(timing: Timing) -> str:
    return f"{timing.median * 1e3:.3f} ±{timing.deviation / timing.median:.0%}"
