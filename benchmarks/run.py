"""Cases one after another: judged, timed, kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.case import Case
from benchmarks.layer import load_all
from benchmarks.libraries import OURS, asked, contenders
from benchmarks.results import Measured, Store
from tatamu.measuring.passes import operands
from tatamu.measuring.timing import measure
from tatamu.measuring.verify import WrongResultError, expected, verify

SEED = 0


@dataclass
class Found:
    """What came of some cases.

    Attributes:
        wrong: a sentence for each wrong result of tatamu's.
        remarks: a sentence for each wrong result of a peer's.
    """

    measured: list[Measured] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def cases(
    networks: Sequence[str], passes: Sequence[str], batches: Sequence[int], elements: Sequence[str]
) -> list[Case]:
    """A case for every layer; those of a network, pass, batch and dtype follow one another."""
    found = [
        Case(layer, batch, direction, element)
        for direction in passes
        for batch in batches
        for element in elements
        for layer in load_all(networks)
    ]
    return sorted(found, key=lambda case: networks.index(case.layer.network))


def measure_case(case: Case, peers: Sequence[str], seconds: float) -> tuple[list[Measured], list[str]]:
    """Judge, then time, everyone on a case. A peer whose result is wrong is not timed; a sentence says so.

    Args:
        seconds: how long to measure each call, warm-up aside; a slow one is measured three times anyway.

    Raises:
        WrongResultError: tatamu's result is wrong; nothing was timed.
    """
    given = operands(case, SEED)
    judge = expected(case, given)
    right, errors, remarks = [], [], []
    for contender in contenders(case, given, peers):
        try:
            errors.append(verify(case, str(contender), contender.call, judge))
            right.append(contender)
        except WrongResultError as error:  # noqa: PERF203 - one for each library, not for each pixel.
            if contender.library in OURS:
                raise
            remarks.append(str(error))
    del judge, given
    timings = measure([contender.call for contender in right], seconds)
    measured = [
        Measured(case, contender.layout, contender.library, timing, error)
        for contender, timing, error in zip(right, timings, errors, strict=True)
    ]
    return measured, remarks


def measure_all(
    everything: Iterable[Case], peers: Sequence[str], seconds: float, store: Store | None, out: Console
) -> Found:
    """Every case that the store does not hold yet, with a progress bar; and what it holds of the others."""
    everything = list(everything)
    found = Found()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # No refreshing in the background: it would take its time from the calls that are measured.
    with Progress(*columns, console=out, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=len(everything))
        for case in everything:
            description = f"{case.layer.network}, {case.direction}, batch {case.batch}, {case.element}"
            bar.update(task, description=description, refresh=True)
            known = store.of(case, asked(case, peers)) if store is not None else None
            if known is not None:
                found.measured += known
            else:
                _measure_into(found, case, peers, seconds, store)
            bar.update(task, advance=1, refresh=True)
    return found


def _measure_into(
    found: Found, case: Case, peers: Sequence[str], seconds: float, store: Store | None
) -> None:
    try:
        measured, remarks = measure_case(case, peers, seconds)
    except WrongResultError as error:
        found.wrong.append(str(error))
        return
    found.measured += measured
    found.remarks += remarks
    if store is not None:
        for it in measured:
            store.add(it)
