"""Which kernel computes planes, and that result channels in registers give the right results everywhere."""

from __future__ import annotations

import pytest
import torch

from engine import planar_cases
from engine.calls import lower, new_result, run
from engine.cases import Arrangement, Case
from engine.judges import assert_right, bits
from tatamu.engine.kernels.descriptions import DirectKernel, PlanarKernel
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
DTYPES = (torch.float32, torch.float64, torch.bfloat16)
LAYERS = {
    "in place": Geometry(2, 40, 48, 1, Axis(7, 1), Axis(9, 1)),
    "every other pixel": Geometry(3, 32, 80, 1, Axis(14, 1, 2), Axis(13, 1, 2)),
    "padded": Geometry(2, 16, 32, 1, Axis(15, 3, 2, 1, 1, 1), Axis(18, 3, 2, 1, 1, 0)),
    "groups, cropped by the stride": Geometry(2, 32, 64, 2, Axis(12, 2, 3), Axis(20, 3, 4)),
    "dilated": Geometry(1, 24, 40, 1, Axis(17, 3, 1, 2, 2, 2), Axis(21, 3, 2, 3, 3, 3)),
    "blocks of channels": Geometry(1, 400, 48, 1, Axis(14, 3, 2, 1, 1, 1), Axis(14, 5, 2, 1, 2, 2)),
    "circular": Geometry(2, 16, 32, 1, Axis(9, 3, 2, 1, 2, 1), Axis(8, 3, 1, 1, 1, 2), "circular"),
}
PATCHES = {
    "registers of a row": Geometry(2, 3, 40, 1, Axis(48, 16, 16), Axis(50, 16, 16)),
    "rows across registers": Geometry(1, 3, 20, 1, Axis(43, 14, 14), Axis(59, 14, 14)),
    "overlapping and padded": Geometry(2, 4, 24, 1, Axis(31, 7, 2, 1, 3, 3), Axis(28, 8, 2, 1, 2, 4)),
    "groups": Geometry(1, 6, 24, 2, Axis(12, 4, 4), Axis(15, 5, 4, 1, 0, 2)),
    "pixels that nothing reads": Geometry(1, 4, 24, 1, Axis(23, 4, 4), Axis(30, 8, 8)),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("geometry", LAYERS.values(), ids=LAYERS.keys())
def test_results_are_right(geometry: Geometry, dtype: torch.dtype, target: Target) -> None:
    for with_bias in (True, False):
        it = Case(geometry, with_bias=with_bias).operands(dtype)
        with planar_cases.forced():
            assert isinstance(
                lower("forward", it, new_result("forward", it, False), target).kernel, PlanarKernel
            )
            results = {}
            for which in ("forward", "grad_input"):
                one, two = (run(which, it, target, threads=threads) for threads in (1, 2))
                assert torch.equal(bits(one), bits(two))
                results[which] = one
        assert_right(results, it, with_reference=False)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("geometry", PATCHES.values(), ids=PATCHES.keys())
def test_stride_phases_are_channels(
    geometry: Geometry, dtype: torch.dtype, layout: str, target: Target
) -> None:
    how, last = Arrangement(layout), layout == "channels_last"
    it = Case(geometry, (how, how, how)).operands(dtype)
    if geometry.groups == 1 and dtype is torch.float32:  # Four channels would fill registers of f64.
        kernel = lower("grad_input", it, new_result("grad_input", it, last), target).kernel
        assert isinstance(kernel, PlanarKernel)
        assert kernel.phases
    one, two = (run("grad_input", it, target, channels_last=last, threads=n) for n in (1, 2))
    assert torch.equal(bits(one), bits(two))
    assert_right({"grad_input": one}, it, with_reference=False)


@pytest.mark.skipif(host().name != "avx512", reason="the choice is that of a machine with 512-bit registers")
def test_pixels_that_fill_registers_are_left_to_the_direct_kernel() -> None:
    kernels = []
    for channels, size in ((2048, 7), (64, 56)):
        geometry = Geometry(1, channels, 512, 1, Axis(size, 1), Axis(size, 1))
        it = Case(geometry, with_bias=False).operands(torch.float32)
        kernels.append(type(lower("forward", it, new_result("forward", it, False), host()).kernel))
    assert kernels == [PlanarKernel, DirectKernel]
