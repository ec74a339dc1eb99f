"""The maps of a GPU, in the form that calls take them."""

from __future__ import annotations

import pytest
import torch

from tatamu import launch
from tatamu.adopt import maps
from tatamu.adopt.arguments import Left
from tatamu.errors import GpuError
from tatamu.geometry import Convolution
from tatamu.gpu import availability


def test_each_map_is_given_what_it_takes() -> None:
    """The maps on the CPU have the same signatures as those on a GPU."""
    ours = maps.OnGpu(launch)
    x, w, b, gy = (torch.randn(size) for size in ((2, 4, 7, 6), (3, 4, 2, 3), (3,), (2, 3, 6, 4)))
    plain = Convolution()
    forward = ours.prepare_forward(x, w, b, plain)
    of_input = ours.prepare_grad_input(gy, w, (2, 4, 7, 6), plain, False)
    of_weight = ours.prepare_grad_weight(gy, x, (3, 4, 2, 3), plain, True)
    of_bias = ours.prepare_grad_bias(gy)
    operands = [it.clone().requires_grad_() for it in (x, w, b)]
    expected = torch.nn.functional.conv2d(*operands)
    torch.testing.assert_close(forward(x, w, b), expected.detach())
    results = of_input(gy, w, None), of_weight(x, gy, None), of_bias(gy, gy, None)
    torch.testing.assert_close(results, torch.autograd.grad(expected, operands, gy))
    assert results[1].is_contiguous(memory_format=torch.channels_last)


def test_without_kernels_for_a_gpu_calls_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise GpuError.of_missing("3.6")

    monkeypatch.setattr(availability, "maps", missing)
    with pytest.raises(Left, match="Triton"):
        maps.of("cuda")
    assert maps.of("cpu") is launch
