"""Every pass on the instruction sets of this machine that `host()` leaves unused."""

from __future__ import annotations

import platform

import pytest
import torch
from hypothesis import given, settings

from engine import calls
from engine.cases import PASSES, Case, cases
from engine.judges import assert_right
from tatamu.engine.target import Target, avx2, host, host_as_avx2, neon

on_x86 = pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="AVX2 is of x86-64")


@on_x86
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.complex64], ids=str)
@settings(max_examples=25)
@given(case=cases)
def test_every_pass_on_avx2(case: Case, dtype: torch.dtype) -> None:
    it = case.operands(dtype)
    results = {
        which: calls.run(which, it, host_as_avx2(), channels_last=case.channels_last, threads=2)
        for which in PASSES
    }
    assert_right(results, it, with_reference=False)


@on_x86
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128, torch.complex32], ids=str)
@settings(max_examples=8)
@given(case=cases)
def test_every_pass_on_avx2_of_other_dtypes(case: Case, dtype: torch.dtype) -> None:
    it = case.operands(dtype)
    results = {
        which: calls.run(which, it, host_as_avx2(), channels_last=case.channels_last) for which in PASSES
    }
    assert_right(results, it, with_reference=False)


@on_x86
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64], ids=str)
@settings(max_examples=10)
@given(case=cases)
def test_integers_on_avx2_are_those_of_the_host(case: Case, dtype: torch.dtype) -> None:
    it = case.operands(dtype)
    one, other = (
        calls.run("forward", it, target, channels_last=case.channels_last)
        for target in (host(), host_as_avx2())
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    "target", [host(), avx2("x86_64-unknown-linux-gnu"), neon("aarch64-unknown-linux-gnu")]
)
def test_a_register_is_full_of_lanes(target: Target) -> None:
    for item in (1, 2, 4, 8):
        assert target.lanes(item) * item == target.vector_bytes
    assert target.l1_bytes < target.l2_bytes
