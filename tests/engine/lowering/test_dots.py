"""bf16 multiplied in pairs of channels: which layers are, and that they are right in every form."""

from __future__ import annotations

import pytest
import torch

from engine.calls import element_type, lower, new_result, run
from engine.cases import Arrangement, Case, Operands
from engine.judges import assert_right, bits, torch_results
from tatamu import conv2d
from tatamu.engine.kernels.descriptions import DirectKernel, InterleavedKernel
from tatamu.engine.target import avx512, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

needs_dots = pytest.mark.skipif(not host().dots, reason="this machine does not multiply pairs of bf16")
PIXEL = Axis(9, 1)
LAYERS = {
    "pointwise, weights in place": Geometry(2, 40, 50, 1, PIXEL, PIXEL),
    "pointwise, odd channels": Geometry(2, 33, 20, 1, PIXEL, PIXEL),
    "stem": Geometry(1, 3, 20, 1, Axis(33, 7, 2, 1, 3, 3), Axis(41, 7, 2, 1, 3, 3)),
    "every third pixel": Geometry(2, 6, 17, 1, Axis(19, 2, 3, 1, 1, 0), Axis(23, 2, 3, 1, 1, 1)),
    "odd groups": Geometry(2, 10, 36, 2, Axis(9, 3, 2, 1, 1, 1), Axis(21, 3, 1, 1, 1, 1)),
    "dilated, padded more than the image": Geometry(
        1, 32, 20, 1, Axis(2, 3, 1, 4, 4, 4), Axis(5, 3, 1, 6, 6, 6)
    ),
    "blocks of channels": Geometry(1, 700, 130, 1, Axis(5, 3, 2, 1, 1, 1), Axis(6, 3, 2, 1, 1, 1)),
    "patches": Geometry(2, 3, 24, 1, Axis(16, 4, 4), Axis(24, 4, 4)),
    "wide": Geometry(1, 5, 8, 1, Axis(5, 3, 2, 1, 1, 1), Axis(900, 3, 2, 1, 1, 1)),
    "blocks of result channels": Geometry(1, 64, 256, 1, Axis(28, 1), Axis(28, 1)),
    "cropped": Geometry(2, 4, 24, 1, Axis(16, 3, 2, 1, -1, 2), Axis(24, 3, 2, 1, 2, -1)),
}


def multiplies_pairs(it: Operands, channels_last: bool) -> bool:
    kernel = lower("forward", it, new_result("forward", it, channels_last), host()).kernel
    return isinstance(kernel, DirectKernel | InterleavedKernel) and kernel.dots


@needs_dots
@pytest.mark.parametrize("geometry", LAYERS.values(), ids=LAYERS.keys())
def test_results_are_right(geometry: Geometry) -> None:
    """Of every pair of layouts; the same bits on one thread and on two."""
    for layouts in ("contiguous", "channels_last"):
        for second in ("contiguous", "channels_last"):
            how, weight = Arrangement(layouts), Arrangement(second)
            it = Case(geometry, (how, weight, how)).operands(torch.bfloat16)
            last = layouts == "channels_last"
            if not last:
                assert multiplies_pairs(it, last)
            results = {}
            for which in ("forward", "grad_input"):
                one, two = (run(which, it, host(), channels_last=last, threads=n) for n in (1, 2))
                assert torch.equal(bits(one), bits(two))
                results[which] = one
            assert_right(results, it, with_reference=False)


@needs_dots
def test_channels_side_by_side_are_read_where_they_lie() -> None:
    for channels, expected in ((40, True), (33, False)):
        last = Arrangement("channels_last")
        it = Case(Geometry(2, channels, 48, 1, PIXEL, PIXEL), (last, last, last)).operands(torch.bfloat16)
        kernel = lower("forward", it, new_result("forward", it, channels_last=True), host()).kernel
        assert isinstance(kernel, InterleavedKernel) is expected


def test_channels_that_all_lie_in_one_place_are_no_pairs() -> None:
    x = torch.randn(2, 1, 5, 6, dtype=torch.bfloat16).expand(2, 6, 5, 6)
    w = torch.randn(20, 6, 1, 1, dtype=torch.bfloat16)
    assert torch.equal(conv2d(x, w), conv2d(x.contiguous(), w))


@needs_dots
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["stem", "pointwise, odd channels", "odd groups"])
def test_a_channel_without_a_partner_passes_on_what_is_not_finite(name: str, value: float) -> None:
    """And nothing else becomes NaN: the partner that is not there counts as zero, on both sides."""
    geometry = LAYERS[name]
    for poisoned in ("input", "weight"):
        it = Case(geometry, with_bias=False).operands(torch.bfloat16)
        tensor = getattr(it, poisoned)
        tensor[0, tensor.shape[1] - 1, 0, 0] = value
        exact = torch_results(geometry, it.input.double(), it.weight.double(), None, it.grad_output.double())
        result, right = run("forward", it, host()).double(), exact["forward"]
        assert torch.equal(result.isnan(), right.isnan())
        assert torch.equal(result.isinf(), right.isinf())


@needs_dots
def test_packed_weights_are_the_weights_of_now() -> None:
    """A weight that is kept packed, and then changed where neither address nor version tells."""
    x, weight = torch.randn(1, 64, 9, 9).bfloat16(), torch.randn(96, 64, 3, 3).bfloat16()
    for _ in range(4):
        before = conv2d(x, weight, stride=2, padding=1)
    weight.data.neg_()
    assert torch.equal(conv2d(x, weight, stride=2, padding=1), -before)


@pytest.mark.parametrize(
    ("features", "expected"), [("+avx512f,+avx512bf16", True), ("+avx512f,-avx512bf16", False)]
)
def test_the_target_says_whether_it_has_the_instruction(features: str, expected: bool) -> None:
    target = avx512("x86-64-v4", features, "x86_64-unknown-linux-gnu")
    assert target.multiplies_pairs(element_type(torch.bfloat16)) is expected
    assert not target.multiplies_pairs(element_type(torch.float16))
    it = Case(LAYERS["stem"]).operands(torch.bfloat16)
    kernel = lower("forward", it, new_result("forward", it, False), target).kernel
    assert getattr(kernel, "dots", False) is expected


def test_the_narrower_instruction_set_does_without() -> None:
    if host().name == "neon":
        pytest.skip("AVX2 is of x86-64")
    assert not host_as_avx2().dots
