"""Sizes behind layers, against torch's layers on real images."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import nn

import tatamu
from tatamu.tracing import extents, layers


def really(layer: nn.Module, channels: int, size: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        with torch.no_grad():
            return tuple(layer(torch.zeros(1, channels, *size)).shape[2:])
    except RuntimeError:
        return None


def some_layer(kind: type[nn.Module]) -> nn.Module:
    """A layer of a kind, with arguments at random."""
    pick: Any = random.choice
    kernel, padding = pick([1, 2, 3, 5, (3, 1), (2, 5)]), pick([0, 1])
    stride, dilation, ceil = pick([1, 2, (1, 3)]), pick([1, 2]), pick([True, False])
    mode = pick(["zeros", "reflect", "circular", "replicate"])
    more = pick([0, 1, (1, 0)])
    make: dict[type[nn.Module], Any] = {
        nn.Conv2d: lambda: kind(
            2, 2, kernel, stride, pick([padding, 2, (0, 1)]), dilation, padding_mode=mode
        ),
        nn.ConvTranspose2d: lambda: kind(2, 2, kernel, stride, padding, more, dilation=dilation),
        nn.MaxPool2d: lambda: kind(kernel, pick([None, stride]), padding, dilation, ceil_mode=ceil),
        nn.AvgPool2d: lambda: kind(kernel, pick([None, stride]), padding, ceil_mode=ceil),
        nn.Upsample: lambda: kind(
            **pick([{"scale_factor": 2}, {"scale_factor": 1.5}, {"size": 5}, {"size": (3, 4)}])
        ),
        nn.ZeroPad2d: lambda: kind(pick([1, (1, 2, 0, 3)])),
    }
    make[tatamu.Conv2d] = make[nn.Conv2d]
    made: nn.Module = make.get(kind, lambda: kind(2))()
    return made


KINDS = [
    nn.Conv2d, tatamu.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.Upsample, nn.ZeroPad2d,
    nn.PixelShuffle, nn.PixelUnshuffle,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_extent_is_torchs(kind: type[nn.Module]) -> None:
    fitting = 0
    for _ in range(40):
        layer = some_layer(kind)
        size = random.choice([(6, 6), (7, 5), (3, 8), (2, 2)])
        channels = 4 if kind is nn.PixelShuffle else 2
        seen = really(layer, channels, size)
        assert extents.extent(layer, layers.arguments(layer), size) == seen, f"{layer} on {size}"
        fitting += seen is not None
    assert fitting > 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_gives_what_it_says(kind: type[nn.Module]) -> None:
    size, channels = (8, 8), 144 if kind is nn.PixelShuffle else 2
    for _ in range(4):
        layer = some_layer(kind)
        now = really(layer, channels, size)
        for argument, value, extent, cost in extents.variants(layer, size):
            changed = layers.changed(layer, **{argument: value})
            assert really(changed, channels, size) == extent, f"{argument}={value} in {layer}"
            assert extent != now
            assert cost >= 0


def test_the_plainest_comes_first() -> None:
    layer = nn.Conv2d(3, 8, 3)
    argument, value, cost = next(extents.solved(layer, (8, 8), (8, 8)))
    assert (argument, value, cost) == ("padding", 1, 0)
    assert next(extents.solved(layer, (8, 8), (4, 4)))[:2] == ("kernel_size", 5)


def test_axes_may_differ() -> None:
    layer = nn.Conv2d(3, 8, 3)
    found = {argument: value for argument, value, _ in extents.solved(layer, (8, 8), (8, 6))}
    assert found["padding"] == (1, 0)
    for argument, value in found.items():
        assert really(layers.changed(layer, **{argument: value}), 3, (8, 8)) == (8, 6)


def test_what_has_no_extent_has_no_variants() -> None:
    assert list(extents.variants(nn.Linear(3, 4), (8, 8))) == []
    assert list(extents.solved(nn.BatchNorm2d(4), (8, 8), (7, 7))) == []
