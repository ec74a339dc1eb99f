"""Backward by value, by finite differences, and by what it does not compute."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as torch_functional

import tatamu
from tatamu import functional, launch

# torch's own, from what it loads when forward mode is first used.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

MAPS = ("forward", "grad_input", "grad_weight", "grad_bias")
CASES: list[dict[str, Any]] = [
    {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "padding_mode": "zeros"},
    {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 2, "padding_mode": "zeros"},
    {"stride": 2, "padding": "same_upper", "dilation": 1, "groups": 2, "padding_mode": "reflect"},
    {"stride": 1, "padding": (1, 2), "dilation": 1, "groups": 1, "padding_mode": "circular"},
    {"stride": 2, "padding": 3, "dilation": 2, "groups": 2, "padding_mode": "replicate"},
]


def convolution(case: dict[str, Any]) -> Callable[..., torch.Tensor]:
    return lambda x, w, b=None: functional.convolution(x, w, b, **case)


def operands(
    case: dict[str, Any], dtype: torch.dtype = torch.float64, batch: int = 1
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    sizes = (batch, 2, 4, 4), (2, 2 // case["groups"], 2, 2), (2,)
    x, w, b = (torch.randn(size, dtype=dtype, requires_grad=True) for size in sizes)
    return x, w, b


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_slopes(case: dict[str, Any], dtype: torch.dtype) -> None:
    inputs = operands(case, dtype)
    assert torch.autograd.gradcheck(convolution(case), inputs, check_forward_ad=True)
    assert torch.autograd.gradcheck(convolution(case), inputs[:2])


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_second_derivatives_are_slopes_of_the_first(case: dict[str, Any], dtype: torch.dtype) -> None:
    assert torch.autograd.gradgradcheck(
        convolution(case),
        operands(case, dtype),
        check_fwd_over_rev=True,
        check_rev_over_rev=True,
        fast_mode=True,
    )


# torch's loop over what its older vmap, behind is_grads_batched, has no rule for. It has none for its own
# convolution.
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_batched_gradients() -> None:
    assert torch.autograd.gradcheck(convolution(CASES[1]), operands(CASES[1]), check_batched_grad=True)


def test_third_derivatives() -> None:
    results = []
    x, w, _ = operands(CASES[0])
    for conv2d in (tatamu.conv2d, torch_functional.conv2d):
        value = conv2d(conv2d(x, w, padding=1), w, padding=1).pow(3).sum()
        for _ in range(3):
            (grad,) = torch.autograd.grad(value, w, create_graph=True)
            value = grad.pow(2).sum()
        results.append(value)
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("needed", list(product([False, True], repeat=3)), ids=str)
@pytest.mark.parametrize("with_graph", [False, True], ids=["backward", "create_graph"])
def test_only_what_is_needed_is_computed(
    needed: tuple[bool, bool, bool], with_graph: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [
        tensor.detach().requires_grad_(wanted)
        for tensor, wanted in zip(operands(CASES[0]), needed, strict=True)
    ]
    calls: list[str] = []
    monkeypatch.setattr(functional, "_found", {})  # What is known is not asked of `launch` again.
    for name in MAPS:
        original = getattr(launch, name)
        monkeypatch.setattr(
            launch, name, lambda *rest, name=name, original=original: calls.append(name) or original(*rest)
        )
    output = tatamu.conv2d(*inputs, padding=1)
    assert calls == ["forward"]
    assert output.requires_grad == any(needed)
    if any(needed):
        wanted = [tensor for tensor in inputs if tensor.requires_grad]
        grads = torch.autograd.grad(output.sum(), wanted, create_graph=with_graph)
        reference = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in inputs]
        wanted = [tensor for tensor in reference if tensor.requires_grad]
        expected = torch.autograd.grad(torch_functional.conv2d(*reference, padding=1).sum(), wanted)
        for ours, torchs in zip(grads, expected, strict=True):
            torch.testing.assert_close(ours, torchs)
    assert calls[1:] == [name for name, wanted in zip(MAPS[1:], needed, strict=True) if wanted]


def test_only_what_is_needed_is_kept() -> None:
    x, w, b = operands(CASES[0])
    kept: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        tatamu.conv2d(x.detach(), w, b)
        assert [tensor.data_ptr() for tensor in kept] == [x.data_ptr()]
        kept.clear()
        tatamu.conv2d(x, w.detach())
        assert [tensor.data_ptr() for tensor in kept] == [w.data_ptr()]
        kept.clear()
        tatamu.conv2d(x.detach(), w.detach(), b)
        assert not kept


@pytest.mark.parametrize("edited", ["input", "weight"])
def test_edits_between_forward_and_backward_raise_torchs_error(edited: str) -> None:
    x, w, _ = operands(CASES[0])
    x, w = x.clone(), w.clone()
    output = tatamu.conv2d(x, w)
    with torch.no_grad():
        (x if edited == "input" else w).mul_(2)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        output.sum().backward()


def test_gradients_of_any_strides() -> None:
    x, w, b = operands(CASES[0], batch=2)
    output = tatamu.conv2d(x, w, b, padding=1)
    expected = torch_functional.conv2d(x, w, b, padding=1)
    for grad in (
        torch.ones((), dtype=x.dtype).expand(output.shape),
        torch.randn_like(output).to(memory_format=torch.channels_last),
        torch.randn(*output.shape, 2, dtype=x.dtype)[..., 0],
        torch.randn_like(output).transpose(2, 3),
    ):
        ours = torch.autograd.grad(output, (x, w, b), grad, retain_graph=True)
        torchs = torch.autograd.grad(expected, (x, w, b), grad, retain_graph=True)
        for one, other in zip(ours, torchs, strict=True):
            torch.testing.assert_close(one, other)


def test_one_image_and_complex_conjugates() -> None:
    x, w, b = operands(CASES[0], torch.complex128)
    results = []
    for conv2d in (tatamu.conv2d, torch_functional.conv2d):
        output = conv2d(x[0].conj(), w.conj(), b.conj(), padding=1)
        results.append(torch.autograd.grad(output.abs().square().sum(), (x, w, b)))
    for ours, torchs in zip(*results, strict=True):
        torch.testing.assert_close(ours, torchs)


def test_zero_tensors() -> None:
    # torch's tensors without memory, as its own derivatives make them.
    x, w, _ = operands(CASES[0])
    zeros = torch._efficientzerotensor(x.shape, dtype=x.dtype)
    assert torch.equal(tatamu.conv2d(zeros, w.detach()), torch.zeros(1, 2, 3, 3, dtype=x.dtype))
    output = tatamu.conv2d(x, w)
    grads = torch.autograd.grad(output, (x, w), torch._efficientzerotensor(output.shape, dtype=x.dtype))
    assert not any(grad.any() for grad in grads)


def test_checkpointing() -> None:
    x, w, b = operands(CASES[0])
    output = torch.utils.checkpoint.checkpoint(tatamu.conv2d, x, w, b, use_reentrant=False)
    assert isinstance(output, torch.Tensor)
    for ours, torchs in zip(
        torch.autograd.grad(output.square().sum(), (x, w, b)),
        torch.autograd.grad(torch_functional.conv2d(x, w, b).square().sum(), (x, w, b)),
        strict=True,
    ):
        torch.testing.assert_close(ours, torchs)


def test_hooks_and_frozen_layers() -> None:
    first, second = tatamu.Conv2d(2, 2, 3, padding=1), tatamu.Conv2d(2, 2, 3)
    first.requires_grad_(False)
    seen: list[torch.Tensor] = []
    second.weight.register_hook(seen.append)
    second(first(torch.randn(1, 2, 5, 5))).sum().backward()
    assert first.weight.grad is None
    assert len(seen) == 1
    assert torch.equal(seen[0], second.weight.grad)
