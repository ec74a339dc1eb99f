"""What changes from frame to frame: where the kernel lies, what it reads, what is written, and its sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import hypot

from tatamu.drawing import words
from tatamu.drawing.layout import Layout, kernel_values
from tatamu.drawing.numbers import Formula, Numbers, formula, reads, text
from tatamu.drawing.palette import HUES
from tatamu.drawing.scene import Frame, Kind, Rule, Scene
from tatamu.drawing.shapes import Label, Lines, Moving, Shape, Shown
from tatamu.drawing.sheets import Sheet, text_width

_LINE = 19
_TERM = 13
_WIDEST = 640
"""Where a formula goes on in a new line of blocks."""


def windows(
    scene: Scene, layout: Layout, frames: Sequence[Frame], numbers: Numbers | None
) -> Iterator[Moving]:
    """The kernel over the maps that are read."""
    for channel, sheet in layout.read.items():
        seen = [_seen_in(scene, frame, channel) for frame in frames]
        if numbers is not None and scene.rule is Rule.SUM:
            for written in layout.written:
                mine = [
                    at if frame.channel == written else [] for frame, at in zip(frames, seen, strict=True)
                ]
                if any(mine):
                    index = reads(scene, written).index(channel)
                    yield from _moved(
                        mine, sheet, _window(scene, sheet, kernel_values(scene, numbers, written, index))
                    )
        else:
            yield from _moved(seen, sheet, _window(scene, sheet, None))


def _seen_in(scene: Scene, frame: Frame, channel: int) -> list[tuple[int, int]]:
    """The windows of a frame on a channel that is read."""
    if frame.channel is None or channel in reads(scene, frame.channel):
        return list(scene.windows(frame))
    return []


def _moved(
    seen: Sequence[Sequence[tuple[int, int]]], sheet: Sheet, shapes: Sequence[Shape]
) -> Iterator[Moving]:
    for index in range(max(map(len, seen))):
        at = [windows[index] if index < len(windows) else None for windows in seen]
        yield Moving(
            tuple(shapes),
            tuple(None if it is None else (it[1] * sheet.cell, it[0] * sheet.cell) for it in at),
        )


def _window(scene: Scene, sheet: Sheet, values: Sequence[Sequence[str]] | None) -> list[Shape]:
    rows, columns = scene.rows, scene.columns
    hue = _kernel_hue(scene, sheet)
    shapes: list[Shape] = []
    apart = (rows.dilation > 1 and rows.extent > 1) or (columns.dilation > 1 and columns.extent > 1)
    for cell in scene.cells((0, 0)):
        shapes.append(sheet.box(cell.row, cell.column, 1, 1, f"{hue}-tap"))
        if values is not None:
            written = values[cell.tap[0]][cell.tap[1]]
            x, y = sheet.x + (cell.column + 1) * sheet.cell - 3, sheet.y + (cell.row + 1) * sheet.cell - 4
            shapes.append(Label(x, y, written, f"{hue}-deep", round(0.27 * sheet.cell, 1), "end"))
    shapes.append(sheet.box(0, 0, rows.extent, columns.extent, f"{hue}-frame" if apart else f"{hue}-edge"))
    return shapes


def links(scene: Scene, layout: Layout, frames: Sequence[Frame]) -> Iterator[Shown]:
    """From each padding cell under the kernel to the pixel that it repeats."""
    for number, frame in enumerate(frames):
        shapes: list[Shape] = []
        for channel, sheet in layout.read.items():
            lines, dots = [], {}
            for window in _seen_in(scene, frame, channel):
                for cell in scene.cells(window):
                    if scene.kind(cell.row, cell.column) is Kind.COPY:
                        row, column = scene.pixel_cell(cell.row, cell.column)
                        lines.append(
                            _between(
                                sheet.middle(cell.row, cell.column), sheet.middle(row, column), sheet.cell
                            )
                        )
                        dots[row, column] = sheet.box(row, column, 1, 1, f"{sheet.hue}-link")
            if lines:
                shapes += [Lines(tuple(lines), f"{sheet.hue}-link"), *dots.values()]
        if shapes:
            yield Shown(tuple(shapes), number, number)


def _between(
    begin: tuple[float, float], end: tuple[float, float], cell: float
) -> tuple[float, float, float, float]:
    """The line between two cells, without what would lie over their figures."""
    (x1, y1), (x2, y2) = begin, end
    part = 0.32 * cell / hypot(x2 - x1, y2 - y1)
    dx, dy = part * (x2 - x1), part * (y2 - y1)
    return x1 + dx, y1 + dy, x2 - dx, y2 - dy


def before(scene: Scene, layout: Layout, frames: Sequence[Frame]) -> Iterator[Moving]:
    """Where the kernel lay one position to the left, so that a stride is seen as a step."""
    if scene.transposed or scene.geometry.columns.stride == 1:
        return
    for channel, sheet in layout.read.items():
        places = [
            scene.columns.windows[frame.column - 1][0]
            if frame.column and _seen_in(scene, frame, channel)
            else None
            for frame in frames
        ]
        yield Moving(
            (sheet.box(0, 0, scene.rows.extent, scene.columns.extent, f"{_kernel_hue(scene, sheet)}-frame"),),
            tuple(
                None if place is None else (place * sheet.cell, scene.rows.windows[frame.row][0] * sheet.cell)
                for frame, place in zip(frames, places, strict=True)
            ),
        )


def _kernel_hue(scene: Scene, sheet: Sheet) -> str:
    return HUES[1] if scene.geometry.groups == 1 else sheet.hue


def results(layout: Layout, frames: Sequence[Frame], numbers: Numbers | None) -> Iterator[Shown]:
    """The cells that have been written, from their frame on."""
    for number, frame in enumerate(frames):
        shapes: list[Shape] = []
        for channel, sheet in layout.written.items():
            if frame.channel in (None, channel):
                shapes.append(sheet.box(frame.row, frame.column, 1, 1, f"{sheet.hue}-tint"))
                if numbers is not None:
                    written = text(numbers.written[channel][frame.row][frame.column])
                    shapes.append(sheet.label(frame.row, frame.column, written, "ink"))
        yield Shown(tuple(shapes), number, len(frames) - 1)


def cursors(layout: Layout, frames: Sequence[Frame]) -> Iterator[Moving]:
    """The cell that is being written, in every channel that is written together."""
    for channel, sheet in layout.written.items():
        offsets = tuple(
            (frame.column * sheet.cell, frame.row * sheet.cell) if frame.channel in (None, channel) else None
            for frame in frames
        )
        yield Moving((sheet.box(0, 0, 1, 1, f"{sheet.hue}-edge"),), offsets)


def chosen_kernels(scene: Scene, layout: Layout, frames: Sequence[Frame]) -> Iterator[Shown]:
    """Which kernel is at work, where the channels are written one after another."""
    for channel, kernels in layout.kernels.items():
        numbers = [number for number, frame in enumerate(frames) if frame.channel == channel]
        if numbers and len(layout.written) > 1:
            size = scene.rows.extent, scene.columns.extent
            edges = tuple(sheet.box(0, 0, *size, f"{sheet.hue}-edge") for sheet in kernels)
            yield Shown(edges, numbers[0], numbers[-1])


def captions(scene: Scene, frames: Sequence[Frame], x: float, y: float) -> tuple[list[Shown], float, float]:
    """Each frame in words; returns the labels, and where they end at the right and below."""
    texts = [words.caption(scene, frame) for frame in frames]
    shown = [Shown((Label(x, y, it, "ink", 13, "start"),), i, i) for i, it in enumerate(texts)]
    return shown, x + max(text_width(it, 13) for it in texts), y + 6


def formulas(
    scene: Scene, numbers: Numbers, frames: Sequence[Frame], x: float, y: float
) -> tuple[list[Shown], float, float]:
    """Each frame's sum, its terms as they lie in the kernel; returns as `captions`."""
    shown, right, bottom = [], x, y
    for number, frame in enumerate(frames):
        labels = list(_formula(formula(scene, numbers, frame), x, y))
        shown.append(Shown(tuple(labels), number, number))
        right = max(right, *(_end(label) for label in labels))
        bottom = max(bottom, *(label.y for label in labels))
    return shown, right, bottom + 10


def _formula(it: Formula, x: float, y: float) -> Iterator[Label]:
    yield Label(x, y, it.head, "strong", _TERM, "start")
    begin = x + text_width(it.head, _TERM)
    pitch = max(text_width(term, _TERM) for block in it.blocks for line in block for term in line) + 7
    left, top = begin, y
    end = begin
    for block in it.blocks:
        width = pitch * len(block[0])
        if left > begin and left + width > _WIDEST:
            left, top = begin, top + (len(block) + 0.5) * _LINE
        for index, line in enumerate(block):
            for place, term in enumerate(line):
                yield Label(left + pitch * (place + 1) - 7, top + index * _LINE, term, "ink", _TERM, "end")
        end = left + width
        left += width + 18
    yield Label(end + 2, top + (len(it.blocks[-1]) - 1) * _LINE, it.tail, "strong", _TERM, "start")


def _end(label: Label) -> float:
    return label.x + (text_width(label.text, label.size) if label.anchor == "start" else 0)
