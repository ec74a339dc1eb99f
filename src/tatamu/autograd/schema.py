"""The operators' names and signatures, and a convolution in the plain values that signatures can have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tatamu.geometry import Convolution

Size = tuple[int, int, int, int]
Plain = tuple[Sequence[int], Sequence[int], Sequence[int], int, str]

_PLAIN = "SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups, str padding_mode"
_GRAD = f"{_PLAIN}, bool channels_last"
library = torch.library.Library("tatamu", "DEF")  # type: ignore[no-untyped-call]  # torch's.
for _schema in (
    f"convolution(Tensor input, Tensor weight, Tensor? bias, {_PLAIN}) -> Tensor",
    f"grad_input(Tensor grad_output, Tensor weight, SymInt[] input_size, {_GRAD}) -> Tensor",
    f"grad_weight(Tensor grad_output, Tensor input, SymInt[] weight_size, {_GRAD}) -> Tensor",
    "grad_bias(Tensor grad_output) -> Tensor",
):
    # The tag: torch's compiler may take them into its graphs, as the tests of each have shown.
    library.define(_schema, tags=torch.Tag.pt2_compliant_tag)  # type: ignore[no-untyped-call]  # torch's.
CONVOLUTION = torch.ops.tatamu.convolution.default
GRAD_INPUT = torch.ops.tatamu.grad_input.default
GRAD_WEIGHT = torch.ops.tatamu.grad_weight.default
GRAD_BIAS = torch.ops.tatamu.grad_bias.default


def tensor_of(result: Any) -> Tensor:
    """An operator's result, which is typed Any."""
    assert isinstance(result, Tensor)
    return result


def plain(convolution: Convolution) -> Plain:
    """A convolution as the operators take it: padding is (top, bottom, left, right)."""
    rows, columns = convolution.padding
    return (
        convolution.stride,
        (*rows, *columns),
        convolution.dilation,
        convolution.groups,
        convolution.padding_mode,
    )


def resolved(
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int, padding_mode: str
) -> Convolution:
    """The inverse of `plain`."""
    top, bottom, left, right = padding
    return Convolution(
        (stride[0], stride[1]),
        ((top, bottom), (left, right)),
        (dilation[0], dilation[1]),
        groups,
        padding_mode,
    )


def size_of(size: Sequence[int]) -> Size:
    """Four sizes, as a tuple that says so."""
    a, b, c, d = size
    return a, b, c, d
