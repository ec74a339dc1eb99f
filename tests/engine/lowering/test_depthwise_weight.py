"""Grad weight of depthwise layers: right where both operands are read in place, and where they are packed."""

from __future__ import annotations

import pytest
import torch

from engine.calls import lower, new_result, run
from engine.cases import Arrangement, Case
from engine.judges import assert_right, bits
from tatamu.engine.kernels.descriptions import DepthwiseWeightKernel
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
LAYERS = {
    "3x3": Geometry(2, 48, 48, 48, Axis(9, 3, 1, 1, 1, 1), Axis(17, 3, 1, 1, 1, 1)),
    "every other pixel": Geometry(3, 32, 32, 32, Axis(9, 3, 2, 1, 1, 1), Axis(12, 3, 2, 1, 0, 1)),
    "7x7, several blocks": Geometry(2, 96, 96, 96, Axis(40, 7, 1, 1, 3, 3), Axis(41, 7, 1, 1, 3, 3)),
    "dilated": Geometry(1, 32, 32, 32, Axis(11, 3, 1, 2, 2, 2), Axis(13, 5, 1, 3, 6, 6)),
    "cropped": Geometry(2, 32, 32, 32, Axis(12, 3, 1, 1, -1, 2), Axis(12, 3, 2, 1, 2, -1)),
    "wide": Geometry(1, 16, 16, 16, Axis(5, 3, 1, 1, 1, 1), Axis(600, 3, 1, 1, 1, 1)),
    "many channels": Geometry(2, 2048, 2048, 2048, Axis(7, 3, 1, 1, 1, 1), Axis(7, 3, 1, 1, 1, 1)),
    "reflect": Geometry(1, 32, 32, 32, Axis(9, 3, 1, 1, 1, 1), Axis(8, 3, 2, 1, 1, 1), "reflect"),
    "circular": Geometry(1, 32, 32, 32, Axis(9, 3, 1, 1, 1, 1), Axis(8, 3, 1, 1, 1, 1), "circular"),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("geometry", LAYERS.values(), ids=LAYERS.keys())
def test_results_are_right(geometry: Geometry, dtype: torch.dtype, target: Target) -> None:
    """Of every pair of layouts; the same bits on one thread and on two."""
    for source in ("contiguous", "channels_last"):
        for second in ("contiguous", "channels_last"):
            x, gy = Arrangement(source), Arrangement(second)
            it = Case(geometry, (x, x, gy)).operands(dtype)
            lowered = lower("grad_weight", it, new_result("grad_weight", it, channels_last=False), target)
            assert isinstance(lowered.kernel, DepthwiseWeightKernel)
            assert lowered.kernel.in_place is (source == second == "channels_last")
            one, two = (
                run("grad_weight", it, target, channels_last=False, threads=threads) for threads in (1, 2)
            )
            assert torch.equal(bits(one), bits(two))
            assert_right({"grad_weight": one}, it, with_reference=False)


@pytest.mark.parametrize(("channels", "dtype"), [(36, torch.float32), (64, torch.bfloat16)], ids=str)
@pytest.mark.skipif(host().lanes(4) == 4, reason="36 channels fill registers of four")
def test_what_does_not_fill_registers_as_it_lies_is_packed(channels: int, dtype: torch.dtype) -> None:
    axis, lie = Axis(9, 3, 1, 1, 1, 1), Arrangement("channels_last")
    it = Case(Geometry(2, channels, channels, channels, axis, axis), (lie, lie, lie)).operands(dtype)
    lowered = lower("grad_weight", it, new_result("grad_weight", it, channels_last=True), host())
    assert isinstance(lowered.kernel, DepthwiseWeightKernel)
    assert not lowered.kernel.in_place
