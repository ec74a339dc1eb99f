"""Every pass of every convolution, from tensors: against the reference and against torch, both in float64."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from torch import Tensor
from torch.utils import deterministic

from engine.calls import poisoned_workspaces
from engine.cases import COMPLEX, FLOATS, INTEGERS, Arrangement, Case, Operands, cases
from engine.judges import assert_right, bits, exact, reference_results, torch_forward
from tatamu import launch, precision
from tatamu.engine import execute
from tatamu.engine.runtime import memory, threads
from tatamu.geometry import Axis, Convolution, Geometry


@contextmanager
def poisoned() -> Iterator[None]:
    """Fresh results and workspaces hold NaN until a kernel writes them."""
    with pytest.MonkeyPatch.context() as patch, poisoned_workspaces():
        patch.setattr(precision, "_is_deterministic", lambda: False)  # All techniques, not the one for that.
        torch.use_deterministic_algorithms(True)  # With it, `fill_uninitialized_memory` counts, and is on.
        try:
            assert deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]  # The module's property.
            yield
        finally:
            torch.use_deterministic_algorithms(False)


def launched(it: Operands, *, channels_last: bool = False) -> dict[str, Tensor]:
    """All four passes."""
    how = it.geometry.convolution
    with poisoned():
        return {
            "forward": launch.forward(it.input, it.weight, it.bias, how),
            "grad_input": launch.grad_input(
                it.grad_output, it.weight, it.geometry.input_size, how, channels_last
            ),
            "grad_weight": launch.grad_weight(
                it.grad_output, it.input, it.geometry.weight_size, how, channels_last
            ),
            "grad_bias": launch.grad_bias(it.grad_output),
        }


def test_unwritten_memory_would_be_noticed() -> None:
    with poisoned():
        assert torch.empty(2, 3, 4, 5).isnan().all()
        assert torch.empty(2, 3, 4, 5, dtype=torch.complex32).real.isnan().all()
        assert torch.empty(2, 3, 4, 5, dtype=torch.bfloat16, memory_format=torch.channels_last).isnan().all()
        pattern = torch.empty(2, 3, 4, 5)
        pattern.untyped_storage().resize_(0)
        assert torch.empty_like(pattern).isnan().all()
        workspace = memory.take(64)
        content = bytearray(ctypes.string_at(workspace[1], 64))
        memory.give_back(workspace)
        assert torch.frombuffer(content, dtype=torch.float32).isnan().all()


UNPADDED = Case(Geometry(2, 5, 5, 5, Axis(4, 2), Axis(3, 1), "reflect"))
"""A mode without padding, in which the gradient of the input is gathered with some."""


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX], ids=str)
@settings(max_examples=40)
@example(case=UNPADDED)
@given(case=cases)
def test_every_pass(case: Case, dtype: torch.dtype) -> None:
    it = case.operands(dtype)
    results = launched(it, channels_last=case.channels_last)
    assert all(result.dtype is dtype for result in results.values())
    if case.channels_last:
        assert results["grad_input"].is_contiguous(memory_format=torch.channels_last)
        assert results["grad_weight"].is_contiguous(memory_format=torch.channels_last)
    assert_right(results, it)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@settings(max_examples=15)
@given(case=cases)
def test_integers_wrap_around(case: Case, dtype: torch.dtype) -> None:
    """The judges compute in 64 bits and wrap afterwards: low bits of a sum depend on no higher ones."""
    it = case.operands(dtype)
    with poisoned():
        result = launch.forward(it.input, it.weight, it.bias, it.geometry.convolution)
    assert result.dtype is dtype
    x, w, gy = (exact(t) for t in (it.input, it.weight, it.grad_output))
    b = None if it.bias is None else exact(it.bias)
    assert torch.equal(result, torch_forward(it.geometry, x, w, b).to(dtype))
    assert torch.equal(result, reference_results(it.geometry, x, w, b, gy)["forward"].to(dtype))


LARGER = [
    # (batch, in, out, groups, rows, columns), for the judge that needs no loops: blocks of columns, blocks of
    # channels, several blocks of result channels, many tasks, kernels larger than their image, patches.
    Geometry(1, 2, 3, 1, Axis(3, 3, 1, 1, 1, 1), Axis(2100, 5, 1, 1, 2, 2)),
    Geometry(1, 3, 5, 1, Axis(2, 2), Axis(3001, 3, 2, 3, 4, 1), "reflect"),
    Geometry(2, 150, 140, 1, Axis(9, 3, 1, 1, 1, 1), Axis(11, 3, 1, 1, 1, 1)),
    Geometry(1, 300, 33, 1, Axis(5, 1), Axis(7, 1)),
    Geometry(3, 64, 128, 2, Axis(17, 3, 2, 1, 1, 1), Axis(19, 3, 2, 1, 1, 1), "circular"),
    Geometry(2, 20, 20, 20, Axis(20, 7, 1, 1, 3, 3), Axis(28, 7, 1, 1, 3, 3)),
    Geometry(1, 3, 3, 3, Axis(20, 31, 1, 1, 15, 15), Axis(33, 31, 1, 1, 15, 15)),
    Geometry(1, 5, 18, 1, Axis(6, 6, 1, 3, 30, 30), Axis(4, 5, 3, 2, 9, 0), "replicate"),
    Geometry(1, 70, 3, 1, Axis(7, 7), Axis(7, 7)),
    Geometry(11, 90, 45, 1, Axis(7, 7), Axis(7, 7)),
    Geometry(2, 600, 40, 1, Axis(5, 3, 1, 1, 1, 1), Axis(7, 3, 1, 1, 1, 1)),
    Geometry(2, 3, 40, 1, Axis(32, 8, 8), Axis(24, 8, 8)),
    # Depthwise, of more channels than a register holds: every form of column taps, a kernel larger than its
    # image, blocks of rows and of columns, padding that is no zero, steps over pixels.
    Geometry(2, 40, 40, 40, Axis(15, 3, 1, 1, 1, 1), Axis(17, 3, 1, 1, 1, 1)),
    Geometry(2, 37, 37, 37, Axis(14, 5, 2, 1, 2, 1), Axis(15, 5, 2, 1, 1, 2)),
    Geometry(2, 64, 64, 64, Axis(7, 13, 1, 1, 6, 6), Axis(7, 13, 1, 1, 6, 6)),
    Geometry(1, 19, 19, 19, Axis(33, 31, 1, 1, 15, 15), Axis(20, 29, 1, 1, 14, 14)),
    Geometry(1, 33, 33, 33, Axis(9, 3, 1, 1, 1, 1), Axis(1300, 3, 1, 1, 1, 1)),
    Geometry(1, 18, 18, 18, Axis(120, 7, 1, 1, 3, 3), Axis(64, 7, 1, 1, 3, 3), "reflect"),
    Geometry(2, 50, 50, 50, Axis(11, 2, 3, 2, 0, 3), Axis(13, 3, 4, 3, 5, 2)),
    Geometry(2, 35, 35, 35, Axis(9, 3, 2, 2, 2, 2), Axis(12, 4, 1, 2, 3, 2), "circular"),
]


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
@pytest.mark.parametrize("geometry", LARGER, ids=range(len(LARGER)))
def test_larger_layers(geometry: Geometry, dtype: torch.dtype, channels_last: bool) -> None:
    how = Arrangement("channels_last" if channels_last else "contiguous")
    it = Case(geometry, (how, how, how)).operands(dtype)
    assert_right(launched(it, channels_last=channels_last), it, with_reference=False)


def test_bfloat16_grad_weight_of_a_sum_that_must_not_round_on_its_way() -> None:
    """torch 2.13's own bfloat16 kernel returns numbers without meaning for this layer."""
    rows, columns = Axis(33, 11, 1, 3, 4, 4), Axis(1, 5, 2, 1, 2, 2)
    it = Case(Geometry(1, 17, 64, 1, rows, columns)).operands(torch.bfloat16)
    assert_right(launched(it), it)


@settings(max_examples=60)
@given(case=cases)
def test_the_memory_format_is_torchs(case: Case) -> None:
    rows, columns = (
        replace(axis, after=axis.before, size=axis.size + axis.after)
        for axis in (case.geometry.rows, case.geometry.columns)
    )
    geometry = replace(case.geometry, rows=rows, columns=columns, padding_mode="zeros")
    it = replace(case, geometry=geometry).operands(torch.float32)
    how, padding = geometry.convolution, (rows.before, columns.before)
    expected = torch.nn.functional.conv2d(
        it.input, it.weight, it.bias, how.stride, padding, how.dilation, how.groups
    )
    assert launch.forward(it.input, it.weight, it.bias, how).stride() == expected.stride()


def test_sums_over_nothing_are_zero() -> None:
    how = Convolution(padding=((1, 1), (1, 1)))
    for batch, channels in ((0, 3), (2, 0)):
        x, w = torch.ones(batch, channels, 4, 5), torch.ones(6, channels, 3, 3)
        gy = torch.ones(batch, 6, 4, 5)
        with poisoned():
            y = launch.forward(x, w, None, how)
            gx = launch.grad_input(gy, w, (batch, channels, 4, 5), how, channels_last=False)
            gw = launch.grad_weight(gy, x, (6, channels, 3, 3), how, channels_last=False)
            gb = launch.grad_bias(gy)
        assert y.shape == gy.shape
        assert gx.shape == x.shape
        assert gw.shape == w.shape
        assert not any(t.any() for t in (y, gx, gw))
        assert torch.equal(gb, torch.full((6,), batch * 20.0))


NON_FINITE = [
    Geometry(2, 5, 9, 1, Axis(12, 3, 1, 1, 1, 1), Axis(40, 3, 1, 1, 1, 1)),
    Geometry(1, 4, 6, 2, Axis(13, 3, 2, 1, 0, 2), Axis(21, 5, 3, 2, 4, 1)),
    Geometry(2, 8, 8, 8, Axis(19, 5, 1, 1, 2, 2), Axis(23, 5, 1, 1, 2, 2)),
    Geometry(2, 8, 16, 8, Axis(15, 3, 2, 2, 3, 0), Axis(18, 3, 1, 3, 2, 5), "circular"),
    Geometry(1, 50, 20, 1, Axis(7, 1), Axis(9, 1)),
    Geometry(1, 40, 3, 1, Axis(6, 3, 1, 1, 2, 2), Axis(5, 3, 1, 1, 2, 2), "reflect"),
    Geometry(1, 3, 7, 1, Axis(1, 4, 1, 1, 3, 3), Axis(33, 7, 2, 1, 6, 6), "replicate"),
]


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("special", [torch.nan, torch.inf, -torch.inf, 3e37])
@pytest.mark.parametrize("geometry", NON_FINITE, ids=range(len(NON_FINITE)))
def test_non_finite_results_are_where_torchs_are(
    geometry: Geometry, special: float, channels_last: bool
) -> None:
    """Positive numbers, so that a sum overflows in every order of adding or in none."""
    x, w = torch.rand(geometry.input_size), torch.rand(geometry.weight_size) + 0.5
    if special == 3e37:
        w *= 4  # Now a few of them overflow, and a single one does not.
    in_one_sum = 3 if special == 3e37 else 0.5
    count = max(1, round(x.numel() * in_one_sum / geometry.reduction))
    x.view(-1)[torch.randperm(x.numel())[:count]] = special
    bias = torch.rand(geometry.out_channels)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    with poisoned():
        result = launch.forward(x, w, bias, geometry.convolution)
    finite = torch_forward(geometry, x, w, bias).isfinite()
    sums = torch_forward(geometry, x.double(), w.double(), bias.double())
    clear = ~(((sums - torch.finfo(torch.float32).max) / sums).abs() < 1e-4)
    assert torch.equal(result.isfinite()[clear], finite[clear])
    assert torch.equal(result.isnan(), sums.isnan())
    assert clear.float().mean() > 0.9
    assert finite.any()
    assert not finite.all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
@settings(max_examples=30)
@given(case=cases)
def test_the_number_of_threads_changes_no_bit(case: Case, dtype: torch.dtype) -> None:
    it = case.operands(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "WORTH_A_THREAD", 1)  # Work for every thread, however little there is.
        assert threads.usable(3) == 3
        torch.set_num_threads(1)
        expected = launched(it, channels_last=case.channels_last)
        for count in (2, 3):
            torch.set_num_threads(count)
            for name, result in launched(it, channels_last=case.channels_last).items():
                assert torch.equal(bits(result), bits(expected[name])), f"{name} on {count} threads"


@pytest.mark.parametrize("geometry", LARGER[2:5], ids=range(3))
def test_the_number_of_threads_changes_no_bit_of_larger_layers(geometry: Geometry) -> None:
    it = Case(geometry).operands(torch.float32)
    torch.set_num_threads(1)
    expected = launched(it)
    for count in (2, 3):
        torch.set_num_threads(count)
        for name, result in launched(it).items():
            assert torch.equal(bits(result), bits(expected[name])), f"{name} on {count} threads"
