"""A picture in every form, chosen by the ending of the file's name."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from drawing.parsing import Document
from tatamu.drawing.compose import compose
from tatamu.drawing.picture import Picture
from tatamu.drawing.scene import Scene
from tatamu.errors import PictureFormError, PictureFrameError, PictureTooLargeError
from tatamu.geometry import Convolution, Geometry


def geometry(size: int, kernel: int, channels: int = 1) -> Geometry:
    return Geometry.of((1, channels, size, size), (1, channels, kernel, kernel), Convolution())


PICTURE = Picture(compose(Scene.of(geometry(4, 3))))


@pytest.mark.parametrize(
    ("ending", "begins"),
    [
        ("svg", b"<svg "),
        ("SVG", b"<svg "),
        ("png", b"\x89PNG"),
        ("gif", b"GIF89a"),
        ("html", b"<!doctype html>"),
    ],
)
def test_the_ending_chooses_the_form(ending: str, begins: bytes, tmp_path: Path) -> None:
    path = PICTURE.save(str(tmp_path / f"conv.{ending}"))
    assert path == tmp_path / f"conv.{ending}"
    assert path.read_bytes().startswith(begins)


def test_a_frame_is_a_still(tmp_path: Path) -> None:
    text = PICTURE.save(tmp_path / "one.svg", frame=2).read_text(encoding="utf-8")
    assert "@keyframes" not in text
    assert "output row 1, column 0" in text
    assert PICTURE.save(tmp_path / "a.png", frame=0).read_bytes() != PICTURE.png(3)
    assert PICTURE.png() == PICTURE.png(PICTURE.best_frame)


@pytest.mark.parametrize("name", ["conv.jpg", "conv", ".svg"])
def test_another_ending_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        PictureFormError, match=r"should end in '\.svg', '\.gif', '\.png' or '\.html', but got"
    ):
        PICTURE.save(tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["conv.gif", "conv.html"])
def test_what_shows_all_frames_shows_no_single_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(PictureFormError, match="would show all frames"):
        PICTURE.save(tmp_path / name, frame=0)


@pytest.mark.parametrize("frame", [-1, 4])
def test_a_frame_that_there_is_not(frame: int) -> None:
    with pytest.raises(PictureFrameError, match=rf"has 4 frames, 0 to 3, but got frame {frame}$"):
        PICTURE.svg(frame)


def test_a_notebook_gets_an_image_that_cannot_touch_its_styles() -> None:
    html = PICTURE._repr_html_()
    found = re.fullmatch(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)">', html)
    assert found is not None
    assert Document(base64.b64decode(found[1]).decode()).seconds > 0
    assert found[2].startswith(
        "Conv2d(1, 1, kernel_size=3, bias=False). The input, 4 × 4, becomes the output"
    )


def test_a_single_position_needs_no_animation() -> None:
    assert "@keyframes" not in Picture(compose(Scene.of(geometry(3, 3)))).svg()


@pytest.mark.parametrize(
    ("too_large", "sentence"),
    [
        (geometry(41, 3), "41 cells long, and at most 40"),
        (geometry(40, 3), "1444 frames, one for each position"),
    ],
)
def test_what_is_too_large_to_be_seen_is_refused(too_large: Geometry, sentence: str) -> None:
    with pytest.raises(PictureTooLargeError, match=sentence):
        compose(Scene.of(too_large))
