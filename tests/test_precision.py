"""Precision is heeded at once, forward and backward, whatever was computed before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import tatamu
from tolerance import assert_within, bound

LENGTH = 32 * 9


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    tatamu.set_precision("high")


def _results(x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
    y = tatamu.conv2d(x, w, None, 1, 1)
    gx, gw = torch.autograd.grad(y, (x, w), torch.ones_like(y))
    return y.detach(), gx, gw


def test_the_default_is_high() -> None:
    assert tatamu.get_precision() == "high"


def test_highest_is_that_of_a_sum_and_high_is_not_remembered() -> None:
    x, w = torch.randn(2, 32, 40, 40), torch.randn(32, 32, 3, 3)
    high = _results(x, w)
    tatamu.set_precision("highest")
    assert tatamu.get_precision() == "highest"
    highest = _results(x, w)
    tatamu.set_precision("high")
    again = _results(x, w)
    for one, other, repeated in zip(high, highest, again, strict=True):
        assert not torch.equal(one, other)  # Another way of computing: else this test would prove nothing.
        assert torch.equal(one, repeated)
    exact = torch.nn.functional.conv2d(x.double(), w.double(), None, 1, 1)
    magnitude = torch.nn.functional.conv2d(x.abs().double(), w.abs().double(), None, 1, 1)
    assert_within(highest[0].double(), exact, bound(torch.float32, LENGTH, magnitude))
    assert (high[0] - exact).abs().max() <= 5e-6 * magnitude.max()


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize(
    ("kernel", "stride", "channels"),
    [(3, 1, 24), (5, 1, 24), (7, 1, 24), (3, 2, 64), (3, 2, 160), (5, 2, 32)],
)
def test_high_keeps_its_promise_on_data_of_any_kind(
    kernel: int, stride: int, channels: int, channels_last: bool
) -> None:
    size = (1, channels, 48, 48)
    images = {
        "normal": torch.randn(size),
        "bright": 200 + 55 * torch.rand(size),
        "of very different sizes": torch.exp(4 * torch.randn(size)),
        "sparse": torch.randn(size) * (torch.rand(size) < 0.01),
        "one pixel": torch.zeros(size).index_put(
            (torch.tensor(0), *torch.tensor([[3], [7], [9]])), torch.tensor(1e6)
        ),
    }
    weights = {
        "normal": (normal := torch.randn(channels, channels, kernel, kernel)),
        "zero-sum": normal - normal.mean((2, 3), keepdim=True),
        "sparse": normal * (torch.rand_like(normal) < 0.1),
        "large and small": torch.exp(3 * torch.randn_like(normal)),
    }
    for image, x in images.items():
        for name, w in weights.items():
            form = torch.channels_last if channels_last else torch.contiguous_format
            source = x.clone(memory_format=form).requires_grad_()
            y = tatamu.conv2d(source, w, None, stride, 1)
            y.backward(x[:, :, : y.shape[2], : y.shape[3]])
            pairs = (x.double(), w.double()), (x.abs().double(), w.abs().double())
            exact, magnitude = (_forward_and_gradient(*pair, stride) for pair in pairs)
            assert source.grad is not None
            for which, found in enumerate((y.detach(), source.grad)):
                error = ((found - exact[which]).abs().max() / magnitude[which].max()).item()
                assert error <= 5e-6, f"{image} images, {name} weights, pass {which}: {error:.1e}"


def _forward_and_gradient(x: Tensor, w: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """The convolution padded by one pixel, and its gradient; the output's is the corner of the input."""
    y = torch.nn.functional.conv2d(x, w, None, stride, 1)
    gy = x[:, :, : y.shape[2], : y.shape[3]]
    gradient = torch.nn.grad.conv2d_input(x.shape, w, gy, stride, 1)
    return y, gradient


def test_another_name_is_refused_and_changes_nothing() -> None:
    tatamu.set_precision("highest")
    with pytest.raises(
        ValueError, match="precision should be 'high' or 'highest', but got 'hihgest'; did you mean"
    ):
        tatamu.set_precision("hihgest")
    assert tatamu.get_precision() == "highest"
