"""Which layers are fully connected, and that their kernel is right on every target, tile and layout."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.calls import element_type, lower, new_result, operand, run
from engine.cases import FLOATS, INTEGERS, Arrangement, Case
from engine.judges import assert_right, bits, exact, torch_forward
from tatamu.engine.kernels.descriptions import FullyConnectedGradientKernel, FullyConnectedKernel
from tatamu.engine.lowering import fully_connected
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
PIXEL, SQUARE = (Axis(1, 1), Axis(1, 1)), (Axis(3, 3), Axis(3, 3))
LAYERS = {
    "one image": Geometry(1, 37, 48, 1, *PIXEL),
    "two images and rows to spare": Geometry(2, 64, 13, 1, *PIXEL),
    "images for every tile": Geometry(7, 40, 9, 1, *PIXEL),
    "groups": Geometry(3, 34, 24, 2, *PIXEL),
    "a window": Geometry(5, 6, 20, 1, *SQUARE),
    "several stretches": Geometry(3, 700, 5, 1, *SQUARE),
    "blocks of images": Geometry(70, 9, 4, 1, Axis(2, 2, 3), Axis(1, 1, 2)),
}


KERNELS = {
    "forward": FullyConnectedKernel,
    "grad_input": FullyConnectedGradientKernel,
    "grad_weight": FullyConnectedGradientKernel,
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("geometry", LAYERS.values(), ids=LAYERS.keys())
def test_results_are_right(geometry: Geometry, dtype: torch.dtype, layout: str, target: Target) -> None:
    how, last = Arrangement(layout), layout == "channels_last"
    for with_bias in (True, False):
        it = Case(geometry, (how, how, how), with_bias).operands(dtype)
        results = {}
        for which, kernel in KERNELS.items():
            assert isinstance(lower(which, it, new_result(which, it, last), target).kernel, kernel)
            one, two = (run(which, it, target, channels_last=last, threads=threads) for threads in (1, 2))
            assert torch.equal(bits(one), bits(two))
            results[which] = one
        assert_right(results, it, with_reference=geometry.in_channels < 100)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_wrap_around(dtype: torch.dtype, target: Target) -> None:
    for geometry in LAYERS.values():
        it = Case(geometry).operands(dtype)
        x, w, b = (exact(t) for t in (it.input, it.weight, it.bias))
        assert torch.equal(run("forward", it, target), torch_forward(geometry, x, w, b).to(dtype))


def test_a_result_does_not_depend_on_the_images_beside_it() -> None:
    """Each element is summed in the order that its own numbers give, whatever tile it is in."""
    it = Case(LAYERS["images for every tile"]).operands(torch.float32)
    forward, grad_input = (run(which, it, host()) for which in ("forward", "grad_input"))
    for n in range(7):
        one = slice(n, n + 1)
        alone = replace(
            it,
            geometry=replace(it.geometry, batch=1),
            input=it.input[one],
            grad_output=it.grad_output[one],
        )
        assert torch.equal(run("forward", alone, host()), forward[one])
        assert torch.equal(run("grad_input", alone, host()), grad_input[one])


def test_lines_shorter_than_a_register_are_left_to_others() -> None:
    geometry = Geometry(2, 15, 20, 1, *PIXEL)
    it = Case(geometry).operands(torch.float32)
    element, w = element_type(torch.float32), operand(it.weight)
    assert not fully_connected.gradient_fits(geometry, element, w, operand(it.input))
    longer = replace(geometry, in_channels=16)
    assert fully_connected.gradient_fits(longer, element, w, operand(it.input))


@pytest.mark.parametrize(
    ("geometry", "layouts", "expected"),
    [
        (LAYERS["a window"], ("contiguous", "contiguous"), True),
        (LAYERS["a window"], ("channels_last", "channels_last"), True),
        (LAYERS["a window"], ("channels_last", "contiguous"), False),
        (LAYERS["one image"], ("channels_last", "contiguous"), True),
        (Geometry(1, 12, 20, 2, *SQUARE), ("contiguous", "contiguous"), True),
        (Geometry(1, 12, 20, 2, *SQUARE), ("channels_last", "channels_last"), False),
        (Geometry(1, 6, 20, 1, Axis(4, 3), Axis(3, 3)), ("contiguous", "contiguous"), False),
        (Geometry(1, 6, 20, 1, Axis(1, 3, 1, 1, 1, 1), Axis(3, 3)), ("contiguous", "contiguous"), False),
        (Geometry(1, 6, 20, 1, Axis(5, 3, 1, 2), Axis(3, 3)), ("contiguous", "contiguous"), False),
        (Geometry(1, 6, 3, 1, *SQUARE), ("contiguous", "contiguous"), False),
    ],
    ids=str,
)
def test_what_is_fully_connected(geometry: Geometry, layouts: tuple[str, str], expected: bool) -> None:
    x, w = map(Arrangement, layouts)
    it = Case(geometry, (x, w, x)).operands(torch.float32)
    element = element_type(torch.float32)
    assert fully_connected.fits(geometry, element, operand(it.input), operand(it.weight)) is expected


def test_complex_numbers_and_gaps_are_not() -> None:
    geometry = LAYERS["a window"]
    it = Case(geometry).operands(torch.complex64)
    x, w = operand(it.input), operand(it.weight)
    assert not fully_connected.fits(geometry, element_type(torch.complex64), x, w)
    gaps = operand(torch.empty(5, 6, 3, 4)[..., :3])
    assert not fully_connected.fits(geometry, element_type(torch.float32), gaps, w)
