"""Storage formats, over every bit pattern that a 16-bit element can have."""

from __future__ import annotations

import pytest
import torch

from engine import calls
from engine.cases import Case, Operands
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

TARGETS = [host()] if host().name == "neon" else [host(), host_as_avx2()]
HALVES = [torch.float16, torch.bfloat16]
PATTERNS = torch.arange(1 << 16).to(torch.int32).to(torch.int16)


def scaled(x: torch.Tensor, factor: float, target: Target, bias: torch.Tensor | None = None) -> torch.Tensor:
    """The elements times a factor, by a 1x1 convolution."""
    geometry = Geometry(1, 1, 1, 1, Axis(x.shape[2], 1), Axis(x.shape[3], 1))
    it = Case(geometry).operands(x.dtype)
    weight = torch.full_like(it.weight, factor)
    return calls.run("forward", Operands(geometry, x, weight, bias, it.grad_output), target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("width", [256, 65536 // 5])
def test_every_16_bit_number_survives(dtype: torch.dtype, width: int, target: Target) -> None:
    """Loaded, widened, multiplied by one, rounded and stored: the same bits; NaN stays NaN; -0 + 0 is 0."""
    x = PATTERNS[: 65536 // width * width].view(dtype).reshape(1, 1, -1, width)
    y = scaled(x, 1.0, target)
    numbers = ~x.isnan() & (x != 0)
    assert torch.equal(y.view(torch.int16)[numbers], x.view(torch.int16)[numbers])
    assert y[x.isnan()].isnan().all()
    assert (y[x == 0] == 0).all()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("factor", [1 / 3, 0.0625, 3.0, 1.00390625])
def test_results_are_rounded_to_the_nearest_even(dtype: torch.dtype, factor: float, target: Target) -> None:
    """Of every number times one factor: exact in float32, so that torch's rounding of that is the judge."""
    x = PATTERNS.view(dtype).reshape(1, 1, 256, 256)
    exact = x.double() * float(torch.tensor(factor, dtype=dtype))
    assert torch.equal(exact.float().double().nan_to_num(), exact.nan_to_num()) or dtype is torch.bfloat16
    expected = exact.float().to(dtype)
    y = scaled(x, factor, target)
    numbers = ~x.isnan()
    assert torch.equal(y[numbers], expected[numbers])
    assert y[~numbers].isnan().all()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16], ids=str)
def test_every_small_integer_wraps(dtype: torch.dtype, target: Target) -> None:
    bits = torch.iinfo(dtype).bits
    x = torch.arange(1 << bits).to(torch.int64).to(dtype).reshape(1, 1, -1, 16)
    assert torch.equal(scaled(x, 7, target), (x.long() * 7).to(dtype))
