"""Where everything lies: a block for each group, what is read at the left, what is written right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tatamu.drawing import sheets, words
from tatamu.drawing.numbers import Numbers, cell_value, reads, taps, text
from tatamu.drawing.palette import HUES
from tatamu.drawing.scene import Rule, Scene
from tatamu.drawing.shapes import Label, Shape
from tatamu.drawing.sheets import Sheet

MARGIN = 22
_RULER = 18
_BETWEEN = 20
"""Between what lies one above the other."""
_OPERATOR = 44
_CHIP = 20
"""The least side of the bias's cell, which holds a letter."""
_MOST_GROUPS, _MOST_ALONE, _MOST_OF_GROUP = 4, 3, 2
"""So many groups, and output channels of a single group or of each of several, are drawn; the rest is
counted."""


@dataclass
class Layout:
    """A picture without its frames.

    Attributes:
        read: the sheet of each channel that is drawn of the map that is read; of a pile, the first channel's.
        kernels: the sheets of the kernel of each channel that is written.
        written: the sheet of each channel that is drawn of the map that is written.
        under, over: shapes below and above what moves.
        right, bottom: how far all this reaches.
    """

    cell: float
    read: dict[int, Sheet] = field(default_factory=dict)
    kernels: dict[int, list[Sheet]] = field(default_factory=dict)
    written: dict[int, Sheet] = field(default_factory=dict)
    under: list[Shape] = field(default_factory=list)
    over: list[Shape] = field(default_factory=list)
    right: float = 0
    bottom: float = 0


@dataclass(frozen=True)
class _Subject:
    """What is to be laid out."""

    scene: Scene
    numbers: Numbers | None
    bias: bool

    @property
    def grouped(self) -> bool:
        return self.scene.geometry.groups > 1

    @property
    def read_each(self) -> int:
        return self.scene.read_channels // self.scene.geometry.groups

    @property
    def spread(self) -> bool:
        """Numbers need every channel in full view, where otherwise they lie in a pile."""
        return self.numbers is not None and self.read_each > 1

    @property
    def has_kernel(self) -> bool:
        return self.scene.rule is Rule.SUM

    def shown_groups(self) -> tuple[list[int], int]:
        """The groups that are drawn, and how many are not."""
        return _some(range(self.scene.geometry.groups), _MOST_GROUPS)

    def shown_of(self, group: int) -> tuple[list[int], int]:
        """The channels of a group that are drawn of the map that is written, and how many are not."""
        each = self.scene.written_channels // self.scene.geometry.groups
        return _some(range(group * each, (group + 1) * each), _MOST_OF_GROUP if self.grouped else _MOST_ALONE)

    def hues(self, group: int) -> tuple[str, str, str]:
        """Of what is read, the kernel, and what is written: one of each where there are no groups."""
        return (HUES[group % len(HUES)],) * 3 if self.grouped else (HUES[0], HUES[1], HUES[2])


def _some(channels: range, most: int) -> tuple[list[int], int]:
    shown = channels if len(channels) <= most else channels[: most - 1]
    return list(shown), len(channels) - len(shown)


def shown_channels(scene: Scene) -> list[int]:
    """The channels that are drawn of the map that is written."""
    subject = _Subject(scene, None, bias=False)
    return [channel for group in subject.shown_groups()[0] for channel in subject.shown_of(group)[0]]


def lay_out(scene: Scene, numbers: Numbers | None, bias: bool, top: float) -> Layout:
    """Place all that stays where it is, from `top` on."""
    subject = _Subject(scene, numbers, bias)
    layout = Layout(_cell(subject))
    columns = _Columns.of(subject, layout.cell)
    _headers(subject, layout, columns, top)
    y = top + 16 + _RULER
    groups, hidden = subject.shown_groups()
    for group in groups:
        y = _block(subject, layout, columns, group, y) + _BETWEEN
    if hidden:
        layout.over.append(Label(columns.read, y, f"… and {hidden} more groups", "muted", 12, "start"))
        y += 16
    layout.bottom = y - _BETWEEN
    layout.right = max(
        layout.right, *(sheet.x + scene.written_size[1] * layout.cell for sheet in layout.written.values())
    )
    return layout


def _cell(subject: _Subject) -> float:
    scene = subject.scene
    longest = max(len(scene.rows.places), len(scene.columns.places), *scene.written_size)
    if subject.numbers is not None:
        wide = 34 if subject.numbers.whole else 42
        return wide if longest <= 10 else 0.8 * wide
    rows = sum(len(subject.shown_of(group)[0]) for group in subject.shown_groups()[0])
    return max(8, min(30 if rows == 1 else 22, 340 // longest))


@dataclass(frozen=True)
class _Columns:
    """Left edges, the distance of kernels side by side, and the middles of the operators."""

    read: float
    kernel: float
    written: float
    pitch: float
    times: float
    equals: float

    @staticmethod
    def of(subject: _Subject, cell: float) -> _Columns:
        scene = subject.scene
        heads = _heads(subject)
        widths = [sheets.text_width(head, 13) for head in heads]
        read = MARGIN + _RULER
        depth = 0 if subject.spread else sheets.depth(subject.read_each) * sheets.STEP
        read_end = read + max(widths[0], len(scene.columns.places) * cell + depth)
        if not subject.has_kernel:
            written = read_end + 2 * _OPERATOR + _RULER
            return _Columns(read, read_end, written, 0, 0, read_end + _OPERATOR)
        kernel = read_end + _OPERATOR + _RULER
        pitch = scene.columns.extent * cell + depth + 28
        side_by_side = (
            max(len(subject.shown_of(g)[0]) for g in subject.shown_groups()[0]) if subject.spread else 1
        )
        kernel_end = kernel + max(widths[1], side_by_side * pitch - 28)
        chip = 26 + max(cell, _CHIP) if subject.bias else 0
        written = kernel_end + _OPERATOR + chip + _RULER
        return _Columns(
            read, kernel, written, pitch, read_end + _OPERATOR / 2 + 4, written - _RULER - _OPERATOR / 2
        )


def _heads(subject: _Subject) -> tuple[str, str, str]:
    scene, geometry = subject.scene, subject.scene.geometry
    output = f"output {words.planes(geometry.out_channels, geometry.rows.output, geometry.columns.output)}"
    read = f"input {words.planes(geometry.in_channels, geometry.rows.size, geometry.columns.size)}"
    kernel = f"kernel {words.planes(subject.read_each, *geometry.kernel_size)}"
    if scene.transposed:
        return f"gradient of {output}", f"{kernel}, turned by 180°", f"gradient of {read}"
    return read, kernel, output


def _headers(subject: _Subject, layout: Layout, columns: _Columns, top: float) -> None:
    hues = subject.hues(0)
    for x, head, hue in zip(
        (columns.read, columns.kernel, columns.written), _heads(subject), hues, strict=True
    ):
        if x != columns.kernel or subject.has_kernel:
            layout.over.append(
                Label(x, top + 4, head, "strong" if subject.grouped else f"{hue}-ink", 13, "start")
            )
            layout.right = max(layout.right, x + sheets.text_width(head, 13))


def _block(subject: _Subject, layout: Layout, columns: _Columns, group: int, top: float) -> float:
    """One group; returns where it ends."""
    scene, cell = subject.scene, layout.cell
    written, hidden = subject.shown_of(group)
    if subject.grouped:
        top += 12 if group else 12 + _RULER
    depth = 0 if subject.spread else sheets.depth(subject.read_each) * sheets.STEP
    first = subject.read_each * group
    shown = list(range(first, first + subject.read_each)) if subject.spread else [first]
    read_height = len(scene.rows.places) * cell + depth
    row_height = max(scene.rows.extent * cell + depth, scene.written_size[0] * cell)
    reads_high = len(shown) * (read_height + _BETWEEN) - _BETWEEN
    rows_high = len(written) * (row_height + _BETWEEN) - _BETWEEN + (_BETWEEN if hidden else 0)
    height = max(reads_high, rows_high)
    read_ys = _stacked(top + (height - reads_high) / 2, read_height, len(shown))
    row_ys = _stacked(top + (height - rows_high) / 2, row_height, len(written))
    for channel, y in zip(shown, read_ys, strict=True):
        _read(subject, layout, Sheet(columns.read, y + depth, cell, subject.hues(group)[0]), channel)
    if subject.grouped:
        y = read_ys[0] - (6 if group else 6 + _RULER)
        layout.over.append(
            Label(columns.read, y, f"group {group}", f"{subject.hues(group)[0]}-ink", 11.5, "start")
        )
    middles = [y + read_height / 2 for y in read_ys]
    for index, (channel, y) in enumerate(zip(written, row_ys, strict=True)):
        middle = y + row_height / 2
        if subject.has_kernel:
            at = columns.kernel + (index * columns.pitch if subject.spread else 0)
            for kernel_middle in middles if subject.spread else [middle]:
                corner = kernel_middle - (scene.rows.extent * cell - depth) / 2
                _kernel(subject, layout, Sheet(at, corner, cell, subject.hues(group)[1]), channel)
        corner = middle - scene.written_size[0] * cell / 2
        _written(subject, layout, Sheet(columns.written, corner, cell, subject.hues(group)[2]), channel)
        _operators(subject, layout, columns, group, channel, middle)
    if subject.has_kernel:
        layout.over.append(Label(columns.times, top + height / 2 + 8, "*", "strong", 20))
    if hidden:
        x, y = columns.written if subject.spread else columns.kernel, row_ys[-1] + row_height + _BETWEEN
        layout.over.append(Label(x, y, f"… and {hidden} more", "muted", 12, "start"))
    return top + height


def _stacked(top: float, height: float, count: int) -> list[float]:
    return [top + i * (height + _BETWEEN) for i in range(count)]


def _operators(
    subject: _Subject, layout: Layout, columns: _Columns, group: int, channel: int, middle: float
) -> None:
    layout.over.append(Label(columns.equals, middle + 7, "=", "strong", 20))
    if subject.scene.rule is not Rule.SUM:
        layout.over.append(Label(columns.equals, middle - 8, subject.scene.rule.value, "muted", 12))
    if subject.bias and subject.has_kernel:
        numbers, cell = subject.numbers, max(layout.cell, _CHIP)
        chip = Sheet(columns.equals - 20 - cell, middle - cell / 2, cell, subject.hues(group)[1])
        bias = None if numbers is None else numbers.bias
        layout.under.append(chip.box(0, 0, 1, 1, f"{chip.hue}-tint"))
        layout.over.append(chip.label(0, 0, "b" if bias is None else text(bias[channel]), "ink"))
        layout.over.append(Label(chip.x - 14, middle + 6, "+", "strong", 18))


def _read(subject: _Subject, layout: Layout, sheet: Sheet, channel: int) -> None:
    scene, numbers = subject.scene, subject.numbers
    size = len(scene.rows.places), len(scene.columns.places)
    lift = 0
    if not subject.spread:
        padded = size != (
            len({p.source for p in scene.rows.places}),
            len({p.source for p in scene.columns.places}),
        )
        layout.under += sheets.pile(
            sheet, *size, subject.read_each, "faint" if padded else f"{sheet.hue}-tint"
        )
        lift = sheets.depth(subject.read_each) * sheets.STEP
    layout.under += sheets.field(scene, sheet)
    if not layout.read:
        layout.over += sheets.rulers(sheet, sheets.segments(scene.rows), sheets.segments(scene.columns), lift)
    value = None
    if numbers is not None:
        given = numbers

        def value(row: int, column: int) -> str:
            return text(cell_value(scene, given, channel, row, column))

    layout.over += sheets.contents(scene, sheet, value)
    layout.read[channel] = sheet


def _kernel(subject: _Subject, layout: Layout, sheet: Sheet, channel: int) -> None:
    scene = subject.scene
    known = layout.kernels.setdefault(channel, [])
    if not subject.spread:
        size = scene.rows.extent, scene.columns.extent
        layout.under += sheets.pile(sheet, *size, subject.read_each, f"{sheet.hue}-tint")
    layout.under += sheets.kernel(
        scene, sheet, kernel_values(subject.scene, subject.numbers, channel, len(known))
    )
    known.append(sheet)


def kernel_values(
    scene: Scene, numbers: Numbers | None, channel: int, index: int
) -> Sequence[Sequence[str]] | None:
    """What stands in a kernel, [i][j]: its numbers; where it is turned, the taps' numbers; else nothing."""
    if numbers is not None:
        plane = taps(scene, numbers, channel, reads(scene, channel)[index])
        return [[text(value) for value in row] for row in plane]
    if scene.transposed:
        height, width = scene.geometry.kernel_size
        return [[str(i * width + j) for j in range(width)] for i in range(height)]
    return None


def _written(subject: _Subject, layout: Layout, sheet: Sheet, channel: int) -> None:
    height, width = subject.scene.written_size
    layout.under += sheets.blank(sheet, height, width)
    if not layout.written:
        layout.over += sheets.rulers(sheet, (height,), (width,))
    layout.written[channel] = sheet
