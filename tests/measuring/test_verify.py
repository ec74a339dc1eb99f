"""What is timed is the pass that is asked for, and nothing that is wrong is timed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.case import Case
from benchmarks.layer import Layer
from benchmarks.libraries import Contender, contenders
from tatamu.measuring.passes import DTYPES, PASSES, operands
from tatamu.measuring.verify import WrongResultError, expected, verify

SMALL = Layer("small", "one", 4, 6, (3, 3), 2, (1, 1), 2, 2, 9, 1)
DIGITS = {"f32": 1e-5, "bf16": 1e-2, "f16": 2e-3, "f64": 1e-13, "c64": 1e-5, "c128": 1e-13}


@pytest.mark.parametrize("element", DTYPES)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("direction", PASSES)
def test_what_is_timed_is_the_pass_on_the_whole_batch(direction: str, batch: int, element: str) -> None:
    it = Case(SMALL, batch, direction, element)
    given = operands(it, seed=1)
    wide = torch.complex128 if it.dtype.is_complex else torch.float64
    x, w = (tensor.to(wide).requires_grad_() for tensor in (given.input, given.weight))
    y = torch.nn.functional.conv2d(x, w, None, 2, 1, 2, 2)
    gx, gw = torch.autograd.grad(y, (x, w), given.grad_output.to(wide))
    right = {"forward": y, "grad_input": gx, "grad_weight": gw}[direction].detach()
    everyone = list(contenders(it, given, ["torch"]))
    assert len({(one.library, one.layout) for one in everyone}) == len(everyone) == 4
    for contender in everyone:
        result = contender.call()
        assert result.dtype == it.dtype
        assert (result.to(wide) - right).abs().max() < DIGITS[element] * right.abs().max()
        if contender.library == "torch" and element == "f16" and direction != "forward":
            continue  # torch rounds partial sums to float16 there, which the gate does not let pass.
        assert 0 <= verify(it, str(contender), contender.call, expected(it, given)) < DIGITS[element]


def _one_element_off(y: Tensor) -> Tensor:
    y[-1, -1, -1, -1] += 0.01
    return y


def _not_a_number(y: Tensor) -> Tensor:
    y[0, 0, 0, 0] = torch.nan
    return y


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_one_element_off, "times what rounding explains"),
        (_not_a_number, "inf times what rounding explains"),
        (lambda y: y.roll(1, 0), "times what rounding explains"),
        (lambda y: y.bfloat16().float(), "times what rounding explains"),
        (lambda y: y[:, :, 1:], "not torch.float32"),
        (lambda y: y.double(), "got torch.float64"),
    ],
)
def test_a_wrong_result_is_refused(direction: str, spoil: Callable[[Tensor], Tensor], sentence: str) -> None:
    it = Case(SMALL, 3, direction)
    given = operands(it, seed=2)
    right = next(iter(contenders(it, given, [])))
    wrong = Contender("tatamu", "NCHW", lambda: spoil(right.call().clone()))
    with pytest.raises(WrongResultError, match=f"tatamu in NCHW is wrong on small one .*{sentence}"):
        verify(it, str(wrong), wrong.call, expected(it, given))


@pytest.mark.parametrize("element", DTYPES)
def test_what_a_dtype_can_tell_apart_is_told_apart(element: str) -> None:
    """The largest results off by eight units in the last place of a half precision, by more of others."""
    it = Case(SMALL, 1, "forward", element)
    given = operands(it, seed=3)
    judge = expected(it, given)
    step = {"bf16": 2**-5, "f16": 2**-8, "f32": 1e-4, "c64": 1e-4, "f64": 1e-13, "c128": 1e-13}[element]
    wrong = (judge.values * (1 + step)).to(it.dtype)
    with pytest.raises(WrongResultError, match=f"{element}: an error is"):
        verify(it, "tatamu", lambda: wrong, judge)
    assert verify(it, "tatamu", lambda: judge.values.to(it.dtype), judge) < DIGITS[element]
