"""Under torch.use_deterministic_algorithms an image has the same results in any batch and memory format."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import tatamu


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


LAYERS = {
    "3x3, channels of several blocks": (300, 70, 3, {"padding": 1}, 10),
    "3x3 of a small image": (64, 64, 3, {"padding": 1}, 5),
    "pointwise": (96, 130, 1, {}, 9),
    "stem": (3, 64, 7, {"stride": 2, "padding": 3}, 30),
    "strided": (40, 48, 3, {"stride": 2, "padding": 1}, 15),
    "dilated, with idle taps": (24, 32, 3, {"dilation": 6, "padding": 6}, 13),
    "grouped": (64, 64, 3, {"padding": 1, "groups": 16}, 12),
    "depthwise": (64, 64, 5, {"padding": 2, "groups": 64}, 12),
    "as large as the image": (32, 40, 7, {}, 7),
    "reflecting": (16, 32, 3, {"padding": 1, "padding_mode": "reflect"}, 9),
}
FORMATS = [torch.contiguous_format, torch.channels_last]


def _results(layer: tatamu.Conv2d, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    y = layer(x)
    (gx,) = torch.autograd.grad(y, x, grad)
    return y.detach(), gx


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_an_image_has_the_same_bits_in_any_batch_and_format(name: str, dtype: torch.dtype) -> None:
    channels, filters, kernel, arguments, size = LAYERS[name]
    layer = tatamu.Conv2d(channels, filters, kernel, dtype=dtype, **arguments)  # type: ignore[arg-type]
    images = torch.randn(16, channels, size, size + 2, dtype=dtype)
    grads = torch.randn_like(layer(images))
    expected = _results(layer, images, grads)
    for memory_format in FORMATS:
        for batch in (1, 16):
            for weights in FORMATS:
                layer.to(memory_format=weights)  # type: ignore[call-overload]  # As torch's documentation has it.
                x, grad = (it[:batch].contiguous(memory_format=memory_format) for it in (images, grads))
                for result, whole in zip(_results(layer, x, grad), expected, strict=True):
                    assert torch.equal(result, whole[:batch]), f"batch {batch}, {memory_format}, {weights}"


def test_it_is_heeded_at_once_and_not_remembered() -> None:
    layer, x = tatamu.Conv2d(32, 32, 3), torch.randn(1, 32, 20, 20)
    with torch.no_grad():
        repeatable = layer(x)
        torch.use_deterministic_algorithms(False)
        fast = layer(x)
        torch.use_deterministic_algorithms(True)
        assert torch.equal(layer(x), repeatable)
    assert not torch.equal(fast, repeatable)  # Winograd's filters: else this test would prove nothing.
