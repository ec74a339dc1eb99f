"""Which kernel computes layers whose dilation puts taps into the padding, and that it is right everywhere."""

from __future__ import annotations

import pytest
import torch

from engine import tapwise_cases
from engine.calls import lower, new_result, run
from engine.cases import Arrangement, Case
from engine.judges import assert_right, bits
from tatamu.engine.kernels.lane_descriptions import TapwiseKernel
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
DTYPES = (torch.float32, torch.float64, torch.bfloat16)
LAYERS = {
    "most taps in the padding": Geometry(2, 40, 48, 1, Axis(17, 3, 1, 8, 8, 8), Axis(16, 3, 1, 7, 7, 7)),
    "blocks of channels": Geometry(1, 333, 35, 1, Axis(9, 3, 1, 4, 4, 4), Axis(11, 3, 1, 5, 5, 5)),
    "strided": Geometry(1, 33, 24, 1, Axis(13, 3, 2, 6, 6, 6), Axis(15, 3, 2, 6, 6, 6)),
    "groups": Geometry(2, 66, 96, 2, Axis(9, 3, 1, 6, 6, 6), Axis(7, 2, 1, 5, 2, 3)),
    "a tap that sees nothing": Geometry(1, 32, 16, 1, Axis(5, 3, 1, 6, 6, 6), Axis(4, 3, 1, 5, 5, 5)),
    "a line": Geometry(3, 32, 16, 1, Axis(1, 1), Axis(40, 5, 1, 9, 18, 18)),
    "cropped to a few": Geometry(1, 32, 32, 1, Axis(20, 3, 1, 9, 0, 0), Axis(3, 3, 1, 2, 3, 3)),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("geometry", LAYERS.values(), ids=LAYERS.keys())
def test_results_are_right(geometry: Geometry, dtype: torch.dtype, layout: str, target: Target) -> None:
    how, last = Arrangement(layout), layout == "channels_last"
    it = Case(geometry, (how, how, how), with_bias=geometry.batch > 1).operands(dtype)
    strided = max(geometry.rows.stride, geometry.columns.stride) > 1
    with tapwise_cases.forced():
        results = {}
        for which in ("forward",) if strided else ("forward", "grad_input"):
            assert isinstance(lower(which, it, new_result(which, it, last), target).kernel, TapwiseKernel)
            one, two = (run(which, it, target, channels_last=last, threads=threads) for threads in (1, 2))
            assert torch.equal(bits(one), bits(two))
            results[which] = one
    assert_right(results, it, with_reference=False)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_step_of_a_row_of_one_pixel_says_nothing(dtype: torch.dtype, target: Target) -> None:
    geometry = Geometry(2, 32, 16, 1, Axis(5, 2, 1, 4, 0, 0), Axis(1, 1, 1, 1, 0, 1))
    # Channels, height, width, batch: a row lies two elements from the next, as its one pixel would.
    how = Arrangement("permuted", numbers=(2, 1, 0, 0))
    it = Case(geometry, (how, Arrangement(), Arrangement())).operands(dtype)
    assert it.input.stride()[2] == it.input.stride()[3] > 1
    with tapwise_cases.forced():
        lowered = lower("forward", it, new_result("forward", it, False), target)
        assert isinstance(lowered.kernel, TapwiseKernel)
        assert_right({"forward": run("forward", it, target)}, it, with_reference=False)


@pytest.mark.parametrize(
    ("channels", "size", "dilation", "tapwise"),
    [
        (2048, 33, 12, True),
        (2048, 33, 18, True),
        (64, 17, 8, True),
        (64, 97, 4, False),  # Winograd's filters have whole tiles here.
        (16, 17, 8, False),  # Too few channels for so many sums.
        (2048, 150, 60, False),  # The sums of so many pixels are too much memory for a task.
    ],
)
def test_it_is_for_many_channels_and_small_images(
    channels: int, size: int, dilation: int, tapwise: bool
) -> None:
    axis = Axis(size, 3, 1, dilation, dilation, dilation)
    it = Case(Geometry(1, channels, 32, 1, axis, axis)).operands(torch.float32)
    kernel = lower("forward", it, new_result("forward", it, False), host()).kernel
    assert isinstance(kernel, TapwiseKernel) == tapwise
