"""What was measured, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import geometric_mean
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.case import Case
from benchmarks.libraries import LIBRARIES, OURS
from benchmarks.results import Measured
from tatamu.measuring.timing import Timing

STYLE: dict[str, Any] = {
    "box": box.SIMPLE_HEAD,
    "padding": (0, 1),
    "collapse_padding": True,
    "pad_edge": False,
}
WIDTH = 120


@dataclass(frozen=True, eq=False)
class Row:
    """Everyone on a case in one memory format, by library; tatamu is one of them."""

    case: Case
    layout: str
    by: dict[str, Measured]

    def ratio(self, peer: str) -> float:
        """How many times as fast as a peer tatamu is."""
        return self.by[peer].timing.median / self.by["tatamu"].timing.median


def console() -> Console:
    """Standard output. Where it is no terminal, lines are long enough for the tables."""
    it = Console()
    return it if it.is_terminal else Console(width=WIDTH)


def rows(measured: Iterable[Measured]) -> list[Row]:
    """What belongs side by side, in the order in which it was measured."""
    found: dict[tuple[Case, str], Row] = {}
    for it in measured:
        found.setdefault((it.case, it.layout), Row(it.case, it.layout, {})).by[it.library] = it
    return list(found.values())


def show_rows(out: Console, everything: Iterable[Row]) -> None:
    """Show a table for each network, pass, batch and dtype, in the order of the rows."""
    for (network, direction, batch, element), group in groupby(everything, key=_heading):
        lines = list(group)
        libraries = [name for name in LIBRARIES if any(name in row.by for row in lines)]
        table = Table(title=f"{network}: {direction}, batch {batch}, {element}", **STYLE)
        for heading in ("layer", "layout"):
            table.add_column(heading, no_wrap=True)
        for name in libraries:
            mark = "*" if LIBRARIES[name].constant_weights else ""
            table.add_column(f"{name}{mark} ms", justify="right", no_wrap=True)
        for heading in ("best peer", "error", "torch's"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in lines:
            table.add_row(*_cells(row, libraries))
        out.print(table)
        if any(LIBRARIES[name].constant_weights for name in libraries):
            out.print("* with constant weights, transformed before the call")


def show_means(out: Console, everything: Sequence[Row]) -> None:
    """Show the geometric mean of the ratios and the lowest, against each peer."""
    table = Table(title="the peer's time / tatamu's", **STYLE)
    for heading in ("pass", "batch", "dtype", "layout", "peer"):
        table.add_column(heading)
    for heading in ("layers", "geometric mean", "lowest"):
        table.add_column(heading, justify="right")
    table.add_column("of")
    pairs = [(row, peer) for row in everything for peer in row.by if peer != "tatamu"]
    for key in dict.fromkeys(_kind(*pair) for pair in pairs):
        ratios = {row: row.ratio(peer) for row, peer in pairs if _kind(row, peer) == key}
        lowest = min(ratios, key=lambda row: ratios[row])
        table.add_row(
            *key,
            str(len(ratios)),
            f"{geometric_mean(ratios.values()):.2f}",
            f"{ratios[lowest]:.2f}",
            str(lowest.case.layer),
        )
    out.print(table)


def _heading(row: Row) -> tuple[str, str, int, str]:
    return row.case.layer.network, row.case.direction, row.case.batch, row.case.element


def _kind(row: Row, peer: str) -> tuple[str, str, str, str, str]:
    return row.case.direction, str(row.case.batch), row.case.element, row.layout, peer


def _cells(row: Row, libraries: Sequence[str]) -> list[str]:
    peers = [name for name in row.by if name not in OURS]
    return [
        str(row.case.layer),
        "NHWC" if row.layout == "channels_last" else row.layout,
        *(_milliseconds(row.by[name].timing) if name in row.by else "" for name in libraries),
        f"{min(map(row.ratio, peers)):.2f}×" if peers else "",
        f"{row.by['tatamu'].error:.0e}",
        f"{row.by['torch'].error:.0e}" if "torch" in row.by else "",
    ]


def _milliseconds(timing: Timing) -> str:
    return f"{timing.median * 1e3:.3f} ±{timing.deviation / timing.median:.0%}"
