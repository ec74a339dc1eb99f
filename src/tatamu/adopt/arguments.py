"""The arguments of torch's operators → a convolution of ours; or the reason why it stays torch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tatamu import validate
from tatamu.errors import TatamuError
from tatamu.geometry import Convolution, Geometry

Size = tuple[int, int, int, int]
Pair = tuple[int, int]

EMPTY = "nothing to compute: an operand without elements"
SEVERAL_DEVICES = "operands on several devices"
SEVERAL_DTYPES = "operands of several dtypes"
REFUSED = "arguments that torch refuses"

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)
_DTYPES = {"cpu": (*_FLOATS, *_INTEGERS), "cuda": _FLOATS}
"""Those that torch convolves in. Of complex numbers it makes real convolutions before it asks anybody."""


class Left(Exception):  # noqa: N818  # No mistake: another computes.
    """A call is torch's; the message says why."""


@dataclass(frozen=True)
class Arguments:
    """All but the tensors. A list of one value counts for both axes."""

    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    transposed: bool
    output_padding: Sequence[int]
    groups: int


@dataclass(frozen=True)
class Asked:
    """A convolution, or the gradient of its input, which is what torch calls a transposed one."""

    convolution: Convolution
    transposed: bool
    output_size: Size


def check(input: Tensor, weight: Tensor, others: Sequence[Tensor], device: str) -> None:
    """Check that there are kernels for such operands.

    Raises:
        Left: there are none.
    """
    if weight.dim() != 4:
        raise Left(f"{weight.dim() - 2}-D")
    if input.dim() != 4:
        raise Left(REFUSED)
    tensors = (input, weight, *others)
    if any(tensor.layout is not torch.strided for tensor in tensors):
        raise Left("an operand that is not strided")
    if any(tensor.device != input.device for tensor in tensors) or input.device.type != device:
        raise Left(SEVERAL_DEVICES)
    if any(tensor.dtype != input.dtype for tensor in tensors):
        raise Left(SEVERAL_DTYPES)
    if input.dtype not in _DTYPES[device]:
        raise Left(f"{input.dtype} on {device}")
    if any(tensor.numel() == 0 for tensor in tensors):
        raise Left(EMPTY)


def resolve(input: Tensor, weight: Tensor, bias_size: Sequence[int] | None, arguments: Arguments) -> Asked:
    """What the arguments stand for, with operands that `check` has seen.

    Raises:
        Left: they are none that torch computes.
    """
    if arguments.transposed:
        return _transposed(_size(input), _size(weight), bias_size, arguments)
    try:
        convolution = validate.resolve(
            input.shape, weight.shape, bias_size, tuple(arguments.stride), tuple(arguments.padding),
            tuple(arguments.dilation), arguments.groups, "zeros",
        )  # fmt: skip
    except TatamuError:
        raise Left(REFUSED) from None
    return Asked(convolution, False, Geometry.of(_size(input), _size(weight), convolution).output_size)


def _transposed(
    input_size: Size, weight_size: Size, bias_size: Sequence[int] | None, arguments: Arguments
) -> Asked:
    """The convolution whose gradient it is: from the transposed one's result to its input."""
    stride, padding, dilation, more = (
        _pair(values)
        for values in (arguments.stride, arguments.padding, arguments.dilation, arguments.output_padding)
    )
    (n, c, *size), (o, per_group, *kernel), groups = input_size, weight_size, arguments.groups
    if (
        min(stride) < 1 or min(dilation) < 1 or min(padding) < 0 or min(more) < 0 or groups < 1
        or c != o or o % groups
        or any(more[i] >= max(stride[i], dilation[i]) for i in (0, 1))
        or (bias_size is not None and tuple(bias_size) != (per_group * groups,))
    ):  # fmt: skip
        raise Left(REFUSED)
    height, width = (
        (size[i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[i] - 1) + more[i] + 1
        for i in (0, 1)
    )
    if min(height, width) < 1:
        raise Left(REFUSED)
    rows, columns = (_sides(padding[i], more[i], stride[i]) for i in (0, 1))
    convolution = Convolution(stride, (rows, columns), dilation, groups)
    return Asked(convolution, True, (n, per_group * groups, height, width))


def _sides(padding: int, more: int, stride: int) -> Pair:
    """Padding before and after. Rows that no stride reaches are the convolution's to leave out."""
    return (padding, padding) if more < stride else (padding, padding - more)


def _pair(values: Sequence[int]) -> Pair:
    if len(values) not in (1, 2):
        raise Left(REFUSED)
    return values[0], values[-1]


def _size(tensor: Tensor) -> Size:
    n, c, h, w = tensor.shape
    return n, c, h, w
