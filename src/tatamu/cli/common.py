"""What several commands share."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """The end of a command's help: how it is called, one line each."""
    heading = "Example:" if len(lines) == 1 else "Examples:"
    # click leaves the lines of a paragraph that begins with this mark as they are.
    return "\n".join(["\b", heading, *(f"  {line}" for line in lines)])
