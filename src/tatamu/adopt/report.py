"""What served convolutions have cost, as a table."""

from __future__ import annotations

from tatamu.adopt.counting import Case, Cost, Costs
from tatamu.adopt.switch import Status

_MOST_LINES = 20


def show(status: Status, costs: Costs) -> None:
    """Write to stderr what was served and what was not, and the dearest convolutions."""
    from rich.console import Console  # noqa: PLC0415  # Both take a while to import.
    from rich.table import Table  # noqa: PLC0415

    console = Console(stderr=True)
    dearest = sorted(costs.of.items(), key=lambda item: -item[1].seconds)
    if dearest:
        table = Table(title="2-D convolutions computed by tatamu")
        for heading in ("input", "weight", "", "pass", "dtype"):
            table.add_column(heading)
        for heading in ("calls", "ms", "ms a call"):
            table.add_column(heading, justify="right")
        for case, cost in dearest[:_MOST_LINES]:
            table.add_row(*_named(case), *_figures(cost))
        if len(dearest) > _MOST_LINES:
            rest = [cost for _, cost in dearest[_MOST_LINES:]]
            sums = Cost(sum(it.calls for it in rest), sum(it.seconds for it in rest))
            table.add_row(f"{len(rest)} more", *[""] * 4, *_figures(sums))
        console.print(table)
    if any(case.device != "cpu" for case in costs.of):
        console.print("On a GPU the time is that of starting kernels, not of running them.")
    console.print(f"{status}", highlight=False)
    total = sum(cost.seconds for cost in costs.of.values())
    console.print(f"time in them: {total:.3f} s, compiling not counted", highlight=False)


def _named(case: Case) -> tuple[str, ...]:
    details = [
        "transposed" * case.transposed,
        f"stride {_sides(case.stride)}" * (max(case.stride) > 1),
        f"dilation {_sides(case.dilation)}" * (max(case.dilation) > 1),
        f"groups {case.groups}" * (case.groups > 1),
        case.device * (case.device != "cpu"),
    ]
    size = "×".join(map(str, case.input_size)), "×".join(map(str, case.weight_size))
    return (*size, ", ".join(filter(None, details)), case.kind, case.dtype)


def _sides(pair: tuple[int, ...]) -> str:
    return str(pair[0]) if pair[0] == pair[-1] else "×".join(map(str, pair))


def _figures(cost: Cost) -> tuple[str, str, str]:
    milliseconds = 1e3 * cost.seconds
    return f"{cost.calls:,}", f"{milliseconds:,.1f}", f"{milliseconds / cost.calls:,.3f}"
