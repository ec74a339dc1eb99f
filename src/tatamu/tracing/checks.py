"""Mistakes in convolutions that torch's tensors without memory let through, in tatamu's sentences."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, Signature
from typing import Any

import torch
from torch import Tensor

from tatamu import validate
from tatamu.autograd import schema
from tatamu.errors import TransposedConvolutionError
from tatamu.geometry import Geometry

CONV2D = Signature(
    [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for name, default in (
            ("input", None), ("weight", None), ("bias", None), ("stride", 1), ("padding", 0), ("dilation", 1),
            ("groups", 1),
        )
    ]
)  # fmt: skip
"""The arguments of torch's conv2d, which is written in C and does not tell."""


def function(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Check a function of torch that a model calls.

    Raises:
        TatamuError: it is conv2d, and its arguments make no convolution.
    """
    if func is torch.conv2d:
        given = CONV2D.bind(*args, **kwargs)
        given.apply_defaults()
        input, weight, bias, stride, padding, dilation, groups = given.args
        if isinstance(input, Tensor) and isinstance(weight, Tensor):
            sizes = input.shape, weight.shape, _shape(bias)
            validate.resolve(*sizes, stride, padding, dilation, groups, "zeros")


def operation(func: Any, arguments: Mapping[str, Any]) -> Geometry | None:
    """Check an operation. Returns the geometry of a 2-D convolution that is not transposed.

    Raises:
        TatamuError: its arguments make no convolution.
    """
    if func is schema.CONVOLUTION:
        x, weight = arguments["input"], arguments["weight"]
        plain = (arguments[it] for it in ("stride", "padding", "dilation", "groups", "padding_mode"))
        return Geometry.of(schema.size_of(x.shape), schema.size_of(weight.shape), schema.resolved(*plain))
    if func is not torch.ops.aten.convolution.default:
        return None
    x, weight, bias = arguments["input"], arguments["weight"], arguments["bias"]
    if arguments["transposed"]:
        _transposed(x.shape, weight.shape, _shape(bias), arguments)
        return None
    if x.dim() != 4 or weight.dim() != 4:
        return None
    convolution = validate.resolve(
        x.shape, weight.shape, _shape(bias), arguments["stride"], arguments["padding"], arguments["dilation"],
        arguments["groups"], "zeros",
    )  # fmt: skip
    return Geometry.of(schema.size_of(x.shape), schema.size_of(weight.shape), convolution)


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape


def _transposed(
    input: torch.Size, weight: torch.Size, bias: torch.Size | None, arguments: Mapping[str, Any]
) -> None:
    groups = arguments["groups"]
    if len(weight) != len(input) or input[1] != weight[0] or groups < 1 or weight[0] % groups:
        raise TransposedConvolutionError.of_channels(input, weight, groups)
    if bias is not None and tuple(bias) != (weight[1] * groups,):
        raise TransposedConvolutionError.of_bias(bias, weight, groups)
    axes = len(input) - 2
    names = ("stride", "padding", "dilation", "output_padding")
    spread = {name: _each(arguments[name], axes) for name in names}
    for axis, kernel in enumerate(weight[2:]):
        stride, padding, dilation, extra = (spread[name][axis] for name in spread)
        if stride < 1 or dilation < 1 or padding < 0 or not 0 <= extra < max(stride, dilation):
            raise TransposedConvolutionError.of_arguments(stride, padding, dilation, extra)
        output = (input[axis + 2] - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
        if output < 1 or input[axis + 2] < 1:
            raise TransposedConvolutionError.of_output(input, output)


def _each(values: list[int], axes: int) -> list[int]:
    return list(values) if len(values) == axes else [values[0]] * axes
