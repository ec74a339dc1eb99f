"""How far a correct convolution may be from the exact one: tolerances from arithmetic, not from trying.

A sum of n products, in any order, with or without fused multiply-adds, satisfies elementwise

    |computed - exact| <= γ_n · Σ|x||w|,    γ_n = n·u / (1 - n·u)

with u the unit roundoff (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 3.1).
What is added to it here, and why:

- One more term for the bias: n + 1 in place of n.
- A complex element is two real sums of 2n products, each bounded by Σ|x||w|: √2 of the bound with 2n.
- Half precisions accumulate in float32, then round once to storage: u of the storage, of a value that is
  off by the bound already.
- Below the normal range an operation is wrong by up to half the smallest subnormal, whatever its operands.
- The judge computes in float64 and has its own γ.
"""

from __future__ import annotations

import math

import torch

ACCUMULATION = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}
PART = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}


def bound(
    dtype: torch.dtype, reduction_length: int, magnitude: torch.Tensor, expected: torch.Tensor | None = None
) -> torch.Tensor:
    """The largest |computed - judged| of a correct result of `dtype`, elementwise, in float64.

    `magnitude` is the same computation on absolute values, Σ|x||w| + |b|, in float64; `reduction_length` is
    the number of products summed into one element. The judge computes in float64 (complex128) from the same
    stored operands. Integers are exact: 0. With what is `expected` the last rounding of a half precision is
    bounded by that, which is closer than by `magnitude`.
    """
    magnitude = magnitude.to(torch.float64)
    if not (dtype.is_floating_point or dtype.is_complex):
        return torch.zeros_like(magnitude)
    storage = PART.get(dtype, dtype)
    accumulation = ACCUMULATION[storage]
    terms = reduction_length * (2 if dtype.is_complex else 1) + 1
    rounding = _gamma(accumulation, terms)
    limit = (rounding + _gamma(torch.float64, terms)) * magnitude + terms * _subnormal(accumulation) / 2
    if storage is not accumulation:
        largest = magnitude if expected is None else expected.abs().to(torch.float64)
        limit += _unit_roundoff(storage) * (largest + limit) + _subnormal(storage) / 2
    return limit * (math.sqrt(2) if dtype.is_complex else 1)


def assert_within(actual: torch.Tensor, expected: torch.Tensor, limit: torch.Tensor) -> None:
    """`actual` is within `limit` of `expected` (float64, complex128 or integers) everywhere, and no NaN."""
    assert actual.shape == expected.shape
    error = (actual.to(expected.dtype) - expected).abs()
    excess = ~(error <= limit)  # NaN is excess too.
    if excess.any():
        worst = int(torch.where(excess, error / limit, -1.0).nan_to_num(math.inf, math.inf).argmax())
        place = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), actual.shape))
        raise AssertionError(
            f"{int(excess.sum())} of {excess.numel()} elements of {actual.dtype} are out of bounds; "
            f"worst at {place}: got {actual[place].item()}, expected {expected[place].item()}, "
            f"error {error[place].item():.3g}, limit {limit[place].item():.3g}"
        )


def _unit_roundoff(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps / 2


def _subnormal(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps


def _gamma(dtype: torch.dtype, terms: int) -> float:
    product = terms * _unit_roundoff(dtype)
    assert product < 1, "the bound says nothing about sums this long"
    return product / (1 - product)
