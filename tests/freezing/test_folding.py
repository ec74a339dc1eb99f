"""A folded BatchNorm2d is the same map: judged in float64, from the stored numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tatamu import Conv2d
from tatamu.freezing.folding import fold, obstacle
from tolerance import assert_within, bound


def normalised(channels: int, *, affine: bool = True, dtype: torch.dtype = torch.float32) -> nn.BatchNorm2d:
    """A normalisation that has seen something."""
    norm = nn.BatchNorm2d(channels, affine=affine, dtype=dtype).eval()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.01, 4)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_is_the_same_map(affine: bool, bias: bool, groups: int, dtype: torch.dtype) -> None:
    layer, norm = (
        Conv2d(8, 12, 3, groups=groups, bias=bias, dtype=dtype),
        normalised(12, affine=affine, dtype=dtype),
    )
    assert not obstacle(layer, norm)
    folded = fold(layer, norm)
    assert folded is not None
    weight, shift = folded
    assert weight.dtype == shift.dtype == dtype
    x = torch.randn(2, 8, 7, 7, dtype=torch.float64)
    found = nn.functional.conv2d(x, weight.double(), shift.double(), groups=groups)
    expected = norm.double()(
        nn.functional.conv2d(
            x, layer.weight.double(), None if layer.bias is None else layer.bias.double(), groups=groups
        )
    )
    # Each weight is rounded once, to half a unit in its last place; so is the bias.
    magnitude = nn.functional.conv2d(x.abs(), weight.abs().double(), shift.abs().double(), groups=groups)
    limit = torch.finfo(dtype).eps * magnitude + bound(torch.float64, 99, magnitude + expected.abs())
    assert_within(found.detach(), expected.detach(), limit.detach())


def test_the_memory_format_stays() -> None:
    layer = Conv2d(8, 12, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's lack it.
    folded = fold(layer, normalised(12))
    assert folded is not None
    assert folded[0].is_contiguous(memory_format=torch.channels_last)


def test_the_layer_and_the_normalisation_stay() -> None:
    layer, norm = Conv2d(8, 12, 3), normalised(12)
    before = [it.clone() for it in (*layer.state_dict().values(), *norm.state_dict().values())]
    fold(layer, norm)
    after = [*layer.state_dict().values(), *norm.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_would_overflow_is_not_folded() -> None:
    layer, norm = Conv2d(8, 12, 3), normalised(12)
    layer.weight.data[3] = 1e30
    assert norm.running_var is not None
    norm.running_var[3], norm.eps = 0, 1e-30
    assert fold(layer, norm) is None


@pytest.mark.parametrize(
    ("norm", "words"),
    [
        (nn.BatchNorm2d(12), "training mode"),
        (nn.BatchNorm2d(12, track_running_stats=False).eval(), "no running statistics"),
        (nn.BatchNorm2d(11).eval(), "11 channels"),
        (nn.BatchNorm2d(12).eval().double(), "dtype"),
    ],
)
def test_obstacles(norm: nn.BatchNorm2d, words: str) -> None:
    assert words in obstacle(Conv2d(8, 12, 3), norm)
