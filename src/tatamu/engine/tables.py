"""A job and its taps → the table of integers that a kernel reads (see `kernels/job.py`)."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from tatamu.engine.kernels.job import Header, Word
from tatamu.engine.taps import AxisTaps

_ALIGNMENT = 64


def aligned(size: int) -> int:
    """``size`` bytes rounded up, so that what follows begins on a cache line."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT


@dataclass
class Table:
    """The table under construction: jobs first, then the lists that their words point to."""

    jobs: int
    words: array[int] = field(init=False)

    def __post_init__(self) -> None:
        self.words = array("q", bytes(8 * (Header.FIRST_JOB + self.jobs * Word.LENGTH)))

    def set_header(self, **values: int) -> None:
        """Write header words by name."""
        for name, value in values.items():
            self.words[Header[name]] = value

    def set_job(self, number: int, values: dict[Word, int]) -> None:
        """Write the words of one job."""
        base = Header.FIRST_JOB + number * Word.LENGTH
        for word, value in values.items():
            self.words[base + word] = value

    def append(self, values: list[int]) -> int:
        """Add a list; returns its position."""
        self.words.extend(values)
        return len(self.words) - len(values)


@dataclass(frozen=True)
class Rows:
    """Row taps of a job, (weight tap, source row minus result row times stride), and its rows of results."""

    taps: tuple[tuple[int, int], ...]
    stride: int
    grid: int
    first: int
    step: int


def row_jobs(axis: AxisTaps) -> list[Rows]:
    """Split an axis into stretches of rows with the same taps: listed rows stand alone."""
    jobs = []
    position = 0
    while position < axis.grid:
        if position in axis.listed:
            taps = tuple(
                (axis.taps[t][0], at) for t, found in enumerate(axis.listed[position]) for at in found
            )
            end = position + 1
        else:
            end = position
            while end < axis.grid and end not in axis.listed:
                end += 1
            taps = tuple((weight, offset + position * axis.stride) for weight, offset in axis.taps)
        jobs.append(Rows(taps, axis.stride, end - position, axis.first + position * axis.step, axis.step))
        position = end
    return jobs
