"""Every kernel compiled for A100 and H100, which need not be here: what products are made of, no spills."""

from __future__ import annotations

import pytest
import torch

from gpu import ahead
from gpu.device import float32_products
from tatamu.geometry import Axis, Geometry
from tatamu.gpu.describe import Operand
from tatamu.gpu.lowering.gather import lower_gather
from tatamu.gpu.lowering.sums import bias_launches, lower_weight
from tatamu.gpu.numbers import numbers_of
from tatamu.gpu.processor import NOMINAL

pytestmark = pytest.mark.compiled

PASSES = ("forward", "grad_input", "grad_weight", "grad_bias")


def square(
    channels: tuple[int, int], size: int, kernel: int, stride: int = 1, groups: int = 1, mode: str = "zeros"
) -> Geometry:
    """A batch of 32 square images."""
    axis = Axis(size, kernel, stride, 1, kernel // 2, kernel // 2)
    return Geometry(32, *channels, groups, axis, axis, mode)


DENSE = {
    "pointwise": square((256, 64), 56, 1),
    "3x3": square((128, 128), 28, 3),
    "stride 2": square((128, 256), 56, 3, 2),
    "reflect": square((128, 128), 28, 3, mode="reflect"),
    "stem": square((3, 64), 224, 7, 2),
    "narrow groups": square((128, 128), 56, 3, groups=32),
    "odd channels": square((130, 70), 14, 3),
}
ALONE = {
    "depthwise": square((96, 96), 56, 7, groups=96),
    "depthwise, stride 2": square((96, 96), 56, 3, 2, groups=96),
    "31x31": square((128, 128), 56, 31, groups=128),
    "circular": square((96, 96), 56, 3, groups=96, mode="circular"),
}


def compiled(
    geometry: Geometry, dtype: torch.dtype, direction: str, channels_last: bool, capability: int
) -> dict[str, ahead.Compiled]:
    """The kernels of a pass, by name."""
    form = torch.channels_last if channels_last else torch.contiguous_format
    x, w, y = (
        torch.empty(size, dtype=dtype, device="meta", memory_format=form)
        for size in (geometry.input_size, geometry.weight_size, geometry.output_size)
    )
    bias = torch.empty(geometry.out_channels, dtype=dtype, device="meta")
    numbers, (of_x, of_w, of_y) = numbers_of(dtype), map(Operand.of, (x, w, y))
    match direction:
        case "forward":
            gather = lower_gather(geometry, numbers, of_x, of_w, of_y, NOMINAL, backward=False)
            launches = gather.launches(x, w, bias, y)
        case "grad_input":
            gather = lower_gather(geometry, numbers, of_y, of_w, of_x, NOMINAL, backward=True)
            launches = gather.launches(y, w, None, x)
        case "grad_weight":
            launches = lower_weight(geometry, numbers, of_y, of_x, of_w, NOMINAL).launches(y, x, w)
        case _:
            launches = bias_launches(y, bias, numbers, NOMINAL)
    with ahead.target(capability):
        return {it.kernel.__name__: ahead.compiled(it) for it in launches}


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", DENSE)
def test_dense_layers_multiply_on_tensor_cores(name: str, channels_last: bool, capability: int) -> None:
    for direction in PASSES[:3]:
        found = compiled(DENSE[name], torch.bfloat16, direction, channels_last, capability)
        products = [it for kernel, it in found.items() if kernel in {"multiply", "multiply_pixels"}]
        assert [it.multiplies != "fma" for it in products] == [True]
        assert {kernel: it.spilled for kernel, it in found.items() if it.spilled} == {}
        if channels_last and name in {"pointwise", "3x3", "stride 2", "reflect"}:
            assert products[0].copies_asynchronously
            assert products[0].multiplies == ("wgmma" if capability == 90 else "mma")


@pytest.mark.parametrize(("dtype", "capability"), [(torch.float16, 80), (torch.float32, 90)], ids=str)
def test_other_numbers_multiply_on_tensor_cores_too(dtype: torch.dtype, capability: int) -> None:
    with float32_products("tf32"):
        for direction in PASSES[:3]:
            for it in compiled(DENSE["3x3"], dtype, direction, True, capability).values():
                assert it.spilled == 0
                assert it.multiplies != "fma" or it.shared <= 4096


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", ALONE)
def test_layers_of_single_channels_do_not_spill(name: str, channels_last: bool, capability: int) -> None:
    for direction in PASSES[:3]:
        for kernel, it in compiled(ALONE[name], torch.bfloat16, direction, channels_last, capability).items():
            assert it.spilled == 0, f"{kernel} of {direction}"


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64], ids=str)
def test_what_tensor_cores_do_not_know_is_multiplied_alone(dtype: torch.dtype, capability: int) -> None:
    with float32_products("ieee"):
        for direction in PASSES if not dtype.is_complex else PASSES[:3]:
            for kernel, it in compiled(DENSE["3x3"], dtype, direction, True, capability).items():
                assert it.multiplies == "fma"
                assert it.spilled == 0, f"{kernel} of {direction}"
