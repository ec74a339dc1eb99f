"""The usual call: plain tensors on the CPU, no transform, tracer or mode in sight. Straight to the kernels.

Everything else, and every derivative of a derivative, goes to the operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import (
    _SingleLevelFunction,
)  # autograd.Function, less the Python around its `apply`.

from tatamu import launch
from tatamu.autograd import operators
from tatamu.geometry import Convolution
from tatamu.layout import suggest_channels_last


def _keys(*names: str) -> int:
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.Undefined)
    for name in names:
        keys = keys | torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, name))
    return int(keys.raw_repr())


# What torch's dispatcher knows of a dense tensor of numbers. Anything besides is a subclass that dispatches,
# a fake, a wrapper of a transform, sparse, on another device, … ; and of the thread: a mode, a transform, a
# tracer.
_NOT_PLAIN_TENSOR = ~_keys("CPU", "ADInplaceOrView", "AutogradCPU", "AutocastCPU", "Conjugate", "Negative")
_NOT_PLAIN_THREAD = ~_keys("BackendSelect", "ADInplaceOrView")
_tensor_keys = torch._C._dispatch_keys
_thread_keys = torch._C._dispatch_tls_local_include_set


def is_plain(*tensors: Any) -> bool:
    """Whether kernels and backward autograd are all there is to a computation on these tensors."""
    if _thread_keys().raw_repr() & _NOT_PLAIN_THREAD or forward_ad._current_level >= 0:
        return False
    try:
        for tensor in tensors:
            if _tensor_keys(tensor).raw_repr() & _NOT_PLAIN_TENSOR:
                return False
    except TypeError:
        return False
    return True


def convolution(input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> Tensor:
    """The output (N, O, Ho, Wo) of plain tensors (N, C, H, W), (O, C / groups, kh, kw) and (O,) or None."""
    if torch.is_grad_enabled() and (
        input.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
    ):
        return _apply(input, weight, bias, convolution)
    return launch.forward(input, weight, bias, convolution)


class _Convolution(_SingleLevelFunction):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution
    ) -> Tensor:
        of_input, of_weight, _, _ = ctx.needs_input_grad
        ctx.save_for_backward(input if of_weight else None, weight if of_input else None)
        ctx.arguments = input.shape, weight.shape, convolution, suggest_channels_last(input, weight)
        return launch.forward(input, weight, bias, convolution)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        input_size, weight_size, convolution, channels_last = ctx.arguments
        of_input, of_weight, of_bias, _ = ctx.needs_input_grad
        # With create_graph the gradients are differentiated in their turn.
        maps = launch if not torch.is_grad_enabled() and is_plain(grad) else operators
        return (
            maps.grad_input(grad, w, input_size, convolution, channels_last) if of_input else None,
            maps.grad_weight(grad, x, weight_size, convolution, channels_last) if of_weight else None,
            maps.grad_bias(grad) if of_bias else None,
            None,
        )


_apply: Callable[..., Tensor] = _Convolution.apply  # type: ignore[attr-defined]  # It is, in C.
