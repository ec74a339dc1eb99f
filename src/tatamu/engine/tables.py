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
    """Row taps of a job: (weight tap, source row minus result row times stride), the stride, the target rows."""

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
            taps = tuple((axis.taps[t][0], at) for t, found in enumerate(axis.listed[position]) for at in found)
            end = position + 1
        else:
            end = position
            while end < axis.grid and end not in axis.listed:
                end += 1
            taps = tuple((weight, offset + position * axis.stride) for weight, offset in axis.taps)
        jobs.append(Rows(taps, axis.stride, end - position, axis.first + position * axis.step, axis.step))
        position = end
    return jobs


@dataclass(frozen=True)
class Slots:
    """Which source rows a slab holds: ``sources`` relative to the block's first row, and each tap's first slot."""

    sources: tuple[int, ...]
    taps: tuple[int, ...]


def slots(rows: Rows, block_h: int) -> Slots:
    """Source rows of one stride phase lie side by side, so that a step down in the result is one slot down."""
    needed = sorted(
        {(offset % rows.stride, offset // rows.stride + line) for _, offset in rows.taps for line in range(block_h)}
    )
    number = {row: slot for slot, row in enumerate(needed)}
    return Slots(
        tuple(index * rows.stride + phase for phase, index in needed),
        tuple(number[offset % rows.stride, offset // rows.stride] for _, offset in rows.taps),
    )


def add_rows(table: Table, rows: Rows, block_h: int) -> dict[Word, int]:
    """Append slots and row taps; returns the words that name them."""
    found = slots(rows, block_h)
    taps = [value for (_, offset), slot in zip(rows.taps, found.taps, strict=True) for value in (slot, offset)]
    return {
        Word.SLOTS: len(found.sources),
        Word.SLOT_TABLE: table.append(list(found.sources)),
        Word.ROW_TAPS: len(rows.taps),
        Word.ROW_TAP_TABLE: table.append(taps),
        Word.STRIDE_H: rows.stride,
    }


def add_columns(table: Table, columns: AxisTaps) -> dict[Word, int]:
    """Append column taps and their edges; returns the words that name them."""
    entries: list[int] = []
    for t, (_, offset) in enumerate(columns.taps):
        low, high = columns.inside(offset)
        lists = [columns.sources(p, t) for p in (*range(low), *range(high, columns.grid))]
        begin = table.append([source for found in lists for source in found])
        starts = [begin]
        for found in lists:
            starts.append(starts[-1] + len(found))
        entries += [offset, low, high, table.append(starts)]
    return {
        Word.COLUMN_TAPS: len(columns.taps),
        Word.COLUMN_TAP_TABLE: table.append(entries),
        Word.STRIDE_W: columns.stride,
    }
