"""The maps and kernels of a picture as shapes: cells, padding, what is never read, piles, rulers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product

from tatamu.drawing.scene import Kind, Scene, Track
from tatamu.drawing.shapes import Box, Label, Lines, Shape

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
STEP = 4
"""How far each channel of a pile peeps out behind the one before it."""
_DEEPEST = 4
_DIGIT = 0.62
"""Width of a letter or digit over the size of its font, in the widest of the sans-serif faces that browsers
take."""


@dataclass(frozen=True)
class Sheet:
    """Where a grid of cells lies: its upper left corner, the size of a cell, its colour."""

    x: float
    y: float
    cell: float
    hue: str

    def middle(self, row: int, column: int) -> tuple[float, float]:
        """The middle of a cell."""
        return self.x + (column + 0.5) * self.cell, self.y + (row + 0.5) * self.cell

    def box(self, row: int, column: int, height: int, width: int, style: str) -> Box:
        """A rectangle of whole cells."""
        corner = self.x + column * self.cell, self.y + row * self.cell
        return Box(*corner, width * self.cell, height * self.cell, style)

    def label(self, row: int, column: int, text: str, style: str) -> Label:
        """A text in the middle of a cell, as large as fits."""
        x, y = self.middle(row, column)
        size = round(min(0.42 * self.cell, 0.84 * self.cell / (_DIGIT * len(text))), 1)
        return Label(x, round(y + 0.35 * size, 2), text, style, size)

    def inner(self, row: int, column: int, height: int, width: int, style: str) -> list[Shape]:
        """The lines between the cells of a rectangle."""
        c, x, y = self.cell, self.x + column * self.cell, self.y + row * self.cell
        across = ((x, y + i * c, x + width * c, y + i * c) for i in range(1, height))
        down = ((x + j * c, y, x + j * c, y + height * c) for j in range(1, width))
        segments = (*across, *down)
        return [Lines(segments, style)] if segments else []


def pile(sheet: Sheet, height: int, width: int, channels: int, style: str) -> list[Shape]:
    """The channels behind the first one, as edges of cards that lie behind it."""
    cards = []
    for behind in reversed(range(1, depth(channels) + 1)):
        card = Sheet(sheet.x + behind * STEP, sheet.y - behind * STEP, sheet.cell, sheet.hue)
        cards.append(card.box(0, 0, height, width, style))
    return list(cards)


def depth(channels: int) -> int:
    """How many cards peep out behind the first; the number of channels is said in words."""
    return min(channels, _DEEPEST) - 1


def field(scene: Scene, sheet: Sheet) -> list[Shape]:
    """The cells of the map that is read: pixels, and the padding around or between them."""
    rows, columns = scene.rows.places, scene.columns.places
    shapes: list[Shape] = []
    if any(place.kind is not Kind.PIXEL for place in (*rows, *columns)):
        copies = Kind.COPY in {place.kind for place in (*rows, *columns)}
        outside, lines = (f"{sheet.hue}-copy", f"{sheet.hue}-copyline") if copies else ("faint", "faintline")
        shapes.append(sheet.box(0, 0, len(rows), len(columns), outside))
        shapes += sheet.inner(0, 0, len(rows), len(columns), lines)
    for (row, height), (column, width) in product(_runs(scene.rows), _runs(scene.columns)):
        shapes.append(sheet.box(row, column, height, width, f"{sheet.hue}-tint"))
        shapes += sheet.inner(row, column, height, width, f"{sheet.hue}-line")
    return shapes + _hatched(scene, sheet)


def contents(scene: Scene, sheet: Sheet, value: Callable[[int, int], str] | None) -> Iterator[Shape]:
    """What stands in the cells of the map that is read: numbers, or letters where padding repeats pixels."""
    value = value or _letters(scene)
    if value is not None:
        for row, column in product(range(len(scene.rows.places)), range(len(scene.columns.places))):
            written = value(row, column)
            if written:
                style = "ink" if scene.kind(row, column) is Kind.PIXEL else "muted"
                yield sheet.label(row, column, written, style)


def kernel(scene: Scene, sheet: Sheet, values: Sequence[Sequence[str]] | None) -> list[Shape]:
    """A kernel as it lies over the map, with the gaps that dilation leaves; `values` are [i][j]."""
    rows, columns = scene.rows, scene.columns
    shapes: list[Shape] = []
    if (rows.dilation > 1 and rows.extent > 1) or (columns.dilation > 1 and columns.extent > 1):
        shapes.append(sheet.box(0, 0, rows.extent, columns.extent, "faint"))
        shapes += sheet.inner(0, 0, rows.extent, columns.extent, "faintline")
    for (i, row), (j, column) in product(
        zip(rows.taps, rows.under(0), strict=True), zip(columns.taps, columns.under(0), strict=True)
    ):
        shapes.append(sheet.box(row, column, 1, 1, f"{sheet.hue}-tint"))
        if values is not None:
            shapes.append(sheet.label(row, column, values[i][j], "ink"))
    return shapes


def blank(sheet: Sheet, height: int, width: int) -> list[Shape]:
    """A map that is still to be written."""
    return [sheet.box(0, 0, height, width, "faint"), *sheet.inner(0, 0, height, width, "faintline")]


def rulers(sheet: Sheet, rows: Sequence[int], columns: Sequence[int], lift: float = 0) -> list[Shape]:
    """Lengths along the left and the upper edge of a sheet, in cells, beyond the `lift` of its pile."""
    shapes: list[Shape] = []
    along = sheet.x
    for length in filter(None, columns):
        shapes += _measure(along, sheet.y - 9 - lift, length, sheet.cell, across=True)
        along += length * sheet.cell
    along = sheet.y
    for length in filter(None, rows):
        shapes += _measure(sheet.x - 9, along, length, sheet.cell, across=False)
        along += length * sheet.cell
    return shapes


def segments(track: Track) -> tuple[int, ...]:
    """A track as lengths: padding before, from the first pixel to the last, padding after."""
    pixels = [at for at, place in enumerate(track.places) if place.kind is Kind.PIXEL]
    return pixels[0], pixels[-1] - pixels[0] + 1, len(track.places) - 1 - pixels[-1]


def text_width(text: str, size: float) -> float:
    """About how wide a text is."""
    return len(text) * size * _DIGIT


def _measure(x: float, y: float, length: int, cell: float, across: bool) -> list[Shape]:
    end, size, text = length * cell, 10.5, str(length)
    gap = text_width(text, size) / 2 + 3 if across else size / 2 + 2
    ticks = [(0.0, -3.0, 0.0, 3.0), (end, -3.0, end, 3.0)]
    if end / 2 > gap + 2:
        ticks += [(0.0, 0.0, end / 2 - gap, 0.0), (end / 2 + gap, 0.0, end, 0.0)]
    if across:
        lines = [(x + a, y + b, x + c, y + d) for a, b, c, d in ticks]
        return [Lines(tuple(lines), "rule"), Label(x + end / 2, y + 0.35 * size, text, "muted", size)]
    lines = [(x + b, y + a, x + d, y + c) for a, b, c, d in ticks]
    return [Lines(tuple(lines), "rule"), Label(x, y + end / 2 + 0.35 * size, text, "muted", size)]


def _runs(track: Track) -> list[tuple[int, int]]:
    """Where pixels lie side by side: (first place, how many)."""
    runs, at = [], 0
    for kind, places in groupby(track.places, lambda place: place.kind):
        count = len(list(places))
        if kind is Kind.PIXEL:
            runs.append((at, count))
        at += count
    return runs


def _hatched(scene: Scene, sheet: Sheet) -> list[Shape]:
    c, lines = sheet.cell, []
    for row, column in product(range(len(scene.rows.places)), range(len(scene.columns.places))):
        if scene.kind(row, column) is Kind.PIXEL and scene.is_unread(row, column):
            x, y = sheet.x + column * c, sheet.y + row * c
            lines += [(x, y + part * c, x + part * c, y) for part in (0.5, 1.0)]
            lines.append((x + 0.5 * c, y + c, x + c, y + 0.5 * c))
    return [Lines(tuple(lines), "hatch")] if lines else []


def _letters(scene: Scene) -> Callable[[int, int], str] | None:
    """A letter for each pixel, repeated where padding repeats it."""
    height, width = (len({p.source for p in track.places} - {None}) for track in (scene.rows, scene.columns))
    places = (*scene.rows.places, *scene.columns.places)
    if height * width > len(LETTERS) or not any(place.kind is Kind.COPY for place in places):
        return None

    def letter(row: int, column: int) -> str:
        pixel = scene.source(row, column)
        return "" if pixel is None else LETTERS[pixel[0] * width + pixel[1]]

    return letter
