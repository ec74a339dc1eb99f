"""Few channels that lie side by side, as scalars of a single one."""

from __future__ import annotations

import pytest
import torch

from engine import planar_cases
from engine.calls import lower, new_result, run
from engine.cases import Arrangement, Case
from engine.judges import assert_right, bits
from tatamu.engine.kernels.descriptions import InterleavedKernel
from tatamu.engine.kernels.lane_descriptions import FewChannelsKernel
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
DTYPES = (torch.float32, torch.float64, torch.bfloat16)
LAST = Arrangement("channels_last")
LAYERS = {
    "stem": Geometry(2, 3, 64, 1, Axis(23, 7, 2, 1, 3, 3), Axis(31, 7, 2, 1, 3, 3)),
    "patches": Geometry(1, 3, 40, 1, Axis(33, 4, 4), Axis(48, 4, 4)),
    "dilated": Geometry(1, 4, 16, 1, Axis(19, 3, 1, 2, 2, 0), Axis(17, 3, 2, 3, 1, 4)),
    "two channels, a line": Geometry(3, 2, 32, 1, Axis(9, 1), Axis(40, 9, 1, 1, 4, 4)),
    "more than one tile of registers": Geometry(
        1, 3, 90, 1, Axis(14, 3, 1, 1, 1, 1), Axis(15, 3, 2, 1, 1, 1)
    ),
    "stretches of products": Geometry(1, 3, 37, 1, Axis(25, 11, 4, 1, 2, 2), Axis(38, 11, 4, 1, 2, 2)),
    "more padding than image": Geometry(1, 3, 24, 1, Axis(3, 5, 2, 1, 4, 4), Axis(2, 3, 1, 1, 3, 3)),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("weight", ["contiguous", "channels_last"])
@pytest.mark.parametrize("geometry", LAYERS.values(), ids=LAYERS.keys())
def test_results_are_right(geometry: Geometry, weight: str, dtype: torch.dtype, target: Target) -> None:
    it = Case(geometry, (LAST, Arrangement(weight), LAST), with_bias=geometry.batch > 1).operands(dtype)
    with planar_cases.forced():
        kernel = lower("forward", it, new_result("forward", it, True), target).kernel
        assert isinstance(kernel, FewChannelsKernel)
        one, two = (run("forward", it, target, channels_last=True, threads=n) for n in (1, 2))
    assert torch.equal(bits(one), bits(two))
    assert_right({"forward": one}, it, with_reference=False)


def test_others_are_left_to_the_kernel_for_channels_side_by_side() -> None:
    geometry = Geometry(1, 5, 64, 1, Axis(12, 3, 2), Axis(12, 3, 2))
    it = Case(geometry, (LAST, LAST, LAST)).operands(torch.float32)
    kernel = lower("forward", it, new_result("forward", it, True), host()).kernel
    assert isinstance(kernel, InterleavedKernel)
