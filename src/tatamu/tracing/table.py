"""A trace as a table in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tatamu.tracing import writing
from tatamu.tracing.rows import Row

WIDTH = 100
"""Columns that a table takes where nothing is known of the terminal."""

HEADINGS = ("path", "layer", "output", "reads", "jump", "params", "mult-adds", "share", "plan")
"""Of the columns, in every format."""

RIGHT = ("reads", "jump", "params", "mult-adds", "share")
"""Of numbers, which end at the right."""
_LEAST = 14
"""Characters of a layer that stand in one line at least."""
_NAME = 20
"""Characters of a path that stand before a layer; what they begin with alike stands above them."""


def cells(row: Row) -> tuple[str, ...]:
    """A row in words, one for each of `HEADINGS`."""
    return (
        row.path,
        row.layer,
        writing.size(row.output),
        writing.window(row.windows) if row.is_exact else f"≤{writing.window(row.windows)}",
        writing.jump(row.windows),
        writing.count(row.parameters),
        writing.count(row.macs),
        f"{row.share:.1%}" if row.macs else "",
        row.plan,
    )


class Rows:
    """The rows, for rich to print: under each path that layers have in common, their names and figures."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fits the console's width."""
        groups = list(_grouped([row.path for row in self._rows]))
        texts = [cells(row) for row in self._rows]
        names = [row.path[len(prefix) :].lstrip(".") for row, prefix in zip(self._rows, groups, strict=True)]
        widths = [max(map(len, column)) for column in zip(HEADINGS, *texts, strict=True)]
        widths[0] = max([4, *map(len, names)])
        room = options.max_width - sum(widths) + widths[1] - (len(widths) - 1)
        widths[1] = max(_LEAST, min(widths[1], room))
        yield _line([HEADINGS], widths, "bold")
        yield Text("─" * min(options.max_width, sum(widths) + (len(widths) - 1)), "dim")
        place = 0
        while place < len(texts):
            group = groups[place]
            count = len(list(takewhile(group.__eq__, groups[place:])))
            if group:
                yield Text(group, "bold", overflow="fold")
            lines = [
                (name, *text[1:])
                for name, text in zip(names[place : place + count], texts[place : place + count], strict=True)
            ]
            yield _line(lines, widths, "")
            place += count


def _line(lines: Sequence[Sequence[str]], widths: Sequence[int], style: str) -> Padding:
    table = Table.grid(padding=(0, 1, 0, 0))
    for heading, width in zip(HEADINGS, widths, strict=True):
        side: JustifyMethod = "right" if heading in RIGHT else "left"
        table.add_column(justify=side, width=width, overflow="fold", style=style)
    for cells_of_line in lines:
        table.add_row(*map(Text, cells_of_line))
    return Padding(table, 0)


def _reach(group: str, paths: Sequence[str]) -> int:
    """How many of the paths, from the first on, fit below a group."""
    return len(list(takewhile(lambda path: _fits(path, group), paths)))


def _grouped(paths: Sequence[str]) -> Iterator[str]:
    """For each path what stands above it: as much in common with those that follow as leaves short names."""
    group: str | None = None
    for place, path in enumerate(paths):
        if group is None or not _fits(path, group):
            parts = path.split(".")
            candidates = [".".join(parts[:count]) for count in range(len(parts))]
            reach = {it: _reach(it, paths[place:]) for it in candidates}
            group = max(candidates, key=lambda it: (reach[it], len(it)))
        yield group


def _fits(path: str, group: str) -> bool:
    if group and path != group and not path.startswith(f"{group}."):
        return False
    return len(path) - len(group) <= _NAME + bool(group)
