"""A bar for each library on each layer, in GFLOP/s, against the machine's peak."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.case import Case
from benchmarks.libraries import LIBRARIES
from benchmarks.peak import peak
from benchmarks.results import Measured
from tatamu.measuring.machine import described, version

_INCHES_PER_BAR = 0.13
_COLOURS = ("#c2410c", "#f59e0b", "#334155", "#64748b", "#0891b2", "#65a30d")  # tatamu first.


def draw(path: Path, measured: Sequence[Measured], threads: int) -> None:
    """Write the chart of what was measured, in the format that the name ends in.

    The axis ends at the peak of direct convolution, or where a longer bar does: what passes the peak has not
    multiplied for every tap (Winograd).
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional.

    libraries = [
        (name, layout)
        for name in LIBRARIES
        for layout in dict.fromkeys(it.layout for it in measured)
        if any((it.library, it.layout) == (name, layout) for it in measured)
    ]
    cases = list(dict.fromkeys(it.case for it in measured))
    speeds = {(it.case, it.library, it.layout): it.gflops for it in measured}
    height = 1.4 + _INCHES_PER_BAR * len(cases) * (len(libraries) + 1)
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots()
    for place, (name, layout) in enumerate(libraries):
        axes.barh(
            [line + (place + 0.5) / (len(libraries) + 1) for line in range(len(cases))],
            [speeds.get((case, name, layout), 0.0) for case in cases],
            height=1 / (len(libraries) + 1),
            color=_COLOURS[list(LIBRARIES).index(name)],
            alpha=1 if layout == "NCHW" else 0.6,
            label=f"{name}, {layout}",
        )
    top = peak(threads) / 1e9
    axes.axvline(top, color="black", linewidth=1, linestyle="--")
    axes.annotate(
        f"peak of direct convolution, float32: {top:.0f}",
        (top, 0),
        rotation=90,
        fontsize=7,
        ha="right",
        va="top",
    )
    axes.set_yticks([line + 0.4 for line in range(len(cases))], [_label(case) for case in cases], fontsize=7)
    axes.set_ylim(len(cases), -0.1)
    axes.set_xlim(0, max(top, *speeds.values()) * 1.01)
    axes.set_xlabel("GFLOP/s, of the operations in the definition")
    axes.legend(fontsize=7, loc="lower right")
    packages = dict.fromkeys(LIBRARIES[name].package for name, _ in libraries)
    versions = ", ".join(f"{it} {version(it)}" for it in packages)
    axes.set_title(f"{described(threads)}\n{versions}", fontsize=8)
    figure.savefig(path)


def _label(case: Case) -> str:
    text = str(case.layer)
    text += f", batch {case.batch}" if case.batch > 1 else ""
    text += f", {case.direction}" if case.direction != "forward" else ""
    return text + (f", {case.element}" if case.element != "f32" else "")
