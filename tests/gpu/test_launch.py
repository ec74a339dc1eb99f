"""Every pass of every convolution by the GPU's kernels, against the reference and torch, both in float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.utils import deterministic

from engine.cases import COMPLEX, FLOATS, INTEGERS, Arrangement, Case, Operands
from engine.judges import assert_right, bits, exact, reference_results
from gpu.cases import cases
from gpu.device import DEVICE, float32_products, operands
from tatamu.geometry import PADDING_MODES, Axis, Convolution, Geometry
from tatamu.gpu import describe, launch
from tatamu.gpu.numbers import numbers_of

pytestmark = pytest.mark.kernels


@contextmanager
def poisoned() -> Iterator[None]:
    """Fresh results and workspaces hold NaN until a kernel writes them."""
    torch.use_deterministic_algorithms(True)  # With it, `fill_uninitialized_memory` counts, and is on.
    try:
        assert deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]  # The module's property.
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def launched(case: Case, dtype: torch.dtype) -> tuple[dict[str, Tensor], Operands]:
    """All four passes, and the operands that they are judged by."""
    here, it = operands(case, dtype)
    how = it.geometry.convolution
    last = case.channels_last
    with poisoned():
        results = {
            "forward": launch.forward(it.input, it.weight, it.bias, how),
            "grad_input": launch.grad_input(it.grad_output, it.weight, it.geometry.input_size, how, last),
            "grad_weight": launch.grad_weight(it.grad_output, it.input, it.geometry.weight_size, how, last),
            "grad_bias": launch.grad_bias(it.grad_output),
        }
    assert all(result.dtype is dtype and result.device == DEVICE for result in results.values())
    if last:
        assert results["grad_input"].is_contiguous(memory_format=torch.channels_last)
        assert results["grad_weight"].is_contiguous(memory_format=torch.channels_last)
    return {name: result.cpu() for name, result in results.items()}, here


def check(case: Case, dtype: torch.dtype) -> None:
    with float32_products("ieee"):
        results, here = launched(case, dtype)
    assert_right(results, here)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@settings(max_examples=8)
@given(case=cases)
def test_every_pass(case: Case, dtype: torch.dtype) -> None:
    check(case, dtype)


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
@settings(max_examples=4)
@given(case=cases)
def test_every_pass_of_complex_numbers(case: Case, dtype: torch.dtype) -> None:
    check(case, dtype)


def padded(mode: str, *, in_channels: int, out_channels: int, groups: int = 1) -> Geometry:
    """Every argument at once: stride, dilation, padding that differs on all sides."""
    rows, columns = Axis(5, 3, 2, 1, 2, 1), Axis(6, 2, 3, 2, 1, 2)
    return Geometry(2, in_channels, out_channels, groups, rows, columns, mode)


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize(
    ("channels", "groups"), [((17, 18), 1), ((3, 5), 1), ((8, 12), 2), ((6, 6), 6)], ids=str
)
@pytest.mark.parametrize("mode", PADDING_MODES)
def test_every_mode_of_every_kernel(
    mode: str, channels: tuple[int, int], groups: int, channels_last: bool
) -> None:
    how = Arrangement("channels_last" if channels_last else "contiguous")
    geometry = padded(mode, in_channels=channels[0], out_channels=channels[1], groups=groups)
    check(Case(geometry, (how, how, how), channels_last=channels_last), torch.bfloat16)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_wrap_around(dtype: torch.dtype) -> None:
    case = Case(padded("reflect", in_channels=3, out_channels=4))
    results, it = launched(case, dtype)
    numbers = [exact(t) for t in (it.input, it.weight, it.bias, it.grad_output)]
    for name, expected in reference_results(it.geometry, *numbers).items():
        assert torch.equal(results[name], expected.to(dtype)), name


@pytest.mark.parametrize("channels", [(17, 18, 1), (8, 8, 2), (4, 4, 4)], ids=str)
def test_offsets_of_64_bits(channels: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """As for tensors of more than two billion elements."""
    monkeypatch.setattr(describe, "_MOST_NARROW", -1)
    inputs, outputs, groups = channels
    for dtype in (torch.bfloat16, torch.complex64):
        forget()
        check(Case(padded("circular", in_channels=inputs, out_channels=outputs, groups=groups)), dtype)
    forget()


def forget() -> None:
    """Lower everything anew."""
    launch._gathers.clear()
    launch._sums.clear()


def test_sums_over_nothing_are_zero() -> None:
    how = Convolution(padding=((1, 1), (1, 1)))
    for batch, channels in ((0, 3), (2, 0)):
        x, w = (torch.ones(size, device=DEVICE) for size in ((batch, channels, 4, 5), (6, channels, 3, 3)))
        gy = torch.ones(batch, 6, 4, 5, device=DEVICE)
        with poisoned():
            y = launch.forward(x, w, None, how)
            gx = launch.grad_input(gy, w, (batch, channels, 4, 5), how, channels_last=False)
            gw = launch.grad_weight(gy, x, (6, channels, 3, 3), how, channels_last=False)
            gb = launch.grad_bias(gy)
        assert (y.shape, gx.shape, gw.shape) == (gy.shape, x.shape, w.shape)
        assert not any(t.any() for t in (y, gx, gw))
        assert gb.tolist() == [batch * 20.0] * 6


@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul")  # NumPy's, in the interpreter.
@pytest.mark.parametrize("special", [torch.nan, torch.inf])
@pytest.mark.parametrize("groups", [1, 4])
def test_non_finite_results_stay_in_their_group(groups: int, special: float) -> None:
    """Narrow groups are multiplied together: one's infinity times zero must not reach another."""
    geometry = Geometry(1, 16, 16, groups, Axis(4, 3, 1, 1, 1, 1), Axis(5, 3, 1, 1, 1, 1))
    x, w = torch.rand(geometry.input_size), torch.rand(geometry.weight_size)
    x[0, 5, 1, 2] = special
    half = [t.bfloat16().to(DEVICE) for t in (x, w)]
    result = launch.forward(*half, None, geometry.convolution).cpu()
    expected = torch.nn.functional.conv2d(x, w, None, padding=1, groups=groups)
    assert torch.equal(result.isnan(), expected.isnan())
    assert torch.equal(result.isfinite(), expected.isfinite())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_the_same_call_gives_the_same_bits(dtype: torch.dtype) -> None:
    """Sums that several programs share are added up in one order."""
    case = Case(Geometry(2, 20, 24, 1, Axis(12, 3, 1, 1, 1, 1), Axis(13, 3, 1, 1, 1, 1)))
    torch.manual_seed(1)
    first, _ = launched(case, dtype)
    torch.manual_seed(1)
    second, _ = launched(case, dtype)
    for name, result in first.items():
        assert torch.equal(bits(result), bits(second[name])), name


@settings(max_examples=6)
@given(case=cases)
def test_nothing_is_written_around_results(case: Case) -> None:
    surroundings = []
    make = launch._empty

    def inside(size: tuple[int, ...], like: Tensor, channels_last: bool) -> Tensor:
        fresh = make(size, like, channels_last)
        base = torch.full((fresh.numel() + 256,), 77.0, dtype=like.dtype, device=like.device)
        surroundings.append(base)
        return base.as_strided(fresh.size(), fresh.stride(), 128)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "_empty", inside)
        check(case, torch.float16)
    assert len(surroundings) == 3
    for base in surroundings:
        assert bool((base[:128] == 77).all())
        assert bool((base[-128:] == 77).all())


def test_tf32_is_torchs_to_allow() -> None:
    assert numbers_of(torch.float32).precision == "tf32"
    torch.backends.cudnn.allow_tf32 = False
    try:
        assert numbers_of(torch.float32).precision == "ieee"
    finally:
        torch.backends.cudnn.allow_tf32 = True
    with float32_products("ieee"):
        assert numbers_of(torch.float32).precision == "ieee"
