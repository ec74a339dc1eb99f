"""The source with its padding, as a table: what stands for each position of the padded grid."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels.job import Word
from tatamu.engine.tables import Table
from tatamu.geometry import padded_source


@dataclass(frozen=True)
class PaddedAxis:
    """``before + size + after`` positions along one axis; a negative amount crops the source."""

    size: int
    before: int
    after: int

    @property
    def inside(self) -> tuple[int, int]:
        """The padded positions [low, high) that lie in the source."""
        padded = max(0, self.size + self.before + self.after)
        low, high = max(0, self.before), min(padded, self.before + self.size)
        return (low, high) if low < high else (padded, padded)

    def sources(self, positions: range, mode: str) -> list[int]:
        """What stands for each of some padded positions: a source position, or -1 for zero."""
        found = (padded_source(position - self.before, self.size, mode) for position in positions)
        return [-1 if source is None else source for source in found]


@dataclass(frozen=True)
class RowPhase:
    """Rows of results a dilation apart, which only need rows of the source that are as far apart.

    Attributes:
        first: the first row of results.
        source: the first row of the source.
        size: the number of rows of results.
        axis: those rows of the source, with their padding.
    """

    first: int
    source: int
    size: int
    axis: PaddedAxis


def row_phases(size: int, before: int, grid: int, taps: int, dilation: int) -> list[RowPhase]:
    """A convolution of ``grid`` rows of results as convolutions without dilation.

    Its source has ``size`` rows and ``before`` rows of padding, and its taps are ``dilation`` rows apart.
    """
    found = []
    for first in range(min(dilation, grid)):
        source = (first - before) % dilation
        rows, results = max(0, -(-(size - source) // dilation)), -(-(grid - first) // dilation)
        padding = (source + before - first) // dilation
        axis = PaddedAxis(rows, padding, results + taps - 1 - rows - padding)
        found.append(RowPhase(first, source, results, axis))
    return found


def padded_words(table: Table, rows: PaddedAxis, columns: PaddedAxis, mode: str) -> dict[Word, int]:
    """Append the lists that `define_pack_channels` reads, and name them."""
    top, bottom = rows.inside
    low, high = columns.inside
    padded_rows, padded_columns = (max(0, axis.size + axis.before + axis.after) for axis in (rows, columns))
    row_table = table.append(rows.sources(range(top), mode))
    table.append(list(range(top - rows.before, bottom - rows.before)))
    table.append(rows.sources(range(bottom, padded_rows), mode))
    column_table = table.append(columns.sources(range(low), mode))
    table.append(columns.sources(range(high, padded_columns), mode))
    return {
        Word.PADDED_ROWS: padded_rows,
        Word.PADDED_ROW_TABLE: row_table,
        Word.ROW_BEFORE: rows.before,
        Word.ROW_LOW: top if mode == "zeros" else 0,
        Word.ROW_HIGH: bottom if mode == "zeros" else padded_rows,
        Word.PADDED_COLUMNS: padded_columns,
        Word.COLUMN_BEFORE: columns.before,
        Word.COLUMN_LOW: low,
        Word.COLUMN_HIGH: high,
        Word.PADDED_COLUMN_TABLE: column_table,
        Word.EDGES_ARE_ZERO: int(mode == "zeros"),
    }
