"""The example learns, and notices when it should not be believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from rich.progress import Progress
from torch import nn

import tatamu
from examples import digits
from examples.digits import Digits, Training


class OffByOnePercent(nn.Conv2d):
    """Its pointwise layer has a gradient that is 1% too large."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.kernel_size == (1, 1):
            self.weight.register_hook(lambda gradient: 1.01 * gradient)


@pytest.fixture(scope="module")
def data() -> Digits:
    """A quarter of the digits to train on: enough to begin to read."""
    every = digits.digits()
    return replace(every, images=every.images[:360], labels=every.labels[:360])


@pytest.fixture
def progress() -> Iterator[Progress]:
    with Progress(disable=True) as it:
        yield it


def test_the_digits_are_split_without_overlap() -> None:
    it = digits.digits()
    assert it.images.shape == (1437, 1, 8, 8)
    assert it.held_out_images.shape == (360, 1, 8, 8)
    assert it.images.min() == 0
    assert it.images.max() == 1
    training = {bytes(image.numpy()) for image in it.images}
    assert not any(bytes(image.numpy()) in training for image in it.held_out_images)
    again = digits.digits()
    assert torch.equal(it.held_out_labels, again.held_out_labels)


def test_every_convolution_of_the_network_is_tatamus() -> None:
    layers = [module for module in digits.network(tatamu.Conv2d) if isinstance(module, nn.Conv2d)]
    assert len(layers) == 5
    assert all(type(layer) is tatamu.Conv2d for layer in layers)


def test_tatamu_learns_as_torch_does(data: Digits, progress: Progress) -> None:
    ours = digits.train(tatamu.Conv2d, data, 3, progress, "tatamu")
    theirs = digits.train(nn.Conv2d, data, 3, progress, "torch")
    assert ours.losses[-1] < ours.losses[0] / 2
    assert ours.accuracy > 0.8
    assert digits.largest_difference(ours, theirs) <= digits.LARGEST_DIFFERENCE


def test_a_slightly_wrong_gradient_is_noticed(data: Digits, progress: Progress) -> None:
    wrong = digits.train(OffByOnePercent, data, 3, progress, "wrong")
    right = digits.train(nn.Conv2d, data, 3, progress, "torch")
    assert digits.largest_difference(wrong, right) > 10 * digits.LARGEST_DIFFERENCE


@pytest.mark.parametrize(
    ("ours", "theirs", "sentences"),
    [
        (Training([2.0, 1.0], 0.98, 1.0), Training([2.0, 1.0], 0.98, 1.0), []),
        (Training([2.0, 1.0], 0.96, 1.0), Training([2.0, 1.0], 0.98, 1.0), ["tatamu reads 96.00%"]),
        (Training([2.0, 1.0], 0.98, 1.0), Training([2.0, 1.1], 0.98, 1.0), ["curves differ by 1.0e-01"]),
        (Training([2.0, float("nan")], 0.98, 1.0), Training([2.0, 1.0], 0.98, 1.0), ["curves differ by nan"]),
    ],
)
def test_complaints(ours: Training, theirs: Training, sentences: list[str]) -> None:
    found = digits.complaints(ours, theirs)
    assert len(found) == len(sentences)
    assert all(part in sentence for part, sentence in zip(sentences, found, strict=True))
