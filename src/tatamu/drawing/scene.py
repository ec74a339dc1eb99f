"""What a picture of a convolution shows, in integers: which places there are, and which each frame reads.

Rows and columns do not know of each other: a cell is read where both its row and its column are, so a scene
is two tracks. The gradient of the input is the same kind of scene: grad output, spread by the stride with
zeros between, is read by the kernel turned by 180°. Source: Dumoulin and Visin, "A guide to convolution
arithmetic for deep learning", 2016, arXiv:1603.07285; padding modes other than zeros are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import product

from tatamu.geometry import Axis, Geometry, padded_source


class Kind(Enum):
    """What stands at a place of the map that is read."""

    PIXEL = "pixel"
    COPY = "copy"
    """Padding that repeats a pixel."""
    PADDING = "padding"
    """A zero around the map."""
    INSERTED = "inserted"
    """A zero between two pixels: the gradient of a stride."""


class Rule(Enum):
    """What becomes of what is under the kernel."""

    SUM = "sum"
    """Of the products with the weight: convolution."""
    MEAN = "mean"
    """Average pooling: a convolution of each channel alone, all its weights the same."""
    MAXIMUM = "max"


@dataclass(frozen=True)
class Place:
    """One position along an axis: its kind, and the pixel that it is or repeats (None for a zero)."""

    kind: Kind
    source: int | None = None


@dataclass(frozen=True)
class Track:
    """One axis of a scene.

    Attributes:
        places: what there is to read, padding included, first to last.
        windows: for each position that is written, the places where the kernel's first tap lies. One in the
            forward pass; in the gradient of a padding that repeats pixels, one for each place it stood for.
        taps: the kernel's taps in the order in which they lie over the places.
        dilation: places from one tap to the next.
    """

    places: tuple[Place, ...]
    windows: tuple[tuple[int, ...], ...]
    taps: tuple[int, ...]
    dilation: int

    @property
    def extent(self) -> int:
        """Places from the first tap to the last, both included."""
        return self.dilation * (len(self.taps) - 1) + 1

    def under(self, window: int) -> tuple[int, ...]:
        """The places under the taps of a window that begins at this place."""
        return tuple(window + self.dilation * tap for tap in range(len(self.taps)))

    @cached_property
    def read(self) -> frozenset[int]:
        """The places that are read at all."""
        return frozenset(place for windows in self.windows for w in windows for place in self.under(w))

    @cached_property
    def unread(self) -> frozenset[int]:
        """The pixels that are never read, neither themselves nor where padding repeats them."""
        pixels = {place.source for place in self.places if place.source is not None}
        return frozenset(pixels - {self.places[place].source for place in self.read})

    def pixel_place(self, pixel: int) -> int:
        """The place at which a pixel itself lies."""
        return self._pixel_places[pixel]

    @cached_property
    def _pixel_places(self) -> dict[int, int]:
        return {
            place.source: at
            for at, place in enumerate(self.places)
            if place.kind is Kind.PIXEL and place.source is not None
        }


@dataclass(frozen=True)
class Frame:
    """One step: the position that is written, in one channel, or in all of them at once (None)."""

    row: int
    column: int
    channel: int | None = None


@dataclass(frozen=True)
class Cell:
    """One cell under one tap: its place in the map that is read, and the tap (i, j) of the weight."""

    row: int
    column: int
    tap: tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """Everything a picture shows, but how it looks.

    `geometry` is the convolution's; where `transposed`, the scene is the gradient of its input: it reads grad
    output and writes the gradient of the input.
    """

    geometry: Geometry
    transposed: bool
    rows: Track
    columns: Track
    rule: Rule = Rule.SUM

    @staticmethod
    def of(geometry: Geometry, transposed: bool = False, rule: Rule = Rule.SUM) -> Scene:
        """The scene of a geometry whose arguments are valid."""
        track = _gradient if transposed else _forward
        mode = geometry.padding_mode
        return Scene(geometry, transposed, track(geometry.rows, mode), track(geometry.columns, mode), rule)

    @property
    def read_channels(self) -> int:
        """Channels of the map that is read."""
        return self.geometry.out_channels if self.transposed else self.geometry.in_channels

    @property
    def written_channels(self) -> int:
        """Channels of the map that is written."""
        return self.geometry.in_channels if self.transposed else self.geometry.out_channels

    @property
    def written_size(self) -> tuple[int, int]:
        """(height, width) of the map that is written."""
        return len(self.rows.windows), len(self.columns.windows)

    @property
    def positions(self) -> Iterator[tuple[int, int]]:
        """Every position that is written, row by row."""
        height, width = self.written_size
        return product(range(height), range(width))

    def windows(self, frame: Frame) -> Iterator[tuple[int, int]]:
        """Where the kernel lies in a frame: the places (row, column) of its first tap."""
        return product(self.rows.windows[frame.row], self.columns.windows[frame.column])

    def cells(self, window: tuple[int, int]) -> Iterator[Cell]:
        """The cells under the taps of a window, tap by tap."""
        rows = zip(self.rows.under(window[0]), self.rows.taps, strict=True)
        columns = zip(self.columns.under(window[1]), self.columns.taps, strict=True)
        for (row, i), (column, j) in product(rows, columns):
            yield Cell(row, column, (i, j))

    def kind(self, row: int, column: int) -> Kind:
        """What stands in a cell."""
        kinds = {self.rows.places[row].kind, self.columns.places[column].kind}
        return next(kind for kind in (Kind.PADDING, Kind.INSERTED, Kind.COPY, Kind.PIXEL) if kind in kinds)

    def is_unread(self, row: int, column: int) -> bool:
        """Whether a cell is a pixel that is never read."""
        pixel = self.source(row, column)
        return pixel is not None and (pixel[0] in self.rows.unread or pixel[1] in self.columns.unread)

    def pixel_cell(self, row: int, column: int) -> tuple[int, int]:
        """Where the pixel lies that a cell is or repeats; the cell is no zero."""
        row_source, column_source = self.rows.places[row].source, self.columns.places[column].source
        assert row_source is not None
        assert column_source is not None
        return self.rows.pixel_place(row_source), self.columns.pixel_place(column_source)

    def source(self, row: int, column: int) -> tuple[int, int] | None:
        """The pixel (row, column) that a cell is or repeats; None for a zero."""
        pixel = self.rows.places[row].source, self.columns.places[column].source
        return None if pixel[0] is None or pixel[1] is None else (pixel[0], pixel[1])


def _forward(axis: Axis, mode: str) -> Track:
    places = []
    for position in range(-axis.before, axis.size + axis.after):
        source = padded_source(position, axis.size, mode)
        kind = Kind.PADDING if source is None else Kind.PIXEL if source == position else Kind.COPY
        places.append(Place(kind, source))
    windows = tuple((output * axis.stride,) for output in range(axis.output))
    return Track(tuple(places), windows, tuple(range(axis.kernel)), axis.dilation)


def _gradient(axis: Axis, mode: str) -> Track:
    # Padded position u of the input was read by output p through tap k where u = p·stride + k·dilation: with
    # the kernel turned, its first tap, the last of the weight, lies at u - span in grad output's places.
    span = axis.effective_kernel - 1
    stood_for: list[list[int]] = [[] for _ in range(axis.size)]
    for u in range(axis.padded):
        pixel = padded_source(u - axis.before, axis.size, mode)
        if pixel is not None:
            stood_for[pixel].append(u - span)
    last = axis.stride * (axis.output - 1)
    begin = min(0, *(min(windows) for windows in stood_for))
    end = max(last, *(max(windows) + span for windows in stood_for))
    places = tuple(_spread(position, axis.stride, last) for position in range(begin, end + 1))
    windows = tuple(tuple(first - begin for first in windows) for windows in stood_for)
    return Track(places, windows, tuple(reversed(range(axis.kernel))), axis.dilation)


def _spread(position: int, stride: int, last: int) -> Place:
    if not 0 <= position <= last:
        return Place(Kind.PADDING)
    return Place(Kind.INSERTED) if position % stride else Place(Kind.PIXEL, position // stride)
