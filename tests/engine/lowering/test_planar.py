"""Which kernel computes planes, and that result channels in registers give the right results everywhere."""

from __future__ import annotations

import pytest
import torch

from engine import planar_cases
from engine.calls import lower, new_result, run
from engine.cases import Arrangement, Case
from engine.judges import assert_right, bits
from tatamu import launch
from tatamu.engine.kernels.descriptions import DirectKernel, PlanarKernel
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Convolution, Geometry

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
DTYPES = (torch.float32, torch.float64, torch.bfloat16)
LAYERS = {
    "in place": Geometry(2, 40, 48, 1, Axis(7, 1), Axis(9, 1)),
    "every other pixel": Geometry(3, 32, 80, 1, Axis(14, 1, 2), Axis(13, 1, 2)),
    "padded": Geometry(2, 16, 32, 1, Axis(15, 3, 2, 1, 1, 1), Axis(18, 3, 2, 1, 1, 0)),
    "groups, cropped by the stride": Geometry(2, 32, 64, 2, Axis(12, 2, 3), Axis(20, 3, 4)),
    "dilated": Geometry(1, 24, 40, 1, Axis(17, 3, 1, 2, 2, 2), Axis(21, 3, 2, 3, 3, 3)),
    "blocks of channels": Geometry(1, 400, 48, 1, Axis(14, 3, 2, 1, 1, 1), Axis(14, 5, 2, 1, 2, 2)),
    "a few pixels left over": Geometry(1, 32, 64, 1, Axis(13, 3, 1, 1, 0, 0), Axis(23, 2, 1, 3, 0, 0)),
    "every third pixel": Geometry(1, 24, 32, 1, Axis(12, 2, 3, 1, 0, 0), Axis(23, 4, 3, 1, 1, 1)),
    "mostly padding": Geometry(2, 32, 48, 1, Axis(17, 3, 1, 8, 8, 8), Axis(16, 3, 1, 7, 7, 7)),
    "shared weights": Geometry(2, 128, 160, 2, Axis(11, 3, 2, 1, 1, 1), Axis(9, 3, 2, 1, 1, 1)),
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


@pytest.mark.parametrize(
    ("layer", "kernel"),
    [
        ((256, 64, 1, 1), PlanarKernel),
        ((64, 256, 2, 2), PlanarKernel),
        ((3, 64, 3, 2), PlanarKernel),
        ((24, 144, 1, 1), DirectKernel),
        ((144, 24, 1, 1), DirectKernel),
        ((64, 12, 3, 2), PlanarKernel),
    ],
    ids=str,
)
def test_the_layer_decides_and_not_the_size_of_its_images(
    layer: tuple[int, int, int, int], kernel: type
) -> None:
    channels, filters, size, stride = layer
    found = set()
    for batch, height, width in ((1, 7, 7), (16, 7, 7), (1, 14, 13), (2, 32, 32), (1, 97, 40), (1, 224, 224)):
        axes = (Axis(length, size, stride, 1, size // 2, size // 2) for length in (height, width))
        it = Case(Geometry(batch, channels, filters, 1, *axes), with_bias=False).operands(torch.float32)
        found.add(lower("forward", it, new_result("forward", it, False), host()).kernel)
    assert [type(each) for each in found] == [kernel]


def test_kept_weights_are_packed_again_when_they_change() -> None:
    how = Convolution((2, 2), ((1, 1), (1, 1)), (1, 1), 2)
    x, weight = torch.randn(8, 128, 15, 15), torch.randn(160, 64, 3, 3)
    for _ in range(3):  # Kept from the second call on, read from the third.
        y = launch.forward(x, weight, None, how)
    weight.mul_(-1)
    assert torch.equal(launch.forward(x, weight, None, how), -y)
    weight[-1, -1, -1, -1] += 1
    assert not torch.equal(launch.forward(x, weight, None, how), -y)
