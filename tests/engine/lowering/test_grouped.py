"""Groups of few channels, whose channels share registers: all passes, in every layout."""

from __future__ import annotations

import pytest
import torch

from engine.calls import lower, new_result, resolved, run
from engine.cases import Arrangement, Case
from engine.judges import assert_right, bits
from tatamu.engine.kernels.descriptions import DepthwiseKernel, DepthwiseWeightKernel
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
DTYPES = (torch.float32, torch.float64, torch.bfloat16)
LAYERS = {
    "4 a group": Geometry(2, 64, 64, 16, Axis(9, 3, 1, 1, 1, 1), Axis(17, 3, 1, 1, 1, 1)),
    "every other pixel": Geometry(1, 64, 64, 16, Axis(9, 3, 2, 1, 1, 1), Axis(18, 3, 2, 1, 1, 1)),
    "3 a group": Geometry(2, 48, 48, 16, Axis(7, 3, 1, 1, 1, 1), Axis(8, 3, 1, 1, 1, 1)),
    "6 a group, uneven": Geometry(2, 36, 36, 6, Axis(7, 5, 1, 1, 2, 1), Axis(8, 4, 2, 1, 0, 1)),
    "more results": Geometry(2, 32, 64, 32, Axis(7, 3, 1, 1, 1, 1), Axis(8, 3, 1, 1, 1, 1)),
    "fewer results": Geometry(2, 64, 32, 32, Axis(7, 3, 3), Axis(8, 3, 1, 2, 1, 1)),
    "a register a group": Geometry(1, 64, 64, 4, Axis(8, 3, 2, 1, 1, 1), Axis(8, 3, 2, 1, 1, 1)),
    "pointwise": Geometry(2, 35, 35, 7, Axis(7, 1), Axis(8, 1)),
    "few channels": Geometry(1, 8, 8, 4, Axis(7, 3, 1, 1, 1, 1), Axis(8, 3, 1, 1, 1, 1)),
    "many taps": Geometry(2, 40, 40, 5, Axis(9, 9, 1, 1, 4, 4), Axis(9, 9, 1, 1, 4, 4)),
    "circular": Geometry(1, 64, 64, 16, Axis(9, 3, 1, 1, 1, 1), Axis(17, 3, 1, 1, 1, 1), "circular"),
    "strides beyond 2": Geometry(1, 64, 64, 16, Axis(9, 3, 1, 1, 1, 1), Axis(17, 5, 3, 1, 2, 2)),
}
PASSES = ("forward", "grad_input", "grad_weight")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "permuted"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("geometry", LAYERS.values(), ids=LAYERS.keys())
def test_results_are_right(geometry: Geometry, dtype: torch.dtype, layout: str, target: Target) -> None:
    how, last = Arrangement(layout, numbers=(0, 3, 1, 0)), layout == "channels_last"
    it = Case(geometry, (how, how, how)).operands(dtype)
    results = {}
    for which in PASSES:
        one, two = (run(which, it, target, channels_last=last, threads=threads) for threads in (1, 2))
        assert torch.equal(bits(one), bits(two))
        results[which] = one
    assert_right(results, it, with_reference=False)


def kernels(geometry: Geometry, target: Target, *, last: bool) -> list[object]:
    how = Arrangement("channels_last" if last else "contiguous")
    it = resolved(Case(geometry, (how, how, how)).operands(torch.float32))
    return [lower(which, it, new_result(which, it, last), target).kernel for which in PASSES]


@pytest.mark.skipif(host().name != "avx512", reason="the choice is that of a machine with 512-bit registers")
def test_the_choice_is_that_of_the_layer() -> None:
    """Neither the size of the image nor the batch changes it: a new size compiles nothing."""
    for channels, groups, stride in ((128, 32, 1), (256, 32, 2), (96, 32, 1)):
        for last in (False, True):
            chosen = []
            for batch, size in ((1, 56), (16, 28), (2, 9)):
                axis = Axis(size, 3, stride, 1, 1, 1)
                geometry = Geometry(batch, channels, channels, groups, axis, axis)
                chosen.append(kernels(geometry, host(), last=last))
            assert chosen[0][:2] == chosen[1][:2] == chosen[2][:2]
            assert [type(kernel) for kernel in chosen[0]] == [
                DepthwiseKernel,
                DepthwiseKernel,
                DepthwiseWeightKernel,
            ]
            assert chosen[0] == chosen[1]


def test_wide_groups_are_left_to_the_kernels_of_dense_layers() -> None:
    axis = Axis(14, 3, 2, 1, 1, 1)
    for kernel in kernels(Geometry(1, 256, 256, 4, axis, axis), host(), last=True):
        assert not isinstance(kernel, DepthwiseKernel | DepthwiseWeightKernel)
