"""The gate: a result is judged against float64 before its time is worth knowing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tatamu.measuring.passes import Operands, Pass, by_torch, prepare, reduction

PROMISE = 5e-6
"""Winograd's error in float32 is at most this share of the largest Σ|x||w|: it adds before it multiplies, and
so has no bound by the Σ|x||w| of the one element. In float64 it is as many units of its last place."""
_PART = {torch.complex64: torch.float32, torch.complex128: torch.float64}


class WrongResultError(Exception):
    """A result that is further from the exact one than rounding can explain, or not even of its shape."""


@dataclass(frozen=True)
class Expected:
    """The exact result for each different image, in float64, and the same computed on absolute values.

    Attributes:
        values, magnitude: (images, …), one result per different image; a single one for the gradient of a
            weight, which sums over the batch. Values are complex128 where the case is complex.
        pattern: which of the images each place of the batch holds.
    """

    values: Tensor
    magnitude: Tensor
    pattern: Tensor


def expected(case: Pass, given: Operands) -> Expected:
    """What every contender should compute, by torch in float64."""
    if case.direction == "grad_weight":
        # An image that occurs n times counts n times.
        times = given.pattern.bincount().double().reshape(-1, 1, 1, 1)
        pattern = torch.zeros(1, dtype=torch.int64)
    else:
        times, pattern = torch.ones(1, 1, 1, 1, dtype=torch.float64), given.pattern
    wide = torch.complex128 if case.dtype.is_complex else torch.float64
    exact = [tensor.to(wide) for tensor in (given.images, given.weight, given.grads)]
    values, magnitude = (
        _exact(case, x, w, gy * times) for x, w, gy in (exact, [tensor.abs() for tensor in exact])
    )
    return Expected(values, magnitude, pattern)


def verify(case: Pass, name: str, call: Callable[[], Tensor], judge: Expected) -> float:
    """Compute once; the largest error, relative to the largest Σ|x||w| of the case.

    `name` says who computes, for the error.

    Raises:
        WrongResultError: an error is over `_limit`, not finite, or the result has another shape or dtype.
    """
    result = call()
    who = f"{name} is wrong on {case}"
    size = _result_size(case)
    if result.shape != size or result.dtype != case.dtype:
        raise WrongResultError(f"{who}: got {result.dtype} {tuple(result.shape)}, not {case.dtype} {size}")
    if case.direction == "grad_weight":
        result = result.unsqueeze(0)
    largest = judge.magnitude.max().item()
    limits = [_limit(case, *them, largest) for them in zip(judge.values, judge.magnitude, strict=True)]
    worst = 0.0
    for part, image in zip(result, judge.pattern.tolist(), strict=True):
        error = (part.to(judge.values.dtype) - judge.values[image]).abs()
        if not bool((error <= limits[image]).all()):  # NaN is not.
            ratio = (error / limits[image]).nan_to_num(torch.inf).max().item()
            raise WrongResultError(f"{who}: an error is {ratio:.3g} times what rounding explains")
        worst = max(worst, error.max().item())
    return worst / largest


def _limit(case: Pass, value: Tensor, magnitude: Tensor, largest: float) -> Tensor:
    """The largest error of a correct result, elementwise.

    |computed - exact| <= γ_n·Σ|x||w| with γ_n = n·u / (1 - n·u), u the unit roundoff and n the number of
    products summed, for the type that is accumulated in and for the judge (Higham, "Accuracy and Stability of
    Numerical Algorithms", 2nd ed., section 3.1); or `PROMISE`. A complex element is two real
    sums of 2n products. Half precisions accumulate in float32 and are rounded once more, at the end.
    """
    stored = _PART.get(case.dtype, case.dtype)
    summed = torch.float64 if stored is torch.float64 else torch.float32
    terms = reduction(case) * (2 if case.dtype.is_complex else 1)
    limit = (_gamma(summed, terms) + _gamma(torch.float64, terms)) * magnitude
    promise = PROMISE * torch.finfo(summed).eps / torch.finfo(torch.float32).eps
    limit = limit.clamp(min=promise * largest)
    if stored is not summed:
        smallest = torch.finfo(stored).smallest_normal * torch.finfo(stored).eps
        limit += torch.finfo(stored).eps / 2 * (value.abs() + limit) + smallest / 2
    return limit * math.sqrt(2) if case.dtype.is_complex else limit


def _exact(case: Pass, x: Tensor, w: Tensor, gy: Tensor) -> Tensor:
    result = prepare(case, by_torch(case.geometry), x, w, gy)()
    return result.unsqueeze(0) if case.direction == "grad_weight" else result


def _result_size(case: Pass) -> tuple[int, int, int, int]:
    geometry = case.geometry
    return {
        "forward": geometry.output_size,
        "grad_input": geometry.input_size,
        "grad_weight": geometry.weight_size,
    }[case.direction]


def _gamma(dtype: torch.dtype, terms: int) -> float:
    product = terms * torch.finfo(dtype).eps / 2
    return product / (1 - product)
