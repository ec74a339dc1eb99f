"""Winograd's kernels, wherever they can compute at all: values, what is not finite, and the same bits."""

from __future__ import annotations

import platform

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import calls
from engine.cases import Arrangement, Case
from engine.judges import bits, exact, torch_forward, torch_results
from engine.winograd_cases import cases, forced, grad_weight_limit, limits
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry
from tolerance import assert_within

TARGETS = [host(), host_as_avx2()] if platform.machine() in {"x86_64", "AMD64"} else [host()]


def _check(case: Case, dtype: torch.dtype, target: Target, number: int) -> None:
    it = case.operands(dtype)
    expected = torch_results(
        it.geometry,
        *(exact(t) for t in (it.input, it.weight)),
        None if it.bias is None else exact(it.bias),
        exact(it.grad_output),
    )
    for which in ("forward", "grad_input", "grad_weight"):
        with forced(number) as plans:
            result = calls.run(which, it, target, channels_last=case.channels_last, threads=2)
        if not plans:
            continue  # Grad input of padding that repeats pixels is the direct kernel's, for example.
        if which == "grad_weight":
            limit = grad_weight_limit(plans[0], it, expected[which])
        else:
            limit = limits(plans[0], it, expected)[which]
        assert_within(exact(result), expected[which], limit)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(max_examples=25)
@given(case=cases, number=st.integers(0, 30))
def test_values(case: Case, dtype: torch.dtype, target: Target, number: int) -> None:
    _check(case, dtype, target, number)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@settings(max_examples=8)
@given(case=cases)
def test_values_stored_in_16_bits(case: Case, dtype: torch.dtype) -> None:
    _check(case, dtype, host(), 0)


LAYERS = [
    Geometry(1, 33, 40, 1, Axis(30, 3, 1, 1, 1, 1), Axis(45, 3, 1, 1, 1, 1)),
    Geometry(17, 20, 70, 1, Axis(7, 3, 1, 1, 1, 1), Axis(7, 3, 1, 1, 1, 1)),
    Geometry(2, 130, 64, 2, Axis(20, 3, 1, 1, 2, 2), Axis(14, 3, 1, 1, 0, 1), "circular"),
    Geometry(1, 83, 70, 1, Axis(29, 3, 2, 1, 1, 1), Axis(44, 3, 2, 1, 1, 0)),
    Geometry(2, 17, 40, 1, Axis(27, 5, 2, 1, 2, 1), Axis(26, 7, 3, 1, 0, 3), "reflect"),
    Geometry(1, 3, 33, 1, Axis(60, 11, 4, 1, 2, 2), Axis(71, 11, 4, 1, 2, 2)),
    Geometry(2, 40, 24, 1, Axis(17, 1, 1), Axis(19, 7, 1, 1, 3, 3), "replicate"),
    Geometry(1, 20, 40, 1, Axis(19, 9, 1, 1, 4, 4), Axis(30, 7, 1, 2, 6, 5)),
]
FINITE = [
    Geometry(2, 20, 37, 1, Axis(17, 3, 1, 1, 1, 1), Axis(19, 3, 1, 1, 1, 1)),
    Geometry(2, 20, 37, 1, Axis(17, 3, 2, 1, 1, 1), Axis(19, 3, 2, 1, 1, 1)),
    Geometry(2, 20, 37, 1, Axis(17, 5, 2, 1, 2, 2), Axis(19, 7, 1, 2, 6, 6)),
]


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("geometry", LAYERS, ids=range(len(LAYERS)))
def test_layers_of_several_blocks(geometry: Geometry, channels_last: bool) -> None:
    how = Arrangement("channels_last" if channels_last else "contiguous")
    for number in range(12):
        _check(Case(geometry, (how, how, how), channels_last=channels_last), torch.float32, host(), number)


@pytest.mark.parametrize("geometry", LAYERS, ids=range(len(LAYERS)))
def test_bits_do_not_depend_on_threads(geometry: Geometry) -> None:
    it = Case(geometry).operands(torch.float32)
    for which in ("forward", "grad_input", "grad_weight"):
        with forced(1):
            one, two, three = (calls.run(which, it, host(), threads=n) for n in (1, 2, 3))
        assert torch.equal(bits(one), bits(two))
        assert torch.equal(bits(one), bits(three))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 3e37, -3e38])
@pytest.mark.parametrize("where", ["input", "weight"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("geometry", FINITE, ids=range(len(FINITE)))
def test_what_is_not_finite_is_where_the_definition_has_it(
    geometry: Geometry, value: float, where: str, channels_last: bool
) -> None:
    how = Arrangement("channels_last" if channels_last else "contiguous")
    it = Case(geometry, (how, how, how)).operands(torch.float32)
    spoilt = getattr(it, where)
    spoilt[1, 5, 1, 2] = value
    spoilt[0, 3, 0, 0] = value
    for number in range(0, 18, 4):
        with forced(number):
            result = calls.run("forward", it, host(), channels_last=channels_last, threads=2)
        right = torch_forward(geometry, it.input, it.weight, it.bias)
        assert torch.equal(result.isnan(), right.isnan())
        assert torch.equal(result.isposinf(), right.isposinf())
        assert torch.equal(result.isneginf(), right.isneginf())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 3e37])
@pytest.mark.parametrize("where", ["weight", "grad_output"])
@pytest.mark.parametrize("geometry", FINITE, ids=range(len(FINITE)))
def test_grad_input_that_is_not_finite_is_where_the_definition_has_it(
    geometry: Geometry, value: float, where: str
) -> None:
    it = Case(geometry).operands(torch.float32)
    spoilt = getattr(it, where)
    spoilt[1, 5, 0, 2] = value
    right = torch_results(geometry, it.input, it.weight, it.bias, it.grad_output)["grad_input"]
    for number in range(0, 18, 4):
        with forced(number):
            result = calls.run("grad_input", it, host(), threads=2)
        assert torch.equal(result.isnan(), right.isnan())
        assert torch.equal(result.isposinf(), right.isposinf())
        assert torch.equal(result.isneginf(), right.isneginf())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 3e37])
@pytest.mark.parametrize("where", ["input", "grad_output"])
def test_gradients_that_are_not_finite_are_where_the_definition_has_them(value: float, where: str) -> None:
    geometry = Geometry(2, 20, 37, 1, Axis(17, 3, 1, 1, 1, 1), Axis(19, 3, 1, 1, 1, 1))
    it = Case(geometry).operands(torch.float32)
    spoilt = getattr(it, where)
    spoilt[1, 5, 0, 2] = value
    right = torch_results(geometry, it.input, it.weight, it.bias, it.grad_output)["grad_weight"]
    for number in range(4):
        with forced(number):
            result = calls.run("grad_weight", it, host(), threads=2)
        assert torch.equal(result.isnan(), right.isnan())
        assert torch.equal(result.isposinf(), right.isposinf())
        assert torch.equal(result.isneginf(), right.isneginf())
