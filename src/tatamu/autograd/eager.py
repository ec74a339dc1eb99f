"""The usual call: plain tensors on the CPU, no transform, tracer or mode in sight. Straight to the kernels.

Everything else, and every derivative of a derivative, goes to the operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad, profiler
from torch.autograd.function import (
    _SingleLevelFunction,
)  # autograd.Function, less the Python around its `apply`.

from tatamu import launch, precision
from tatamu.autograd import operators, profiling
from tatamu.autograd.schema import Size, size_of
from tatamu.geometry import Convolution
from tatamu.launch import Pass
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
tensor_keys = torch._C._dispatch_keys
thread_keys = torch._C._dispatch_tls_local_include_set

_records = torch.is_grad_enabled

_MOST_GRADIENTS = 16
_Gradients = tuple[Pass | None, Pass | None, Pass | None]


def is_plain(*tensors: Any) -> bool:
    """Whether kernels and backward autograd are all there is to a computation on these tensors."""
    if thread_keys().raw_repr() & _NOT_PLAIN_THREAD or forward_ad._current_level >= 0:
        return False
    try:
        for tensor in tensors:
            if tensor_keys(tensor).raw_repr() & _NOT_PLAIN_TENSOR:
                return False
    except TypeError:
        return False
    return True


class Known:
    """A convolution of plain tensors, with all that need not be found out again at the next call.

    Operands are (N, C, H, W), (O, C / groups, kh, kw) and (O,) or None.
    """

    __slots__ = ("channels_last", "convolution", "forward", "gradients", "input_size", "weight_size")

    def __init__(
        self, input: Tensor, weight: Tensor, convolution: Convolution, forward: Callable[..., Tensor]
    ) -> None:
        """``forward`` computes the output of input, weight and bias."""
        self.convolution = convolution
        self.forward = forward
        self.input_size: Size = size_of(input.shape)
        self.weight_size: Size = size_of(weight.shape)
        self.channels_last = suggest_channels_last(input, weight)
        self.gradients: dict[object, _Gradients] = {}
        """Of input, weight and bias, by what they are computed from."""


def know(input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> Known | None:
    """What later calls on such plain operands may use; None where kernels do not read them as they lie."""
    if input.dim() != 4 or input.is_neg() or weight.is_neg():
        return None
    if bias is not None and (bias.is_neg() or bias.is_conj()):
        return None
    forward = launch.prepare_forward(input, weight, bias, convolution)
    return None if forward is None else Known(input, weight, convolution, forward)


def convolution(input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> Tensor:
    """The output (N, O, Ho, Wo) of plain tensors (N, C, H, W), (O, C / groups, kh, kw) and (O,) or None."""

    def forward(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return launch.forward(input, weight, bias, convolution)

    return compute(input, weight, bias, Known(input, weight, convolution, forward))


def compute(input: Tensor, weight: Tensor, bias: Tensor | None, known: Known) -> Tensor:
    """The output of operands that are known."""
    if profiler._is_profiler_enabled:
        return profiling.named("convolution", _compute, input, weight, bias, known)
    return _compute(input, weight, bias, known)


def _compute(input: Tensor, weight: Tensor, bias: Tensor | None, known: Known) -> Tensor:
    if _records() and (
        weight.requires_grad or input.requires_grad or (bias is not None and bias.requires_grad)
    ):
        return _apply(input, weight, bias, known)
    return known.forward(input, weight, bias)


class _Convolution(_SingleLevelFunction):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, known: Known) -> Tensor:
        of_input, of_weight, _, _ = ctx.needs_input_grad
        ctx.save_for_backward(input if of_weight else None, weight if of_input else None)
        ctx.known = known
        return known.forward(input, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        known: Known = ctx.known
        of_bias = ctx.needs_input_grad[2]
        key = (
            thread_keys().raw_repr(), _signature(grad), x is not None and _signature(x),
            w is not None and _signature(w), of_bias, precision.rounding(),
        )  # fmt: skip
        found = known.gradients.get(key)
        # With create_graph the gradients are differentiated in their turn.
        if found is None or _records() or forward_ad._current_level >= 0:
            return _gradients(known, key, grad, x, w, of_bias)
        of_input, of_weight, bias_too = profiling.gradients(found) if profiler._is_profiler_enabled else found
        return (
            None if of_input is None else of_input(grad, w, None),
            None if of_weight is None else of_weight(x, grad, None),
            None if bias_too is None else bias_too(grad, grad, None),
            None,
        )


def _signature(tensor: Tensor) -> tuple[object, ...]:
    """What gradients that are known depend on in one operand."""
    return tensor.shape, tensor.stride(), tensor.dtype, tensor_keys(tensor).raw_repr()


def _gradients(
    known: Known, key: object, grad: Tensor, x: Tensor | None, w: Tensor | None, of_bias: bool
) -> tuple[Tensor | None, ...]:
    """The gradients where they are not known yet, or where it takes more than kernels to compute them."""
    rest = known.convolution, known.channels_last
    plain = not _records() and is_plain(grad)
    if plain:
        _remember(known, key, grad, x, w, of_bias)
    # With create_graph the gradients are differentiated in their turn.
    maps = launch if plain else operators

    def run(name: str, *arguments: Any) -> Tensor:
        # Operators have their names from the dispatcher.
        compute = getattr(maps, name)
        return profiling.named(name, compute, *arguments) if plain else compute(*arguments)

    return (
        None if w is None else run("grad_input", grad, w, known.input_size, *rest),
        None if x is None else run("grad_weight", grad, x, known.weight_size, *rest),
        run("grad_bias", grad) if of_bias else None,
        None,
    )


def _remember(
    known: Known, key: object, grad: Tensor, x: Tensor | None, w: Tensor | None, of_bias: bool
) -> None:
    """Keep what the next call will need, if that runs on operands as they lie."""
    operands = [tensor for tensor in (grad, x, w) if tensor is not None]
    if not is_plain(*operands) or any(tensor.is_neg() or tensor.numel() == 0 for tensor in operands):
        return
    rest = known.convolution, known.channels_last
    if len(known.gradients) >= _MOST_GRADIENTS:
        known.gradients.clear()
    known.gradients[key] = (
        None if w is None else launch.prepare_grad_input(grad, w, known.input_size, *rest),
        None if x is None else launch.prepare_grad_weight(grad, x, known.weight_size, *rest),
        launch.prepare_grad_bias(grad) if of_bias else None,
    )


_apply: Callable[..., Tensor] = _Convolution.apply  # type: ignore[attr-defined]  # It is, in C.
