"""The gate: a result is judged against float64 before its time is worth knowing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.case import Case, Contender, Operands, prepare


class WrongResultError(Exception):
    """A result that is further from the exact one than rounding can explain, or not even of its shape."""


@dataclass(frozen=True)
class Expected:
    """The exact result for each different image, in float64, and the same computed on absolute values.

    Attributes:
        values, magnitude: (images, …), one result per different image; a single one for the gradient of a
            weight, which sums over the batch.
        pattern: which of the images each place of the batch holds.
    """

    values: Tensor
    magnitude: Tensor
    pattern: Tensor


def expected(case: Case, given: Operands) -> Expected:
    """What every contender should compute, by torch in float64."""
    if case.direction == "grad_weight":
        # An image that occurs n times counts n times.
        times = given.pattern.bincount().double().reshape(-1, 1, 1, 1)
        pattern = torch.zeros(1, dtype=torch.int64)
    else:
        times, pattern = torch.ones(1, 1, 1, 1, dtype=torch.float64), given.pattern
    exact = [tensor.double() for tensor in (given.images, given.weight, given.grads)]
    values, magnitude = (
        _exact(case, x, w, gy * times) for x, w, gy in (exact, [tensor.abs() for tensor in exact])
    )
    return Expected(values, magnitude, pattern)


def verify(case: Case, contender: Contender, judge: Expected) -> float:
    """Compute once; the largest error, relative to the largest Σ|x||w| of the case.

    The bound, elementwise, is |computed - exact| <= γ_n·Σ|x||w| with γ_n = n·u / (1 - n·u), u the unit
    roundoff and n the number of products summed, for float32 and for the judge (Higham, "Accuracy and
    Stability of Numerical Algorithms", 2nd ed., section 3.1).

    Raises:
        WrongResultError: the result breaks it, is not finite, or has another shape or dtype.
    """
    result = contender.call()
    who = f"{contender.library} in {contender.layout} is wrong on {case}"
    size = _result_size(case)
    if result.shape != size or result.dtype != torch.float32:
        raise WrongResultError(f"{who}: got {result.dtype} {tuple(result.shape)}, not torch.float32 {size}")
    rounding = _gamma(torch.float32, case.reduction) + _gamma(torch.float64, case.reduction)
    if case.direction == "grad_weight":
        result = result.unsqueeze(0)
    worst = 0.0
    for part, image in zip(result, judge.pattern.tolist(), strict=True):
        error = (part.double() - judge.values[image]).abs_()
        limit = rounding * judge.magnitude[image]
        if not bool((error <= limit).all()):  # NaN is not.
            ratio = (error / limit).nan_to_num(torch.inf).max().item()
            raise WrongResultError(f"{who}: an error is {ratio:.3g} times what rounding explains")
        worst = max(worst, error.max().item())
    return worst / judge.magnitude.max().item()


def _exact(case: Case, x: Tensor, w: Tensor, gy: Tensor) -> Tensor:
    result = prepare(case, torch.nn.functional.conv2d, x, w, gy)()
    return result.unsqueeze(0) if case.direction == "grad_weight" else result


def _result_size(case: Case) -> tuple[int, int, int, int]:
    geometry = case.geometry
    return {
        "forward": geometry.output_size,
        "grad_input": geometry.input_size,
        "grad_weight": geometry.weight_size,
    }[case.direction]


def _gamma(dtype: torch.dtype, terms: int) -> float:
    product = terms * torch.finfo(dtype).eps / 2
    return product / (1 - product)
