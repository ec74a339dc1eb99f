"""The derivatives of the operators, in terms of the operators themselves, backward and forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._functorch.autograd_function import enable_single_level_autograd_function  # type: ignore[attr-defined]  # Private.
from torch.autograd.forward_ad import _set_fwd_grad_enabled

# torch's own base of autograd.Function: the same for one level of torch.func at a time, as a kernel needs it.
from torch.autograd.function import _SingleLevelFunction

from tatamu.autograd.schema import (
    CONVOLUTION,
    GRAD_BIAS,
    GRAD_INPUT,
    GRAD_WEIGHT,
    resolved,
    size_of,
    tensor_of,
)
from tatamu.geometry import Geometry
from tatamu.layout import memory_format, suggest_channels_last


class _Rule(Protocol):
    """What differentiation needs to know of a map; `save` is given all arguments of the operator."""

    @staticmethod
    def save(ctx: Any, *arguments: Any) -> None:
        """Keep what the derivatives take."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the tensor arguments; None where there is none to compute."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        """The tangent of the result for tangents of the tensor arguments."""


def _keep(ctx: Any, *tensors: Tensor) -> None:
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)


def _sum(*terms: Tensor | None) -> Tensor | None:
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


class _ConvolutionRule:
    """Of y(x, w) + b: gx(gy, w), gw(gy, x), and the sums of gy."""

    @staticmethod
    def save(ctx: Any, input: Tensor, weight: Tensor, _bias: Tensor | None, *plain: Any) -> None:
        _keep(ctx, input, weight)
        ctx.plain = plain
        ctx.channels_last = suggest_channels_last(input, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        rest = (*ctx.plain, ctx.channels_last)
        of_input, of_weight, of_bias = ctx.needs_input_grad[1:4]
        return (
            GRAD_INPUT(grad, w, x.shape, *rest) if of_input else None,
            GRAD_WEIGHT(grad, x, w.shape, *rest) if of_weight else None,
            GRAD_BIAS(grad) if of_bias else None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        x, w = ctx.saved_tensors
        input_tangent, weight_tangent, bias_tangent = tangents
        # Each is a convolution; the bias's tangent joins whichever there is.
        if input_tangent is None and weight_tangent is None and bias_tangent is not None:
            size = Geometry.of(size_of(x.shape), size_of(w.shape), resolved(*ctx.plain)).output_size
            # With the output's own strides: torch copies other tangents, and cannot where sizes are symbolic.
            return _over_images(bias_tangent, size).contiguous(memory_format=memory_format(ctx.channels_last))
        bias_of_input = None if weight_tangent is not None else bias_tangent
        return _sum(
            None if input_tangent is None else CONVOLUTION(input_tangent, w, bias_of_input, *ctx.plain),
            None if weight_tangent is None else CONVOLUTION(x, weight_tangent, bias_tangent, *ctx.plain),
        )


class _GradInputRule:
    """Of gx(gy, w): y(·, w) and gw(gy, ·)."""

    @staticmethod
    def save(ctx: Any, grad_output: Tensor, weight: Tensor, input_size: Sequence[int], *rest: Any) -> None:
        _keep(ctx, grad_output, weight)
        ctx.size, ctx.rest = input_size, rest

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_output, weight = ctx.saved_tensors
        of_grad_output, of_weight = ctx.needs_input_grad[1:3]
        return (
            CONVOLUTION(grad, weight, None, *ctx.rest[:-1]) if of_grad_output else None,
            GRAD_WEIGHT(grad_output, grad, weight.shape, *ctx.rest) if of_weight else None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        grad_output, weight = ctx.saved_tensors
        grad_tangent, weight_tangent = tangents
        return _sum(
            None if grad_tangent is None else GRAD_INPUT(grad_tangent, weight, ctx.size, *ctx.rest),
            None if weight_tangent is None else GRAD_INPUT(grad_output, weight_tangent, ctx.size, *ctx.rest),
        )


class _GradWeightRule:
    """Of gw(gy, x): y(x, ·) and gx(gy, ·)."""

    @staticmethod
    def save(ctx: Any, grad_output: Tensor, input: Tensor, weight_size: Sequence[int], *rest: Any) -> None:
        _keep(ctx, grad_output, input)
        ctx.size, ctx.rest = weight_size, rest

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_output, x = ctx.saved_tensors
        of_grad_output, of_input = ctx.needs_input_grad[1:3]
        return (
            CONVOLUTION(x, grad, None, *ctx.rest[:-1]) if of_grad_output else None,
            GRAD_INPUT(grad_output, grad, x.shape, *ctx.rest) if of_input else None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        grad_output, x = ctx.saved_tensors
        grad_tangent, input_tangent = tangents
        return _sum(
            None if grad_tangent is None else GRAD_WEIGHT(grad_tangent, x, ctx.size, *ctx.rest),
            None if input_tangent is None else GRAD_WEIGHT(grad_output, input_tangent, ctx.size, *ctx.rest),
        )


class _GradBiasRule:
    """Of the sums over images and pixels: the same value everywhere."""

    @staticmethod
    def save(ctx: Any, grad_output: Tensor) -> None:
        ctx.size = grad_output.shape

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (_over_images(grad, ctx.size),)

    @staticmethod
    def jvp(_ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        return None if tangents[0] is None else tensor_of(GRAD_BIAS(tangents[0]))


def _over_images(bias: Tensor, size: Sequence[int]) -> Tensor:
    """A bias (O,) in every pixel of images (N, O, H, W): the transpose of summing over them."""
    return bias[:, None, None].expand(size)


_RULES: dict[str, type[_Rule]] = {
    "convolution": _ConvolutionRule,
    "grad_input": _GradInputRule,
    "grad_weight": _GradWeightRule,
    "grad_bias": _GradBiasRule,
}


class _Level:
    """Where in torch's stack of transforms an operator was called, to call it again one step further down."""

    def __init__(self, operator: Any, keys: Any) -> None:
        self.operator = operator
        self.keys = keys & torch._C._after_autograd_keyset
        self.grad, self.forward_grad = torch.is_grad_enabled(), torch._C._is_fwd_grad_enabled()

    def descend(self, arguments: Sequence[Any]) -> Any:
        with ExitStack() as stack:
            stack.enter_context(torch._C._AutoDispatchBelowAutograd())
            # A Function turns both off for its forward, but outer transforms, which come next, have still to
            # see them on.
            stack.enter_context(torch.set_grad_enabled(self.grad))
            stack.enter_context(_set_fwd_grad_enabled(self.forward_grad))
            return self.operator.redispatch(self.keys, *arguments)


def differentiable(operator: Any) -> Callable[..., Tensor]:
    """The Autograd kernel of an operator: calls it one level down, and knows the derivatives at this one."""

    def forward(level: _Level, *arguments: Any) -> Any:
        return level.descend(arguments)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        ctx.set_materialize_grads(False)
        ctx.others = len(inputs)
        rule.save(ctx, *inputs[1:])

    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        grads = () if grad is None else rule.backward(ctx, grad)
        return (None, *grads, *[None] * (ctx.others - len(grads) - 1))

    def jvp(ctx: Any, _level: None, *tangents: Tensor | None) -> Tensor | None:
        return rule.jvp(ctx, *tangents[:tensors])

    rule = _RULES[operator._opname]
    tensors = sum(
        str(argument.type) in ("Tensor", "Optional[Tensor]") for argument in operator._schema.arguments
    )
    methods: dict[str, Callable[..., Any]] = {
        "forward": forward,
        "setup_context": setup_context,
        "backward": backward,
        "jvp": jvp,
    }
    function: Any = type(
        operator._opname,
        (_SingleLevelFunction,),
        {name: staticmethod(method) for name, method in methods.items()},
    )

    def kernel(keys: Any, *arguments: Any) -> Tensor:
        with enable_single_level_autograd_function():
            return tensor_of(function.apply(_Level(operator, keys), *arguments))

    return kernel
