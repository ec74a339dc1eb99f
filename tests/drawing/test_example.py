"""A layer shows itself in a notebook: whatever it is, at once, and with its shapes."""

from __future__ import annotations

import base64
import random
import re
import time
from collections.abc import Iterator

import pytest
import torch

import tatamu
from tatamu.drawing import example


def layers() -> Iterator[tatamu.Conv2d]:
    """Layers of every kind, on meta: their weights are not asked for."""
    for _ in range(150):
        groups = random.choice([1, 1, 2, 3, 32])
        channels = [groups * random.choice([1, 2, 5, 64]) for _ in range(2)]
        kernel = random.choice([1, 2, 3, (3, 5), 7, 16, 31, (1, 100)])
        padding = random.choice(
            [0, 1, 3, (2, 0), ((0, 1), (2, 3)), "same", "valid", "same_upper", "same_lower", 60]
        )
        stride = 1 if padding == "same" else random.choice([1, 2, 3, (1, 2), 16, 50])
        mode = random.choice(["zeros", "reflect", "replicate", "circular"])
        yield tatamu.Conv2d(
            *channels,
            kernel,
            stride,
            padding,
            random.choice([1, 2, (3, 1), 40]),
            groups,
            random.random() < 0.5,
            mode,
            device="meta",
        )


def picture(html: str) -> str:
    """The SVG document in a layer's HTML; empty if there is none."""
    found = re.search(r"base64,([^\"]+)\"", html)
    return base64.b64decode(found[1]).decode() if found else ""


def test_every_layer_shows_itself_and_says_its_shapes() -> None:
    drawn = 0
    for layer in layers():
        html = layer._repr_html_()
        assert repr(layer).replace("'", "&#x27;") in html
        assert f"weight {tuple(layer.weight.shape)}" in html
        assert ("bias (" in html) == (layer.bias is not None)
        assert layer.bias is None or f"bias {tuple(layer.bias.shape)}" in html
        assert f"{sum(it.numel() for it in layer.parameters()):,} parameters" in html
        sizes = re.search(r"for example \(N, (\d+), (\d+), (\d+)\) → \(N, (\d+), (\d+), (\d+)\)", html)
        assert (sizes is None) == (picture(html) == "")
        if sizes is not None:
            c, h, w, *output = map(int, sizes.groups())
            assert list(layer(torch.empty(1, c, h, w, device="meta")).shape[1:]) == output
            drawn += 1
    assert drawn > 50


def test_it_is_made_at_once() -> None:
    layer = tatamu.Conv2d(256, 512, 7, 2, 3, groups=2, device="meta")
    layer._repr_html_()
    begin = time.perf_counter()
    for _ in range(5):
        layer._repr_html_()
    assert (time.perf_counter() - begin) / 5 < 0.2


def test_a_layer_that_has_seen_no_input_shows_its_line() -> None:
    layer = tatamu.LazyConv2d(8, 3)
    assert layer._repr_html_() == "<code>LazyConv2d(0, 8, kernel_size=(3, 3), stride=(1, 1))</code>"


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ((3,), (5, 5)),
        ((7,), (9, 9)),
        ((1, 2), (5, 5)),
        ((3, 1, 1), (5, 5)),
        ((16, 16), (32, 32)),
        (((1, 9),), (5, 11)),
    ],
)
def test_the_input_is_one_on_which_the_layer_can_be_seen(
    arguments: tuple[int, ...], size: tuple[int, int]
) -> None:
    layer = tatamu.Conv2d(1, 1, *arguments)
    rest = layer.stride, layer.padding, layer.dilation, 1, "zeros"
    found = example.geometry(1, None, layer.weight.shape, *rest)
    assert found.input_size[2:] == size
