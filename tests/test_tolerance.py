"""The judge's own trial: right results pass, and a single lost product is caught."""

from __future__ import annotations

import pytest
import torch

from tolerance import ACCUMULATION, PART, assert_within, bound

DTYPES = [*ACCUMULATION, *PART]
LENGTH = 3 * 3 * 16


def products(dtype: torch.dtype) -> torch.Tensor:
    """Terms (200, LENGTH) of 200 sums, in float64 or complex128, of operands rounded to `dtype`."""
    wide = torch.complex128 if dtype.is_complex else torch.float64
    x, w = torch.randn(2, 200, LENGTH, dtype=wide).to(dtype).to(wide)
    terms: torch.Tensor = x * w
    return terms


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_nearest_result_passes(dtype: torch.dtype) -> None:
    exact = products(dtype)
    expected, magnitude = exact.sum(1), exact.abs().sum(1)
    assert_within(expected.to(dtype), expected, bound(dtype, LENGTH, magnitude, expected))
    assert_within(expected.to(dtype), expected, bound(dtype, LENGTH, magnitude))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_lost_product_is_caught(dtype: torch.dtype) -> None:
    exact = products(dtype)
    expected, limit = exact.sum(1), bound(dtype, LENGTH, exact.abs().sum(1), exact.sum(1))
    lost = expected.to(dtype).clone()
    lost[7] = (expected[7] - exact[7, exact[7].abs().argmax()]).to(dtype)
    with pytest.raises(AssertionError, match=r"1 of 200 elements .* worst at \(7,\)"):
        assert_within(lost, expected, limit)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_caught(value: float) -> None:
    expected = torch.ones(2, 3, dtype=torch.float64)
    actual = expected.clone()
    actual[1, 2] = value
    with pytest.raises(AssertionError, match=r"worst at \(1, 2\)"):
        assert_within(actual, expected, torch.ones_like(expected))


def test_small_half_precision_results_may_round_to_the_grid() -> None:
    expected = torch.tensor([1e-8, 3e-8], dtype=torch.float64)
    assert_within(expected.half(), expected, bound(torch.float16, 1, expected, expected))


def test_integers_are_exact() -> None:
    expected = torch.tensor([3, 4])
    limit = bound(torch.int32, 10, expected)
    assert_within(expected.int(), expected, limit)
    with pytest.raises(AssertionError, match="1 of 2"):
        assert_within(expected.int() + torch.tensor([0, 1]), expected, limit)
