"""What a picture says in words: its title, its sizes, and each frame."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tatamu.drawing.scene import Frame, Kind, Scene
from tatamu.geometry import Axis, Geometry


def size(height: int, width: int) -> str:
    """A size as (height, width), in that order."""
    return f"{height} × {width}"


def call(geometry: Geometry, bias: bool, padding: object = None) -> str:
    """The line of Python that makes the layer, without its defaults; `padding` as given, if by name."""
    arguments = [
        str(geometry.in_channels),
        str(geometry.out_channels),
        f"kernel_size={pair(geometry.kernel_size)}",
    ]
    convolution = geometry.convolution
    for name, value, default in (
        ("stride", pair(convolution.stride), "1"),
        ("padding", repr(padding) if isinstance(padding, str) else _padding(geometry), "0"),
        ("dilation", pair(convolution.dilation), "1"),
        ("groups", str(geometry.groups), "1"),
        ("bias", str(bias), "True"),
        ("padding_mode", repr(geometry.padding_mode), "'zeros'"),
    ):
        if value != default:
            arguments.append(f"{name}={value}")
    return f"Conv2d({', '.join(arguments)})"


def arithmetic(scene: Scene) -> list[str]:
    """How the size that is written comes about: a line for both axes, or one for each."""
    geometry = scene.geometry
    rows, columns = (_formula(axis, scene.transposed) for axis in (geometry.rows, geometry.columns))
    return [f"height and width: {rows}"] if rows == columns else [f"height: {rows}", f"width: {columns}"]


def caption(scene: Scene, frame: Frame) -> str:
    """One frame: what is written, from what."""
    names = [
        _range(track_read, name)
        for track_read, name in zip(_read(scene, frame), ("row", "column"), strict=True)
    ]
    if scene.transposed:
        where = f"gradient of input row {frame.row}, column {frame.column}"
        if not all(names):
            return f"{where}: no output reads this pixel, its gradient is 0"
        return f"{where}: collected from output {names[0]}, {names[1]}"
    cells = [cell for window in scene.windows(frame) for cell in scene.cells(window)]
    outside = sum(scene.kind(cell.row, cell.column) is not Kind.PIXEL for cell in cells)
    where = f"output row {frame.row}, column {frame.column} reads {names[0]}, {names[1]}"
    return f"{where}; {outside} of {len(cells)} taps in the padding" if outside else where


def description(scene: Scene) -> str:
    """The whole picture, for those who do not see it."""
    geometry = scene.geometry
    output = planes(geometry.out_channels, geometry.rows.output, geometry.columns.output)
    read = planes(geometry.in_channels, geometry.rows.size, geometry.columns.size)
    if scene.transposed:
        return (
            f"The gradient of the output, {output}, becomes the gradient of the input, {read}. The former is "
            "spread by the stride, with zeros between; the kernel, turned by 180°, moves over it."
        )
    zeros = "zeros" if geometry.padding_mode == "zeros" else f"padding mode {geometry.padding_mode}"
    (top, bottom), (left, right) = geometry.padding
    padding = f", with padding {top} above, {bottom} below, {left} left, {right} right ({zeros})"
    padding = padding if any((top, bottom, left, right)) else ""
    unread = len(scene.rows.unread), len(scene.columns.unread)
    return (
        f"The input, {read}{padding}, becomes the output, {output}. "
        f"A kernel of {size(*geometry.kernel_size)} taps moves over it in steps of "
        f"{pair(geometry.convolution.stride)}."
        + (f" {unread[0]} rows and {unread[1]} columns are never read." if any(unread) else "")
    )


def planes(channels: int, height: int, width: int) -> str:
    """A size as (channels, height, width); a single channel is not mentioned."""
    return size(height, width) if channels == 1 else f"{channels} × {size(height, width)}"


def _read(scene: Scene, frame: Frame) -> list[list[int]]:
    """The positions under the taps, rows and columns, from the first pixel; in a gradient no zeros."""
    found = []
    for track, position in ((scene.rows, frame.row), (scene.columns, frame.column)):
        places = sorted({place for window in track.windows[position] for place in track.under(window)})
        if scene.transposed:
            pixels = {track.places[place].source for place in places}
            found.append(sorted(pixel for pixel in pixels if pixel is not None))
        else:
            found.append([place - track.pixel_place(0) for place in places])
    return found


def _range(positions: Sequence[int], name: str) -> str:
    if not positions:
        return ""
    low, high = (str(position).replace("-", "−") for position in (positions[0], positions[-1]))
    if len(positions) == 1:
        return f"{name} {low}"
    steps = {b - a for a, b in pairwise(positions)}
    if steps == {1}:
        return f"{name}s {low} to {high}"
    return f"{name}s {', '.join(map(str, positions))}".replace("-", "−")


def pair(pair: tuple[int, int]) -> str:
    """An argument of one number for each axis, as Python has it."""
    return str(pair[0]) if pair[0] == pair[1] else str(pair)


def _padding(geometry: Geometry) -> str:
    (top, bottom), (left, right) = geometry.padding
    if top == bottom and left == right:
        return pair((top, left))
    return str(geometry.padding)


def _formula(axis: Axis, transposed: bool) -> str:
    if not transposed:
        return axis.formula.replace(" - ", " − ")
    return (
        f"({axis.output} − 1)·{axis.stride} − {axis.before} − {axis.after} + "
        f"{axis.dilation}·({axis.kernel} − 1) + {axis.left_over} + 1 = {axis.size}"
    )
