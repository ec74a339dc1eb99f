"""Windows as receptive fields are known: by the arithmetic of chains, and of published networks."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from benchmarks.models.networks import MODELS
from tatamu.geometry import Axis, ReceptiveField
from tatamu.tracing.fields.propagation import propagated
from tatamu.tracing.fields.queries import Window, readers, windows
from tatamu.tracing.steps import Value
from tatamu.tracing.walk import walk


def windows_of(model: nn.Module, size: tuple[int, ...]) -> tuple[Window, ...]:
    walked = walk(model, size)
    assert walked.failure is None
    first = next(it for it in tree_leaves(walked.output) if isinstance(it, Value))
    found = windows(propagated(walked)[first.number], 2)
    assert found is not None
    return found


def chain(size: int) -> tuple[list[nn.Module], list[Axis]]:
    """A random chain of convolutions and poolings that ends with several positions, and its axes."""
    layers: list[nn.Module] = []
    axes: list[Axis] = []
    for _ in range(random.randint(1, 6)):
        kernel, stride, dilation = random.randint(1, 4), random.randint(1, 2), random.randint(1, 2)
        padding = random.randint(0, kernel // 2)
        axis = Axis(size, kernel, stride, dilation, padding, padding)
        if axis.output < 2:
            break
        axes.append(axis)
        size = axis.output
        if random.random() < 0.3:
            layers.append(nn.MaxPool2d(kernel, stride, padding, dilation))
        else:
            layers.append(nn.Conv2d(1, 1, kernel, stride, padding, dilation))
    return layers, axes


@pytest.mark.parametrize("_", range(20))
def test_chains_have_the_receptive_field_of_the_arithmetic(_: int) -> None:
    layers, axes = chain(61)
    expected = ReceptiveField.through(axes)
    window = Window(expected.size, Fraction(expected.jump), expected.start, False)
    assert windows_of(nn.Sequential(*layers), (1, 1, 61, 61)) == (window, window)


@pytest.mark.parametrize(
    ("name", "size", "jump"),
    [
        # Araujo, Norris and Sim, 2019: of VGG-16 at pool5, and of MobileNetV1.
        ("vgg16", 212, 32),
        ("mobilenet_v1", 315, 32),
    ],
)
def test_published_networks(name: str, size: int, jump: int) -> None:
    with torch.device("meta"):
        if name == "vgg16":
            whole = MODELS["vgg16"]()
            model = nn.Sequential(
                *[it for it in whole.children() if not isinstance(it, nn.Flatten | nn.Linear)]
            )
        else:
            from transformers import MobileNetV1Config, MobileNetV1Model  # noqa: PLC0415 - takes seconds.

            model = MobileNetV1Model(MobileNetV1Config(), add_pooling_layer=False)
    for found in windows_of(model, (1, 3, 448, 448)):
        assert (found.size, found.jump, found.is_whole) == (size, jump, False)


def test_transposed_convolutions_and_interpolation_divide_the_jump() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 1, 3, 2, 1),
        nn.ConvTranspose2d(1, 1, 2, 2),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(1, 1, 3),
    )
    (rows, _) = windows_of(model, (1, 1, 16, 16))
    assert rows == Window(5, Fraction(1, 2), -1, False)


def test_a_whole_image() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(1))
    assert windows_of(model, (1, 1, 9, 7)) == (Window(9, None, 0, True), Window(7, None, 0, True))


def test_what_does_not_read_the_input_has_none() -> None:
    assert windows((), 2) is None
    assert not readers((), (2, 3), (0, 0)).any()
