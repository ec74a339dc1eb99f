"""A kernel with an ending gives what the one without gives, with residual and activation after it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from engine import planar_cases, tapwise_cases, winograd_cases
from engine.calls import element_type, lower, new_result, poisoned_workspaces, read_by, resolved, run
from engine.cases import Arrangement, Case, Operands, case, drawn
from engine.judges import bits, exact, padded
from tatamu.engine.ending import ACTIVATIONS, BOUNDS, CURVES
from tatamu.engine.execute import Call
from tatamu.engine.lowering.endings import takes_ending, with_ending
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry
from tolerance import assert_within, bound

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "silu": functional.silu,
    "hardswish": functional.hardswish,
}
target_of = pytest.mark.parametrize("target", TARGETS, ids=lambda it: it.name)


def finish(
    operands: Operands,
    target: Target,
    activation: str,
    residual: Tensor | None,
    *,
    channels_last: bool = False,
    threads: int = 1,
) -> Tensor:
    """The forward pass with an ending; its result and its workspace were poisoned."""
    operands = resolved(operands)
    element = element_type(operands.input.dtype)
    result = new_result("forward", operands, channels_last)
    lowered = lower("forward", operands, result, target)
    assert takes_ending(lowered, element)
    call = Call(with_ending(lowered, element, activation, residual is not None), target)
    source, second, bias = (0 if t is None else t.data_ptr() for t in read_by("forward", operands))
    added = 0 if residual is None else residual.data_ptr()
    with poisoned_workspaces():
        call.run(source, second, bias, result.data_ptr(), threads, residual=added)
    return result


def residual_for(operands: Operands, channels_last: bool) -> Tensor:
    return torch.randn_like(new_result("forward", operands, channels_last)) * 3


def check(
    chosen: Case, dtype: torch.dtype, target: Target, activation: str, *, adds: bool, threads: int
) -> None:
    """The same sums, so the same bits: a bound is exact, and a sum of two is rounded once in either order."""
    operands, last = chosen.operands(dtype), chosen.channels_last
    plain = run("forward", operands, target, channels_last=last)
    residual = residual_for(operands, last) if adds else None
    found = finish(operands, target, activation, residual, channels_last=last, threads=threads)
    expected = plain if residual is None else plain + residual
    assert torch.equal(found, FUNCTIONS[activation](expected))


endings = given(
    data=st.data(),
    dtype=st.sampled_from((torch.float32, torch.float64)),
    activation=st.sampled_from(list(BOUNDS)),
    adds=st.booleans(),
    threads=st.integers(1, 2),
)


@target_of
@endings
def test_any_convolution(
    target: Target, data: st.DataObject, dtype: torch.dtype, activation: str, adds: bool, threads: int
) -> None:
    chosen = case(drawn(data.draw))
    check(chosen, dtype, target, activation, adds=adds, threads=threads)


@target_of
@endings
def test_planar_kernels(
    target: Target, data: st.DataObject, dtype: torch.dtype, activation: str, adds: bool, threads: int
) -> None:
    chosen = planar_cases.case(drawn(data.draw))
    with planar_cases.forced():
        check(chosen, dtype, target, activation, adds=adds, threads=threads)


@target_of
@endings
def test_kernels_that_go_tap_by_tap(
    target: Target, data: st.DataObject, dtype: torch.dtype, activation: str, adds: bool, threads: int
) -> None:
    chosen = tapwise_cases.case(drawn(data.draw))
    with tapwise_cases.forced():
        check(chosen, dtype, target, activation, adds=adds, threads=threads)


@target_of
@endings
def test_winograds_kernels(
    target: Target, data: st.DataObject, dtype: torch.dtype, activation: str, adds: bool, threads: int
) -> None:
    chosen = winograd_cases.case(drawn(data.draw))
    with winograd_cases.forced(data.draw(st.integers(0, 30))):
        check(chosen, dtype, target, activation, adds=adds, threads=threads)


SAME, NONE = (3, 1, 1, 1, 1), (1,)
KERNELS = {
    "direct": Geometry(2, 9, 10, 1, Axis(7, *SAME), Axis(37, 3, 2, 1, 1, 1)),
    "interleaved": Geometry(2, 32, 40, 1, Axis(8, 2, 2, 1, 1, 1), Axis(9, 2, 2, 1, 1, 1)),
    "planar": Geometry(1, 64, 128, 1, Axis(7, *NONE), Axis(7, *NONE)),
    "grouped": Geometry(2, 36, 36, 9, Axis(9, *SAME), Axis(11, *SAME)),
    "few": Geometry(2, 3, 40, 1, Axis(9, 3, 2, 1, 1, 1), Axis(21, 3, 2, 1, 1, 1)),
    "depthwise": Geometry(2, 37, 37, 37, Axis(9, *SAME), Axis(11, *SAME)),
    "depthwiseinplace": Geometry(2, 32, 32, 32, Axis(9, *SAME), Axis(11, *SAME)),
    "fullyconnected": Geometry(3, 30, 19, 1, Axis(3, 3), Axis(3, 3)),
    "tapwise": Geometry(1, 48, 40, 1, Axis(13, 3, 1, 6, 6, 6), Axis(17, 3, 1, 8, 8, 8)),
    "winograd": Geometry(1, 64, 70, 1, Axis(29, *SAME), Axis(30, *SAME)),
}


@target_of
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("technique", KERNELS)
def test_every_kind_of_kernel_with_every_ending(technique: str, layout: str, target: Target) -> None:
    last = layout == "channels_last"
    how = Arrangement(layout)
    operands = Case(KERNELS[technique], (how, how, how)).operands(torch.float32)
    with planar_cases.forced() if technique == "planar" and not last else nullcontext():
        check_every_ending(operands, target, technique, last)


def check_every_ending(operands: Operands, target: Target, technique: str, last: bool) -> None:
    result = new_result("forward", operands, last)
    name = lower("forward", resolved(operands), result, target).kernel.name(target)
    of_planes = {"interleaved": "planar", "few": "planar", "depthwiseinplace": "depthwise"}
    of_pixels = {"direct": "direct", "few": "fewchannels", "planar": "interleaved"}
    expected = (of_pixels if last else of_planes).get(technique, technique)
    assert name.startswith((f"f32_{expected}_", f"f32_{expected}2", f"f32_{expected}4"))  # Winograd's tiles.
    plain = run("forward", operands, target, channels_last=last)
    for activation in ACTIVATIONS:
        for residual in (None, residual_for(operands, last)):
            found = finish(operands, target, activation, residual, channels_last=last)
            before = plain if residual is None else plain + residual
            expected = FUNCTIONS[activation](before.double())
            # Six roundings of a curve, none of a bound: see `test_curves_are_as_exact_as_they_say`.
            units = 6 if activation in CURVES else 0
            assert_within(found, expected, units * 2.0**-24 * expected.abs() + units * 1e-36)


def of_numbers(x: Tensor) -> Operands:
    """A convolution that gives its input: one channel, a weight of 1."""
    size = x.numel()
    image = x.reshape(1, 1, 1, size)
    return Operands(
        Geometry(1, 1, 1, 1, Axis(1, 1), Axis(size, 1)),
        image,
        torch.ones(1, 1, 1, 1, dtype=x.dtype),
        None,
        image,
    )


@target_of
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_curves_are_as_exact_as_they_say(target: Target, dtype: torch.dtype) -> None:
    """exp is right to two units in the last place; a sum and a quotient round once each: six roundings."""
    wide = torch.linspace(-800, 800, 30_001, dtype=torch.float64)
    near = torch.linspace(-20, 20, 30_001, dtype=torch.float64)
    tiny = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 1e-300, -1e-300])
    x = torch.cat([wide, near, tiny.double()]).to(dtype)
    found = {name: finish(of_numbers(x), target, name, None).flatten().numpy() for name in CURVES}
    exact_x = x.numpy().astype(np.longdouble)
    with np.errstate(over="ignore"):
        expected = {
            "silu": exact_x / (1 + np.exp(-exact_x)),
            "hardswish": exact_x * np.clip(exact_x + 3, 0, 6) / 6,
        }
    roundoff = torch.finfo(dtype).eps / 2
    # Where e^-x is beyond the greatest bound it counts as infinite: results are less than this then.
    vanishing = 1e-36 if dtype is torch.float32 else 1e-304
    for name, y in found.items():
        # x + 3 is rounded where it cancels: hardswish is as exact as 3 there.
        slack = 4 * roundoff * np.abs(exact_x) / 6 * 3 if name == "hardswish" else 0.0
        limit = 6 * roundoff * np.abs(expected[name]) + vanishing + slack
        assert (np.abs(y - expected[name]) <= limit).all(), name


@target_of
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_not_finite_goes_through_as_in_torch(
    target: Target, dtype: torch.dtype, activation: str
) -> None:
    inf, nan = torch.inf, torch.nan
    x = torch.tensor([nan, inf, -inf, 1e30, -1e30, 0.0, 1.0, -1.0, 7.0] * 5, dtype=dtype)
    found = finish(of_numbers(x), target, activation, None).flatten()
    torch.testing.assert_close(found, FUNCTIONS[activation](x), equal_nan=True)


@target_of
def test_winograds_repair_comes_before_the_ending(target: Target) -> None:
    how = Arrangement("contiguous")
    operands = Case(KERNELS["winograd"], (how, how, how)).operands(torch.float32)
    operands.input[0, 3, 5, 6], operands.input[0, 7, 20, 20] = torch.nan, torch.inf
    plain = run("forward", operands, target)
    residual = residual_for(operands, False)
    found = finish(operands, target, "relu", residual)
    assert all(it.any() for it in (plain.isnan(), plain.isinf(), plain.isfinite()))
    torch.testing.assert_close(found, torch.relu(plain + residual), rtol=0, atol=0, equal_nan=True)


@target_of
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("technique", KERNELS)
def test_half_precisions_are_rounded_once_at_the_end(
    technique: str, dtype: torch.dtype, last: bool, target: Target
) -> None:
    how = Arrangement("channels_last" if last else "contiguous")
    operands = Case(KERNELS[technique], (how, how, how)).operands(dtype)
    residual = residual_for(operands, last)
    found = finish(operands, target, "relu", residual, channels_last=last)
    x, w, b = (None if t is None else exact(t) for t in (operands.input, operands.weight, operands.bias))
    assert x is not None
    assert w is not None
    geometry = operands.geometry
    how_far = geometry.convolution

    def computed(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        return functional.conv2d(
            padded(x, geometry), w, b, how_far.stride, 0, how_far.dilation, how_far.groups
        )

    expected = torch.relu(computed(x, w, b) + residual.double())
    magnitude = computed(x.abs(), w.abs(), None if b is None else b.abs()) + residual.double().abs()
    if technique == "winograd":  # Not a sum of the products: its own bound is tested elsewhere.
        limit = 5e-6 * magnitude.max() + torch.finfo(dtype).eps * expected.abs()
    else:
        limit = bound(dtype, w[0].numel() + 1, magnitude, expected)
    assert_within(found, expected, limit)


def test_the_same_bits_on_any_number_of_threads() -> None:
    how = Arrangement("contiguous")
    operands = Case(Geometry(2, 64, 64, 1, Axis(30, *SAME), Axis(30, *SAME)), (how, how, how)).operands(
        torch.float32
    )
    residual = residual_for(operands, False)
    one, two = (finish(operands, host(), "silu", residual, threads=count) for count in (1, 2))
    assert torch.equal(bits(one), bits(two))


@pytest.mark.parametrize("dtype", [torch.int32, torch.complex64])
def test_integers_and_complex_numbers_have_no_endings(dtype: torch.dtype) -> None:
    operands = resolved(Case(KERNELS["direct"]).operands(dtype))
    lowered = lower("forward", operands, new_result("forward", operands, False), host())
    assert not takes_ending(lowered, element_type(dtype))
