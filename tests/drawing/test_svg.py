"""SVG: each frame of the animation is the still of that frame; no script; said in words too."""

from __future__ import annotations

import pytest
import torch

from drawing import cases
from drawing.parsing import Document
from tatamu.drawing import svg
from tatamu.drawing.compose import compose
from tatamu.drawing.numbers import Numbers
from tatamu.drawing.scene import Scene
from tatamu.drawing.shapes import Drawing
from tatamu.geometry import Geometry


def numbers(geometry: Geometry) -> Numbers:
    input = torch.randint(-4, 6, geometry.input_size).double()
    weight, bias = torch.randn(geometry.weight_size).double(), torch.randn(geometry.out_channels).double()
    output = cases.output(geometry, input, weight, bias)
    return Numbers(input[0].tolist(), weight.tolist(), output[0].tolist(), bias.tolist())


def drawings() -> list[Drawing]:
    found = []
    for _ in range(3):
        geometry = cases.geometry(channels=True)
        found.append(compose(Scene.of(geometry), bias=True))
        found.append(compose(Scene.of(geometry), numbers(geometry), bias=True))
        found.append(compose(Scene.of(geometry, transposed=True)))
    return found


def test_each_frame_of_the_animation_is_the_still_of_that_frame() -> None:
    for drawing in drawings():
        animation = Document(svg.animated(drawing))
        assert animation.seconds == pytest.approx(drawing.seconds * (drawing.frames + 1), abs=0.01)
        for frame in range(drawing.frames):
            at = 100 * (frame + 0.5) / (drawing.frames + 1)
            assert animation.seen(at) == Document(svg.still(drawing, frame)).seen(), drawing.title


def test_where_nothing_moves_the_best_frame_is_seen() -> None:
    for drawing in drawings():
        assert Document(svg.animated(drawing)).seen() == Document(svg.still(drawing, drawing.still)).seen()


def test_it_has_no_script_loads_nothing_and_is_described() -> None:
    for drawing in drawings():
        text = svg.animated(drawing)
        document = Document(text)
        assert {child.tag for child in document.root.iter()} <= {
            f"{{http://www.w3.org/2000/svg}}{name}"
            for name in ("svg", "title", "desc", "style", "g", "path", "rect", "text")
        }
        assert "url(" not in text
        assert "href" not in text
        title, description, *_ = document.root
        assert title.text == drawing.title
        assert description.text == drawing.description
        assert document.root.get("aria-labelledby") == "t d"


def test_it_follows_the_readers_wishes() -> None:
    text = svg.animated(drawings()[0])
    assert "@media(prefers-color-scheme:dark){" in text
    assert "@media(prefers-reduced-motion:reduce){.a{animation:none}}" in text
