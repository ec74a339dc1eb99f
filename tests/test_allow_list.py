"""Nothing but our kernels computes: no operator of torch in a trace of all passes, and NumPy is not there."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import children
from tatamu import Conv2d, conv2d
from tatamu.geometry import PADDING_MODES

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COMPLEX = (torch.complex32, torch.complex64, torch.complex128)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)

ALLOWED = {
    "aten::empty": "the pattern of a result",
    "aten::empty_like": "room for a result like its pattern",
    "aten::empty_strided": "the same, inside aten::empty_like",
    "aten::resolve_neg": "returns the tensor as it is, where it is not lazily negated",
    "aten::resolve_conj": "returns the bias as it is, where it is not lazily conjugated",
    "autograd::engine::evaluate_function: _ConvolutionBackward": "the engine's frame around our node",
    "autograd::engine::evaluate_function: torch::autograd::AccumulateGrad": "and around a leaf",
}
"""Operators of torch that may occur, each with its reason."""

OURS = (
    "_Convolution", "_ConvolutionBackward",
    "tatamu::convolution", "tatamu::grad_input", "tatamu::grad_weight", "tatamu::grad_bias",
)  # fmt: skip
"""The node of autograd.Function, forward and backward, and the names of the four maps."""

SUMS_OVER_NOTHING = {
    "aten::zeros": "a sum over nothing is zero",
    "aten::zero_": "the same, inside aten::zeros",
    "aten::fill_": "the same, inside aten::zero_",
}


def operators(compute: Callable[[], object]) -> set[str]:
    """The names of all operators and autograd nodes that run."""
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        compute()
    return {event.name for event in trace.events()}


def strangers(names: set[str]) -> set[str]:
    """Those that neither are ours nor only allocate, view or ask."""
    return names - {*ALLOWED, *OURS}


def arranged(tensor: Tensor, layout: str) -> Tensor:
    """The same numbers in another order in memory."""
    match layout:
        case "contiguous":
            return tensor
        case "channels_last":
            return tensor.contiguous(memory_format=torch.channels_last)
        case _:
            strided = torch.zeros(*tensor.shape[:3], 2 * tensor.shape[3] + 1, dtype=tensor.dtype)[..., 1::2]
            return strided.copy_(tensor)


def passes(layer: Conv2d, x: Tensor, grad: Tensor) -> None:
    """Forward, and the gradients of input, weight and bias."""
    torch.autograd.grad(layer(x), (x, *layer.parameters()), grad)


LAYOUTS = ("contiguous", "channels_last", "strided")


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX], ids=str)
def test_all_passes(dtype: torch.dtype, layout: str, mode: str) -> None:
    for groups, bias in itertools.product((1, 4), (True, False)):
        layer = Conv2d(4, 8, 3, 2, 1, 2, groups, bias, mode, dtype=dtype)
        layer.weight.data = arranged(layer.weight.data, layout)
        x = arranged(torch.randn(2, 4, 9, 8).to(dtype), layout).requires_grad_()
        grad = arranged(torch.randn(2, 8, 4, 3).to(dtype), layout)
        names = operators(lambda: passes(layer, x, grad))  # noqa: B023  # Called in this turn of the loop only.
        assert names >= {"aten::empty_like", *OURS[:-1]}, "else nothing was traced"
        assert strangers(names) == set()


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX], ids=str)
def test_an_empty_batch(dtype: torch.dtype) -> None:
    layer = Conv2d(4, 8, 3, dtype=dtype)
    x, grad = torch.empty(0, 4, 9, 8, dtype=dtype).requires_grad_(), torch.empty(0, 8, 7, 6, dtype=dtype)
    names = operators(lambda: passes(layer, x, grad))
    assert names >= {"aten::zeros", *OURS[:-1]}, "else nothing was traced"
    assert strangers(names) <= SUMS_OVER_NOTHING.keys()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers(dtype: torch.dtype, layout: str) -> None:
    x = arranged(torch.randint(0, 100, (2, 4, 7, 8)).to(dtype), layout)
    weight = arranged(torch.randint(0, 100, (6, 4, 3, 3)).to(dtype), layout)
    bias = torch.arange(6).to(dtype)
    names = operators(lambda: conv2d(x, weight, bias, 1, 1))
    assert "aten::empty_like" in names, "else nothing was traced"
    assert strangers(names) == set()


F = torch.nn.functional
STRANGERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "conv2d": F.conv2d,
    "pad": lambda x, w: conv2d(F.pad(x, (1, 1)), w),
    "unfold": lambda x, w: w.flatten(1) @ F.unfold(x, 3),
    "add": lambda x, w: conv2d(x, w) + 1,
    "clone": lambda x, w: conv2d(x.clone(), w),
    "contiguous": lambda x, w: conv2d(x.contiguous(memory_format=torch.channels_last), w),
}


@pytest.mark.parametrize("compute", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_stranger_is_found(compute: Callable[[Tensor, Tensor], Tensor]) -> None:
    x, w = torch.randn(1, 4, 9, 9), torch.randn(5, 4, 3, 3)
    assert strangers(operators(lambda: compute(x, w)))


def test_numpy_is_not_needed() -> None:
    """Nothing of it can be imported once torch has been, and every pass is right nevertheless."""
    output = children.run("""
        import sys
        import torch
        for name in [name for name in sys.modules if name.partition(".")[0] == "numpy"]:
            del sys.modules[name]
        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "numpy":
                    raise AssertionError(f"{name} was imported")
        sys.meta_path.insert(0, Blocked())
        import tatamu
        for mode in ("zeros", "reflect", "replicate", "circular"):
            layer = tatamu.Conv2d(4, 6, 3, 1, 1, padding_mode=mode)
            judge = torch.nn.Conv2d(4, 6, 3, 1, 1, padding_mode=mode)
            judge.load_state_dict(layer.state_dict())
            x = torch.randn(2, 4, 9, 8, requires_grad=True)
            grad = torch.randn(2, 6, 9, 8)
            ours, theirs = (
                (it(x), *torch.autograd.grad(it(x), (x, *it.parameters()), grad)) for it in (layer, judge)
            )
            assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(ours, theirs))
        try:
            import numpy
        except AssertionError:
            print("blocked")
    """)
    assert output == "blocked\n"
