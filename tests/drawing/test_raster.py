"""PNG and GIF: as large as the drawing, one picture for each frame, the same things in the same places."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops

from drawing import cases
from tatamu.drawing import raster
from tatamu.drawing.compose import compose
from tatamu.drawing.palette import paints
from tatamu.drawing.scene import Scene
from tatamu.drawing.shapes import Box, Drawing, Label
from tatamu.geometry import Convolution, Geometry


@pytest.fixture
def drawing() -> Drawing:
    geometry = Geometry.of((1, 1, 4, 5), (1, 1, 3, 2), Convolution((1, 2), ((1, 1), (0, 1))))
    return compose(Scene.of(geometry), bias=True)


def near(a: tuple[int, ...], b: tuple[int, ...], tolerance: int) -> bool:
    return all(abs(p - q) <= tolerance for p, q in zip(a, b, strict=True))


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def test_a_png_shows_the_cell_that_is_written_in_each_frame(drawing: Drawing) -> None:
    for frame in (0, 1, drawing.frames - 1):
        image = Image.open(io.BytesIO(raster.png(drawing, frame)))
        assert image.size == (2 * drawing.width, 2 * drawing.height)
        cells = [(shape, dx, dy) for shape, dx, dy in drawing.at(frame) if shape.style == "green-edge"]
        ((shape, dx, dy),) = cells
        assert isinstance(shape, Box)
        inside = image.convert("RGB").getpixel((2 * (shape.x + dx + 8), 2 * (shape.y + dy + 8)))
        border = image.convert("RGB").getpixel((2 * (shape.x + dx), 2 * (shape.y + dy + 8)))
        look = paints("light")
        assert near(inside, rgb(look["green-tint"].fill), 4)
        assert near(border, rgb(look["green-edge"].stroke), 40)


def test_a_gif_has_every_frame_for_as_long_as_it_is_to_be_seen(drawing: Drawing) -> None:
    image = Image.open(io.BytesIO(raster.gif(drawing)))
    assert image.size == (drawing.width, drawing.height)
    assert image.n_frames == drawing.frames
    assert image.info["loop"] == 0
    for frame in range(drawing.frames):
        image.seek(frame)
        seconds = drawing.seconds * (2 if frame == drawing.frames - 1 else 1)
        assert image.info["duration"] == pytest.approx(1000 * seconds, abs=10)


def test_the_frames_of_a_gif_look_like_those_of_the_pngs(drawing: Drawing) -> None:
    image = Image.open(io.BytesIO(raster.gif(drawing)))
    for frame in (0, drawing.frames // 2):
        image.seek(frame)
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        theirs = Image.open(io.BytesIO(raster.png(drawing, frame))).convert("RGB").resize(image.size)
        difference = ImageChops.difference(image.convert("RGB"), theirs).convert("L")
        assert sum(difference.histogram()[24:]) < 0.004 * image.width * image.height


def test_every_sign_is_in_the_type_it_is_written_with() -> None:
    missing = bytes(raster._font(30).getmask("\ue000"))
    for transposed in (False, True):
        for _ in range(5):
            it = compose(Scene.of(cases.geometry(channels=True), transposed=transposed), bias=True)
            for layer in it.layers:
                for shape in getattr(layer, "shapes", (layer,)):
                    if isinstance(shape, Label):
                        for sign in shape.text.translate(raster._SPELLED).replace(" ", ""):
                            assert bytes(raster._font(30).getmask(sign)) != missing, sign
