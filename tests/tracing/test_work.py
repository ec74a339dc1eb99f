"""Multiply-adds are half of what torch's FlopCounter counts in a real pass; plans are those of a call."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tatamu
from tatamu.tracing.walk import Walk, walk
from tatamu.tracing.work import multiply_adds, plan
from tracing.architectures import ARCHITECTURES


def by_module(walked: Walk) -> Counter[str]:
    found: Counter[str] = Counter()
    for step in walked.steps:
        found[step.path] += multiply_adds(step)
    return found


def counted(model: nn.Module, size: tuple[int, ...]) -> FlopCounterMode:
    """Attention as products of matrices: FlopCounter does not know torch's kernels of it for CPUs."""
    counter = FlopCounterMode(display=False)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), counter, sdpa_kernel(SDPBackend.MATH):
            model.eval()(torch.randn(size))
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return counter


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures(name: str) -> None:
    """Of the whole, and of every module that is called."""
    model, size = ARCHITECTURES[name].make(), ARCHITECTURES[name].size
    counter, found = counted(model, size), by_module(walk(model, size))
    assert 2 * sum(found.values()) == counter.get_total_flops() > 0
    for where, flops in counter.get_flop_counts().items():
        _, inner, path = where.partition(".")
        if inner:
            total = sum(it for inside, it in found.items() if f"{inside}.".startswith(f"{path}."))
            assert 2 * total == sum(flops.values()), path


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2), (2, 6, 9, 9)),
        (nn.ConvTranspose2d(6, 8, 3, stride=2, groups=2), (2, 6, 9, 9)),
        (nn.Conv1d(6, 8, 3, dilation=2), (2, 6, 9, 1)),
        (nn.Conv3d(6, 8, 3), (2, 6, 5, 6, 7)),
        (nn.ConvTranspose1d(6, 8, 3), (2, 6, 9, 1)),
        (nn.Linear(9, 5), (2, 6, 9, 1)),
        (nn.Linear(9, 5, bias=False), (9, 1)),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 6, 8, 1)),
    ],
    ids=str,
)
def test_layers(layer: nn.Module, size: tuple[int, ...]) -> None:
    """A last dimension of 1 goes before the layer: three counts would be one image."""
    model = nn.Sequential(Squeeze(), layer)
    found = sum(by_module(walk(model, size)).values())
    assert 2 * found == (counted(model, size).get_total_flops() or 2 * 9 * 5)  # FlopCounter knows no vectors.


class Squeeze(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.squeeze(-1)


def test_ours_counts_as_torchs() -> None:
    arguments = (6, 8, 3, 2, 1, 1, 2)
    ours, theirs = (walk(it(*arguments), "6x9x9") for it in (tatamu.Conv2d, nn.Conv2d))
    assert sum(by_module(ours).values()) == sum(by_module(theirs).values()) == 25 * 8 * 27


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv2d(64, 64, 3, padding=1), (1, 64, 56, 56)),
        (nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False), (1, 64, 56, 56)),
        (nn.Conv2d(64, 256, 1), (1, 64, 56, 56)),
        (nn.Conv2d(64, 64, 7), (1, 64, 7, 7)),
        (nn.Conv2d(3, 8, 5, dtype=torch.float64), (1, 3, 32, 32)),
    ],
    ids=str,
)
def test_plans_are_those_that_explain_tells(layer: nn.Conv2d, size: tuple[int, ...]) -> None:
    ours = tatamu.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
        layer.groups, layer.bias is not None, dtype=layer.weight.dtype,
    )  # fmt: skip
    told = tatamu.explain(ours, torch.empty(size, dtype=layer.weight.dtype))
    (step,) = walk(layer, size).steps
    assert plan(step)
    assert f"\nforward: {plan(step)}" in told


@pytest.mark.parametrize(
    ("layer", "size"),
    [(nn.ConvTranspose2d(3, 4, 3), "3x8x8"), (nn.Linear(8, 3), "3x8x8"), (nn.Conv2d(3, 4, 1), "0x3x8x8")],
    ids=str,
)
def test_what_has_no_plan(layer: nn.Module, size: str) -> None:
    assert {plan(step) for step in walk(layer, size).steps} == {""}
