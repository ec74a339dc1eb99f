"""Layers, autograd, transforms and compilation over the GPU's kernels; in the interpreter, of CPU tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

import tatamu
from gpu.device import DEVICE, float32_products
from tatamu.autograd import eager, operators
from tatamu.gpu import launch

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _kernels_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Those, on whatever device; and nothing by the CPU's shortcut."""
    monkeypatch.setattr(operators, "_maps", lambda _device: launch)
    monkeypatch.setattr(eager, "is_plain", lambda *_: False)
    with float32_products("ieee"):
        yield


def drawn(*size: int) -> Tensor:
    return torch.randn(size, dtype=torch.float64, device=DEVICE)


def test_a_layer_trains_as_torchs_does() -> None:
    arguments = {
        "stride": 2,
        "padding": 1,
        "padding_mode": "reflect",
        "device": DEVICE,
        "dtype": torch.float64,
    }
    torch.manual_seed(0)
    ours = tatamu.Conv2d(3, 4, 3, **arguments)  # type: ignore[arg-type]
    torch.manual_seed(0)
    torchs = torch.nn.Conv2d(3, 4, 3, **arguments)  # type: ignore[arg-type]
    x = drawn(2, 3, 5, 6)
    results = []
    for layer in (ours, torchs):
        given = x.clone().requires_grad_()
        y = layer(given)
        y.square().sum().backward()
        results.append([y, given.grad, layer.weight.grad, layer.bias.grad])  # type: ignore[union-attr]
    for mine, expected in zip(*results, strict=True):
        torch.testing.assert_close(mine, expected)


def test_gradients_of_gradients() -> None:
    def convolve(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return tatamu.conv2d(x, w, b, stride=(2, 1), padding=1)

    operands = [drawn(1, 2, 3, 4), drawn(2, 2, 2, 2), drawn(2)]
    for it in operands:
        it.requires_grad_()
    assert torch.autograd.gradcheck(convolve, operands, fast_mode=True)
    assert torch.autograd.gradgradcheck(convolve, operands, fast_mode=True)


def per_sample(convolve: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The gradient of the weight for each image."""
    gradient = torch.func.grad(lambda w, x: convolve(x.unsqueeze(0), w, padding=1).square().sum())
    return torch.func.vmap(gradient, in_dims=(None, 0))


def test_transforms() -> None:
    x, w = drawn(3, 2, 4, 5), drawn(4, 2, 3, 3)
    torchs = torch.nn.functional.conv2d
    torch.testing.assert_close(per_sample(tatamu.conv2d)(w, x), per_sample(torchs)(w, x))
    found, expected = (torch.func.jvp(lambda it: of(it, w), (x,), (x,)) for of in (tatamu.conv2d, torchs))  # noqa: B023
    torch.testing.assert_close(found, expected)


def test_compiled() -> None:
    layer = tatamu.Conv2d(2, 3, 3, device=DEVICE, dtype=torch.float64)
    x = drawn(1, 2, 5, 5).requires_grad_()
    y = torch.compile(layer, backend="aot_eager", fullgraph=True)(x)
    y.sum().backward()
    torch.testing.assert_close(y, torch.nn.functional.conv2d(x, layer.weight, layer.bias))
    assert x.grad is not None


def test_autocast() -> None:
    layer = tatamu.Conv2d(2, 3, 3, device=DEVICE)
    with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        assert layer(torch.randn(1, 2, 5, 5, device=DEVICE)).dtype is torch.bfloat16
