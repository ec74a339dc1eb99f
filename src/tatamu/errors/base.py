"""What all errors share, and how their sentences write sizes, words and dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


class TatamuError(Exception):
    """Every error that tatamu raises on purpose.

    An instance holds its finished sentence and nothing else, so it survives pickling and torch's re-raising
    of a worker process's errors, which makes a new one from the text alone.
    """

    def locate(self, layer: str) -> None:
        """Say where it happened: `layer` describes the layer, with its path in the model if it has one."""
        self.args = (f"{self} (in {layer})",)


def did_you_mean(given: object, known: Sequence[str]) -> str:
    """'; did you mean …?' where one of the known words is near, and nothing otherwise."""
    near = get_close_matches(str(given).strip().lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def size_text(size: Sequence[int]) -> str:
    """A size as torch's messages write it: [1, 3, 8, 8]."""
    return str(list(size))


def listed(words: Sequence[str]) -> str:
    """'a', 'b' or 'c'."""
    return ", ".join(map(repr, words[:-1])) + f" or {words[-1]!r}"
