"""What several commands share."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

_WIDTH = 120


def examples(*lines: str) -> str:
    """The end of a command's help: how it is called, one line each."""
    heading = "Example:" if len(lines) == 1 else "Examples:"
    # click leaves the lines of a paragraph that begins with this mark as they are.
    return "\n".join(["\b", heading, *(f"  {line}" for line in lines)])


def console() -> Console:
    """Standard output. Where it is no terminal, lines are long enough for the tables."""
    it = Console()
    return it if it.is_terminal else Console(width=_WIDTH)


def table(title: str) -> Table:
    """An empty table, as all commands draw them."""
    style = {"box": box.SIMPLE_HEAD, "padding": (0, 1), "collapse_padding": True, "pad_edge": False}
    return Table(title=title, title_justify="left", **style)  # type: ignore[arg-type]  # Of several types.
