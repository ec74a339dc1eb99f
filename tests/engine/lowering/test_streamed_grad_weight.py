"""Which layers have streams, and that their kernel is right in every form, layout and target."""

from __future__ import annotations

import pytest
import torch

from engine.calls import lower, new_result, run
from engine.cases import Arrangement, Case
from engine.judges import assert_right, bits
from tatamu.engine.kernels.descriptions import StreamedGradWeightKernel
from tatamu.engine.kernels.job import Header, Word
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
PIXEL = Axis(9, 1)
LAYERS = {
    "pointwise": Geometry(2, 40, 50, 1, PIXEL, PIXEL),
    "pointwise, turned round": Geometry(2, 96, 40, 1, PIXEL, PIXEL),
    "pointwise, finished in registers": Geometry(1, 160, 612, 1, PIXEL, PIXEL),
    "pointwise, in several blocks": Geometry(3, 240, 1100, 1, PIXEL, PIXEL),
    "strided pointwise": Geometry(2, 33, 30, 1, Axis(9, 1, 2), Axis(11, 1, 2)),
    "strided pointwise as large as its image": Geometry(
        1, 33, 30, 1, Axis(3, 1, 2, 1, 0, 3), Axis(3, 1, 2, 1, 0, 3)
    ),
    "taps that meet padding": Geometry(3, 32, 20, 1, Axis(9, 3, 2, 1, 1, 1), Axis(8, 3, 2, 1, 1, 1)),
    "taps in padding alone": Geometry(2, 32, 20, 1, Axis(2, 3, 1, 4, 4, 4), Axis(5, 3, 1, 6, 6, 6)),
    "groups": Geometry(2, 48, 36, 2, Axis(9, 3, 2, 1, 1, 1), Axis(9, 3, 2, 1, 1, 1)),
    "few channels": Geometry(2, 3, 33, 1, Axis(23, 7, 2, 1, 3, 3), Axis(40, 7, 2, 1, 3, 3)),
    "few channels, wide": Geometry(1, 3, 20, 1, Axis(5, 3, 1, 1, 1, 1), Axis(400, 3, 1, 1, 1, 1)),
    "patches": Geometry(2, 3, 24, 1, Axis(16, 4, 4), Axis(24, 4, 4)),
    "cropped": Geometry(2, 3, 24, 1, Axis(16, 3, 2, 1, -1, 2), Axis(24, 3, 2, 1, 2, -1)),
    "pixels in parts": Geometry(9, 32, 24, 1, Axis(20, 1), Axis(20, 1)),
    "many channels": Geometry(1, 300, 330, 1, Axis(5, 3, 2, 1, 1, 1), Axis(5, 3, 2, 1, 1, 1)),
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
            for last in (False, True):
                lowered = lower("grad_weight", it, new_result("grad_weight", it, last), target)
                assert isinstance(lowered.kernel, StreamedGradWeightKernel), lowered.reason
                one, two = (
                    run("grad_weight", it, target, channels_last=last, threads=threads) for threads in (1, 2)
                )
                assert torch.equal(bits(one), bits(two))
                assert_right({"grad_weight": one}, it, with_reference=False)


def test_sums_leave_registers_for_the_result_where_its_channels_fill_them() -> None:
    for name, expected in (("pointwise, finished in registers", 1), ("pointwise", 0)):
        it = Case(LAYERS[name]).operands(torch.float32)
        lowered = lower("grad_weight", it, new_result("grad_weight", it, channels_last=False), host())
        assert lowered.table[Header.FIRST_JOB + Word.DIRECT] == expected


def test_images_are_one_row_where_all_channels_of_a_pixel_lie_side_by_side() -> None:
    for arrangement, expected in (("channels_last", 1), ("contiguous", 3)):
        lie = Arrangement(arrangement)
        it = Case(LAYERS["pointwise, in several blocks"], (lie, lie, lie)).operands(torch.float32)
        lowered = lower("grad_weight", it, new_result("grad_weight", it, channels_last=False), host())
        assert lowered.table[Header.FIRST_JOB + Word.IMAGES] == expected


def test_pixels_are_summed_in_parts_where_outputs_are_few() -> None:
    for name, expected in (("pixels in parts", True), ("many channels", False)):
        it = Case(LAYERS[name]).operands(torch.float32)
        lowered = lower("grad_weight", it, new_result("grad_weight", it, channels_last=False), host())
        assert (lowered.table[Header.FIRST_JOB + Word.PARTS] > 1) is expected
        assert (lowered.table[Header.PACK_TASKS] > 0) is expected


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(2, 16, 16, 16, Axis(9, 3), Axis(9, 3)),
        Geometry(2, 32, 4, 1, Axis(9, 3, 2), Axis(9, 3, 2)),
        Geometry(2, 32, 32, 1, Axis(9, 3, 2, 1, 1, 1), Axis(9, 3, 2, 1, 1, 1), "reflect"),
    ],
    ids=["depthwise", "few results", "reflected"],
)
def test_what_is_left_to_others(geometry: Geometry) -> None:
    it = Case(geometry).operands(torch.float32)
    lowered = lower("grad_weight", it, new_result("grad_weight", it, channels_last=False), host())
    assert not isinstance(lowered.kernel, StreamedGradWeightKernel)
