"""The numbers in a picture: whose they are, how they are written, and the sum that one of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import isclose, isfinite

from tatamu.drawing.scene import Frame, Rule, Scene

Plane = Sequence[Sequence[float]]
"""[row][column]"""


@dataclass(frozen=True)
class Numbers:
    """What stands in the cells.

    Attributes:
        read: a plane for each channel of the map that is read.
        weight: [out_channel][in_channel of its group]: a plane of taps. Empty where no products are summed.
        written: a plane for each channel of the map that is written, as the layer computed it.
        bias: one for each channel that is written, or None.
    """

    read: Sequence[Plane]
    weight: Sequence[Sequence[Plane]]
    written: Sequence[Plane]
    bias: Sequence[float] | None = None

    @property
    def whole(self) -> bool:
        """Whether all that was given is whole numbers, which need less room."""
        planes = chain(self.read, *self.weight)
        return all(float(value).is_integer() for plane in planes for row in plane for value in row)


@dataclass(frozen=True)
class Formula:
    """How a number that is written comes about.

    Attributes:
        head: what it is, and the operation that opens: 'output[0, 1] ='.
        blocks: for each channel that is read, and each window in it, the terms as they lie in the kernel,
            with the sign or the comma between them.
        tail: the bias, what closes the operation, and the result.
    """

    head: str
    blocks: tuple[tuple[tuple[str, ...], ...], ...]
    tail: str


def text(value: float) -> str:
    """A number in some five characters: two or three decimals, or one digit and an exponent."""
    if not isfinite(value):
        return str(value).replace("-", "−").replace("inf", "∞")
    if value == int(value) and abs(value) < 1e5:
        written = str(int(value))
    elif 0.1 <= abs(value) < 100:
        written = f"{value:.2f}".rstrip("0").rstrip(".")
    elif 100 <= abs(value) < 1e5:
        written = f"{value:.0f}"
    elif 0.001 <= abs(value) < 0.1:
        written = f"{value:.3f}".rstrip("0")
    else:
        written = f"{value:.0e}"
    return written.replace("-", "−")


def cell_value(scene: Scene, numbers: Numbers, channel: int, row: int, column: int) -> float:
    """What a cell of the map that is read holds; in a maximum, padding is less than every number."""
    pixel = scene.source(row, column)
    if pixel is None:
        return float("-inf") if scene.rule is Rule.MAXIMUM else 0
    return numbers.read[channel][pixel[0]][pixel[1]]


def reads(scene: Scene, channel: int) -> range:
    """The channels that are read where this one is written: those of its group."""
    each = scene.read_channels // scene.geometry.groups
    group = channel // (scene.written_channels // scene.geometry.groups)
    return range(group * each, (group + 1) * each)


def taps(scene: Scene, numbers: Numbers, written: int, read: int) -> Plane:
    """The weight between two channels, [i][j], not turned."""
    out, into = (read, written) if scene.transposed else (written, read)
    return numbers.weight[out][into % (scene.geometry.in_channels // scene.geometry.groups)]


def formula(scene: Scene, numbers: Numbers, frame: Frame) -> Formula:
    """The sum, mean or maximum that is written in a frame; the frame has a channel."""
    channel = frame.channel or 0
    name = "grad" if scene.transposed else "output"
    index = f"{frame.row}, {frame.column}"
    if scene.written_channels > 1:
        index = f"{channel}, {index}"
    result = numbers.written[channel][frame.row][frame.column]
    blocks, first = [], True
    for read in reads(scene, channel):
        weight = taps(scene, numbers, channel, read) if scene.rule is Rule.SUM else None
        for window in scene.windows(frame):
            lines: dict[int, list[str]] = {}
            for cell in scene.cells(window):
                value = cell_value(scene, numbers, read, cell.row, cell.column)
                factor = None if weight is None else weight[cell.tap[0]][cell.tap[1]]
                lines.setdefault(cell.row, []).append(_term(scene.rule, factor, value, first))
                first = False
            blocks.append(tuple(map(tuple, lines.values())))
    if scene.rule is Rule.MAXIMUM:
        blocks[-1] = _without_last_comma(blocks[-1])
    opens, closes = {
        Rule.SUM: ("", ""),
        Rule.MEAN: ("(", f") / {len(scene.rows.taps) * len(scene.columns.taps)}"),
        Rule.MAXIMUM: ("max(", ")"),
    }[scene.rule]
    bias = "" if numbers.bias is None else f"{_signed(numbers.bias[channel], first=False)} "
    rounded = scene.rule is Rule.MEAN and not isclose(result, round(result, 2), abs_tol=1e-6)
    return Formula(
        f"{name}[{index}] = {opens}",
        tuple(blocks),
        f"{closes} {bias}{'≈' if rounded else '='} {text(result)}".strip(),
    )


def _without_last_comma(block: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    *lines, last = block
    return (*lines, (*last[:-1], last[-1].rstrip(",")))


def _term(rule: Rule, weight: float | None, value: float, first: bool) -> str:
    if rule is Rule.MAXIMUM:
        return f"{text(value)},"
    if weight is None:
        return _signed(value, first)
    factor = text(value)
    return f"{_signed(weight, first)}·{f'({factor})' if factor.startswith('−') else factor}"


def _signed(value: float, first: bool) -> str:
    """A number that is added to what stands before it."""
    written = text(value)
    if first:
        return written
    return f"− {written[1:]}" if written.startswith("−") else f"+ {written}"
