"""The input on which a layer is best seen, and a layer's picture from its arguments alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import prod

from tatamu import validate
from tatamu.drawing.compose import LARGEST, compose
from tatamu.drawing.picture import Picture
from tatamu.drawing.scene import Scene
from tatamu.errors import PictureTooLargeError, TatamuError
from tatamu.geometry import Axis, Geometry

_USUAL = 5
"""Pixels along an axis, where they are enough."""
_OUTPUTS = 3
"""Positions that are written along an axis, where they fit into the picture."""
_AMPLE = 1 << 30


def geometry(
    channels: int,
    size: tuple[int, int] | None,
    weight_size: Sequence[int],
    stride: object,
    padding: object,
    dilation: object,
    groups: int,
    padding_mode: str,
) -> Geometry:
    """The geometry of a layer's arguments on an input of `size` (height, width), or on a fitting one.

    Raises:
        TatamuError: what the layer itself would raise.
        PictureTooLargeError: no input is small enough to draw, and none was given.
    """

    def on(height: int, width: int) -> Geometry:
        shape = (channels, height, width)
        convolution = validate.resolve(
            shape, weight_size, None, stride, padding, dilation, groups, padding_mode
        )
        o, c, kh, kw = weight_size
        return Geometry.of((1, *shape), (o, c, kh, kw), convolution)

    if size is not None:
        return on(*size)
    # An input that everything fits into says what a few windows take of each axis.
    ample = on(_AMPLE, _AMPLE)
    return on(_best(ample.rows), _best(ample.columns))


def _best(axis: Axis) -> int:
    padding = axis.before + axis.after
    for outputs in range(_OUTPUTS, 0, -1):
        windows = axis.effective_kernel + axis.stride * (outputs - 1)
        size = max(_USUAL, windows - padding, axis.before + 1, axis.after + 1)
        if size + padding <= LARGEST:
            return size
    raise PictureTooLargeError.of_cells(max(axis.effective_kernel, padding + _USUAL), LARGEST, numbers=False)


def layer_html(
    name: str,
    weight_size: Sequence[int],
    bias: bool,
    stride: object,
    padding: object,
    dilation: object,
    groups: int,
    padding_mode: str,
) -> str:
    """A layer as a notebook shows it: its line of Python, its parameters, and its picture on a small input.

    Where there is nothing to draw, or too much, the line stands alone.
    """
    text = f"<code>{escape(name)}</code>"
    if len(weight_size) != 4 or min(weight_size) <= 0:
        return text
    count = prod(weight_size) + (weight_size[0] if bias else 0)
    parts = f"weight {tuple(weight_size)}" + (f", bias ({weight_size[0]},)" if bias else "")
    text += f"<br>{parts}: {count:,} parameters"
    try:
        seen = geometry(
            weight_size[1] * groups, None, weight_size, stride, padding, dilation, groups, padding_mode
        )
        picture = Picture(compose(Scene.of(seen), bias=bias))
    except TatamuError:
        return text
    _, in_channels, height, width = seen.input_size
    _, out_channels, out_height, out_width = seen.output_size
    sizes = f"(N, {in_channels}, {height}, {width}) → (N, {out_channels}, {out_height}, {out_width})"
    return f"{text}<br>for example {sizes}:<br>{picture._repr_html_()}"
