"""A drawing as PNG or GIF, its shapes drawn with Pillow.

Drawn three times as large and made smaller, so that edges are smooth. Always on light paper. The type is the
one that Pillow brings along, so a picture looks the same everywhere; signs that it has not are written with
those it has.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import hypot
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tatamu.drawing.palette import Paint, paints
from tatamu.drawing.shapes import Box, Drawing, Label, Lines, Shape

_FINE, _COARSE = 3, 2
"""Pixels for each unit of a drawing: as drawn, and in the file of a PNG."""
_SPELLED = str.maketrans({"×": "x", "−": "-", "≈": "~", "∞": "inf"})
_CANDIDATES, _NEAR = 4000, 30
"""So many of a GIF's commonest colours are looked at; the distance from which two are told apart."""
_DASH, _GAP = 3.0, 2.0


def png(drawing: Drawing, frame: int) -> bytes:
    """One frame as a PNG file, in two pixels for each unit of the drawing."""
    file = io.BytesIO()
    _picture(drawing, frame, _COARSE).save(file, "PNG", optimize=True)
    return file.getvalue()


def gif(drawing: Drawing) -> bytes:
    """All frames as a GIF file that plays over and over."""
    pictures = [_picture(drawing, frame, 1) for frame in range(drawing.frames)]
    table = _palette(pictures)
    frames = [picture.quantize(palette=table, dither=Image.Dither.NONE) for picture in pictures]
    milliseconds = [round(1000 * drawing.seconds)] * drawing.frames
    milliseconds[-1] *= 2
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
    return file.getvalue()


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """The colours that most of the pictures is painted with, exactly, none near one before it.

    Shades of smooth edges take the nearest. One palette serves all frames, or colours would flicker.
    """
    counted: Counter[Any] = Counter()
    for picture in pictures:
        for count, colour in picture.getcolors(picture.width * picture.height) or []:
            counted[colour] += count
    chosen: list[Any] = []
    for colour, _ in counted.most_common(_CANDIDATES):
        if all(sum(abs(a - b) for a, b in zip(colour, other, strict=True)) > _NEAR for other in chosen):
            chosen.append(colour)
    table = Image.new("P", (1, 1))
    table.putpalette([part for colour in chosen[:256] for part in colour])
    return table


def _picture(drawing: Drawing, frame: int, scale: int) -> Image.Image:
    look = paints("light")
    size = int(drawing.width) * _FINE, int(drawing.height) * _FINE
    image = Image.new("RGB", size, look["paper"].fill)
    canvas = ImageDraw.Draw(image)
    for shape, x, y in drawing.at(frame):
        _draw(image, canvas, shape, (x, y), look[shape.style])
    return image.resize((int(drawing.width) * scale, int(drawing.height) * scale), Image.Resampling.LANCZOS)


def _draw(
    image: Image.Image, canvas: ImageDraw.ImageDraw, shape: Shape, offset: tuple[float, float], paint: Paint
) -> None:
    dx, dy = offset
    if isinstance(shape, Box):
        _box(
            image,
            canvas,
            (shape.x + dx, shape.y + dy, shape.x + dx + shape.width, shape.y + dy + shape.height),
            paint,
        )
    elif isinstance(shape, Lines):
        for x1, y1, x2, y2 in shape.segments:
            _line(canvas, (x1 + dx, y1 + dy, x2 + dx, y2 + dy), paint)
    else:
        _label(canvas, shape, offset, paint)


def _box(
    image: Image.Image, canvas: ImageDraw.ImageDraw, box: tuple[float, float, float, float], paint: Paint
) -> None:
    x1, y1, x2, y2 = box
    if paint.fill is not None:
        left, top, right, bottom = (round(_FINE * value) for value in box)
        if paint.opacity < 1:
            below = image.crop((left, top, right, bottom))
            glow = Image.blend(below, Image.new("RGB", below.size, paint.fill), paint.opacity)
            image.paste(glow, (left, top))
        else:
            canvas.rectangle((left, top, right, bottom), paint.fill)
    if paint.stroke is not None:
        for line in ((x1, y1, x2, y1), (x2, y1, x2, y2), (x2, y2, x1, y2), (x1, y2, x1, y1)):
            _line(canvas, line, paint)


def _line(canvas: ImageDraw.ImageDraw, line: tuple[float, float, float, float], paint: Paint) -> None:
    width = max(1, round(_FINE * paint.width))
    for piece in _dashes(line) if paint.dashed else [line]:
        x1, y1, x2, y2 = (_FINE * value for value in piece)
        # Square ends, so that the corners of a box are closed.
        reach = (width - 1) / 2 if not paint.dashed and (x1 == x2 or y1 == y2) else 0
        along_x, along_y = (reach if y1 == y2 else 0), (reach if x1 == x2 else 0)
        low_x, high_x, low_y, high_y = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        if reach:
            x1, x2, y1, y2 = low_x - along_x, high_x + along_x, low_y - along_y, high_y + along_y
        canvas.line((x1, y1, x2, y2), paint.stroke, width)


def _dashes(line: tuple[float, float, float, float]) -> Iterator[tuple[float, float, float, float]]:
    x1, y1, x2, y2 = line
    length = hypot(x2 - x1, y2 - y1)
    at = 0.0
    while at < length:
        begin, end = at / length, min(at + _DASH, length) / length
        yield x1 + begin * (x2 - x1), y1 + begin * (y2 - y1), x1 + end * (x2 - x1), y1 + end * (y2 - y1)
        at += _DASH + _GAP


def _label(canvas: ImageDraw.ImageDraw, label: Label, offset: tuple[float, float], paint: Paint) -> None:
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[label.anchor]
    at = _FINE * (label.x + offset[0]), _FINE * (label.y + offset[1])
    font = _font(_FINE * label.size)
    bold = label.size * _FINE / 40 if paint.bold else 0
    canvas.text(at, label.text.translate(_SPELLED), paint.fill, font, anchor, stroke_width=bold)


@lru_cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
