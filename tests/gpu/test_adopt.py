"""tatamu underneath torch on a GPU; in the interpreter, the GPU's kernels underneath torch on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

import tatamu
from gpu.device import DEVICE, float32_products
from tatamu.adopt import maps
from tatamu.gpu import launch

pytestmark = pytest.mark.kernels
F = torch.nn.functional


@pytest.fixture(autouse=True)
def _kernels_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(maps, "of", lambda _device: maps.OnGpu(launch))
    with float32_products("ieee"):
        yield
    tatamu.disable()


def passes(compute: Callable[..., Tensor], *tensors: Tensor) -> tuple[Tensor, ...]:
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    output = compute(*leaves)
    return output, *torch.autograd.grad(output.sin().sum(), leaves)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_both_directions(transposed: bool, last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        if transposed:
            return F.conv_transpose2d(x, w, b[:2], (2, 1), 1, (1, 0), 1, (1, 2))
        return F.conv2d(x, w.transpose(0, 1), b[:2], (2, 1), 1, (1, 2))

    form = torch.channels_last if last else torch.contiguous_format
    sizes = ((2, 3 if transposed else 2, 5, 7), (3, 2, 3, 2) if transposed else (2, 2, 3, 2), (2,))
    x, w, b = (torch.randn(size, device=DEVICE) for size in sizes)
    x = x.contiguous(memory_format=form)
    expected = passes(compute, x, w, b)
    calls: list[object] = []
    for name in ("forward", "grad_input", "grad_weight", "grad_bias"):
        original = getattr(launch, name)
        monkeypatch.setattr(
            launch, name, lambda *given, name=name, original=original: calls.append(name) or original(*given)
        )
    with tatamu.enabled():
        actual = passes(compute, x, w, b)
    assert len(calls) == 4
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert actual[0].stride() == expected[0].stride()
