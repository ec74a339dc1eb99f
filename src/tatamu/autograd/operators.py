"""The four maps as operators of torch, `torch.ops.tatamu`: right under every transform, tracer and compiler.

Each operator has a kernel, a fake kernel (sizes and strides alone, symbolic sizes included), a batching rule,
and a derivative in both directions. torch's `register_autograd` knows the backward direction only, and lets
forward-mode tangents vanish without a word; so the derivatives are registered as a kernel for the Autograd
key, which is the level of torch at which each transform (and each of several nested ones) asks for its own
derivative.

Tensor arguments come first. Then, for all but the bias: sizes of the result where they do not follow from the
operands, the convolution in plain values (the operators' schemas know no classes), and for gradients the
memory format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from tatamu import errors, launch, validate
from tatamu.autograd import batching, derivatives, flops, operands
from tatamu.autograd.schema import (
    CONVOLUTION,
    GRAD_BIAS,
    GRAD_INPUT,
    GRAD_WEIGHT,
    Plain,
    Size,
    library,
    plain,
    resolved,
    size_of,
    tensor_of,
)
from tatamu.geometry import Convolution, Geometry
from tatamu.gpu import availability
from tatamu.layout import memory_format, suggest_channels_last


def convolution(input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> Tensor:
    """The output (N, O, Ho, Wo) of (N, C, H, W), a weight (O, C / groups, kh, kw), a bias (O,) or None."""
    return tensor_of(CONVOLUTION(input, weight, bias, *plain(convolution)))


def grad_input(
    grad_output: Tensor,
    weight: Tensor,
    input_size: Sequence[int],
    convolution: Convolution,
    channels_last: bool,
) -> Tensor:
    """The gradient (N, C, H, W) of the input, for a gradient (N, O, Ho, Wo) of the output."""
    return tensor_of(GRAD_INPUT(grad_output, weight, input_size, *plain(convolution), channels_last))


def grad_weight(
    grad_output: Tensor,
    input: Tensor,
    weight_size: Sequence[int],
    convolution: Convolution,
    channels_last: bool,
) -> Tensor:
    """The gradient (O, C / groups, kh, kw) of the weight, for a gradient (N, O, Ho, Wo) of the output."""
    return tensor_of(GRAD_WEIGHT(grad_output, input, weight_size, *plain(convolution), channels_last))


def grad_bias(grad_output: Tensor) -> Tensor:
    """The gradient (O,) of the bias, for a gradient (N, O, Ho, Wo) of the output."""
    return tensor_of(GRAD_BIAS(grad_output))


# ---- Kernels. Operators can be called from anywhere with anything, and kernels trust pointers: check.

_validated = lru_cache(maxsize=4096)(validate.resolve)


def _checked(
    input_size: Size, weight_size: Size, bias_size: tuple[int, ...] | None, values: Plain
) -> Convolution:
    convolution = resolved(*values)
    return _validated(
        input_size, weight_size, bias_size, convolution.stride, convolution.padding, convolution.dilation,
        convolution.groups, convolution.padding_mode,
    )  # fmt: skip


def _check_grad_output(
    grad_output: Tensor, input_size: Size, weight_size: Size, convolution: Convolution
) -> None:
    expected = Geometry.of(input_size, weight_size, convolution).output_size
    if tuple(grad_output.shape) != expected:
        raise errors.GradOutputSizeError.of(grad_output.shape, expected)


def _maps(device: torch.device) -> availability.Maps:
    """Who computes on a device."""
    return availability.maps() if device.type == "cuda" else launch


def _convolution(input: Tensor, weight: Tensor, bias: Tensor | None, *values: Any) -> Tensor:
    operands.check_kind(input, weight, bias)
    operands.check_dtypes(input, weight, bias)
    bias_size = None if bias is None else tuple(bias.shape)
    checked = _checked(size_of(input.shape), size_of(weight.shape), bias_size, values)
    return _maps(input.device).forward(input, weight, bias, checked)


def _grad_input(grad_output: Tensor, weight: Tensor, input_size: Sequence[int], *rest: Any) -> Tensor:
    *values, channels_last = rest
    operands.check_kind(grad_output, weight, None)
    operands.check_dtypes(grad_output, weight, None)
    sizes = size_of(input_size), size_of(weight.shape)
    checked = _checked(*sizes, None, tuple(values))
    _check_grad_output(grad_output, *sizes, checked)
    return _maps(grad_output.device).grad_input(grad_output, weight, sizes[0], checked, channels_last)


def _grad_weight(grad_output: Tensor, input: Tensor, weight_size: Sequence[int], *rest: Any) -> Tensor:
    *values, channels_last = rest
    operands.check_kind(grad_output, input, None)
    operands.check_dtypes(grad_output, input, None)
    sizes = size_of(input.shape), size_of(weight_size)
    checked = _checked(*sizes, None, tuple(values))
    _check_grad_output(grad_output, *sizes, checked)
    return _maps(grad_output.device).grad_weight(grad_output, input, sizes[1], checked, channels_last)


def _grad_bias(grad_output: Tensor) -> Tensor:
    operands.check_kind(grad_output, grad_output, None)
    operands.check_dtypes(grad_output, grad_output, None)
    return _maps(grad_output.device).grad_bias(grad_output)


# ---- Fake kernels. Sizes may be symbolic: no hashing, and no checks, which `functional` has made.


def _empty(size: Sequence[int], like: Tensor, channels_last: bool) -> Tensor:
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=memory_format(channels_last))


def _convolution_fake(input: Tensor, weight: Tensor, _bias: Tensor | None, *values: Any) -> Tensor:
    size = Geometry.of(size_of(input.shape), size_of(weight.shape), resolved(*values)).output_size
    return _empty(size, input, suggest_channels_last(input, weight))


def _grad_fake(grad_output: Tensor, _other: Tensor, size: Sequence[int], *rest: Any) -> Tensor:
    return _empty(size, grad_output, rest[-1])


def _grad_bias_fake(grad_output: Tensor) -> Tensor:
    return _empty((grad_output.shape[1],), grad_output, False)


def _register(
    operator: Any, kernel: Callable[..., Tensor], fake: Callable[..., Tensor], batch: Callable[..., Any]
) -> None:
    name = operator._opname
    for key in ("CPU", "CUDA"):
        library.impl(name, kernel, key)  # type: ignore[no-untyped-call]  # torch's.
    autograd = derivatives.differentiable(operator)
    library.impl(name, autograd, "Autograd", with_keyset=True)  # type: ignore[no-untyped-call]  # torch's.
    torch.library.register_fake(f"tatamu::{name}", fake, lib=library)
    torch.library.register_vmap(f"tatamu::{name}", partial(batch, operator), lib=library)


_register(CONVOLUTION, _convolution, _convolution_fake, batching.convolution)
_register(GRAD_INPUT, _grad_input, _grad_fake, batching.grad_input)
_register(GRAD_WEIGHT, _grad_weight, _grad_fake, batching.grad_weight)
_register(GRAD_BIAS, _grad_bias, _grad_bias_fake, batching.grad_bias)
flops.register()
