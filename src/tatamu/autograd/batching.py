"""How each map runs over a batch of operands in one call: torch.vmap's rules.

The batch (B of them) is folded into a dimension that the map keeps apart anyway, never looped over:

    operand that is batched     folded into
    only the images             the batch of images
    only the weights            output channels, inside each group
    both                        the groups

and the same for the gradients, whose operands and result change places. A rule takes the operator itself,
what torch tells about the batch, and the operator's arguments; it returns the result and the dimension of the
batch in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

Operator = Callable[..., Tensor]
Dims = Sequence[int | None]
Batched = tuple[Tensor, int]


class BatchInfo(Protocol):
    """What torch.vmap tells a rule."""

    @property
    def batch_size(self) -> int:
        """B."""


def convolution(
    operator: Operator,
    info: BatchInfo,
    dims: Dims,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    padding_mode: str,
) -> Batched:
    """The output."""
    batch, (input_dim, weight_dim, bias_dim) = info.batch_size, dims[:3]
    arguments = stride, padding, dilation
    if weight_dim is None:
        common_bias = bias if bias_dim is None else None
        if input_dim is None:
            output = operator(input, weight, common_bias, *arguments, groups, padding_mode).unsqueeze(0)
        else:
            images = _into(input.movedim(input_dim, 0), 0)
            output = _out_of(
                operator(images, weight, common_bias, *arguments, groups, padding_mode), 0, batch
            )
        if bias is not None and bias_dim is not None:
            output = output + bias.movedim(bias_dim, 0)[:, None, :, None, None]
        return output, 0
    weight = weight.movedim(weight_dim, 0)
    if bias is not None:
        bias = bias.expand(batch, -1) if bias_dim is None else bias.movedim(bias_dim, 0)
    if input_dim is None:
        weights = _into_groups(weight, 0, groups)
        biases = None if bias is None else _into_groups(bias, 0, groups)
        return _out_of_groups(
            operator(input, weights, biases, *arguments, groups, padding_mode), 1, groups, batch
        ), 0
    images, weights = _into(input.movedim(input_dim, 0), 1), _into(weight, 0)
    biases = None if bias is None else _into(bias, 0)
    return _out_of(operator(images, weights, biases, *arguments, groups * batch, padding_mode), 1, batch), 0


def grad_input(
    operator: Operator,
    info: BatchInfo,
    dims: Dims,
    grad_output: Tensor,
    weight: Tensor,
    input_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    padding_mode: str,
    channels_last: bool,
) -> Batched:
    """The gradient of the input."""
    batch, (grad_dim, weight_dim) = info.batch_size, dims[:2]
    arguments, (n, c, h, w) = (stride, padding, dilation), input_size
    if weight_dim is None:
        grads = _into(grad_output.movedim(_dim(grad_dim), 0), 0)
        size = [n * batch, c, h, w]
        result = operator(grads, weight, size, *arguments, groups, padding_mode, channels_last)
        return _out_of(result, 0, batch), 0
    size = [n, c * batch, h, w]
    if grad_dim is None:
        weights = _into(weight.movedim(weight_dim, 0), 1)
        result = operator(grad_output, weights, size, *arguments, groups, padding_mode, channels_last)
        return _out_of_groups(result, 1, groups, batch), 0
    grads, weights = _into(grad_output.movedim(grad_dim, 0), 1), _into(weight.movedim(weight_dim, 0), 0)
    result = operator(grads, weights, size, *arguments, groups * batch, padding_mode, channels_last)
    return _out_of(result, 1, batch), 0


def grad_weight(
    operator: Operator,
    info: BatchInfo,
    dims: Dims,
    grad_output: Tensor,
    input: Tensor,
    weight_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    padding_mode: str,
    channels_last: bool,
) -> Batched:
    """The gradient of the weight."""
    batch, (grad_dim, input_dim) = info.batch_size, dims[:2]
    arguments, (o, c, kh, kw) = (stride, padding, dilation), weight_size
    if input_dim is None:
        grads = _into_groups(grad_output.movedim(_dim(grad_dim), 0), 1, groups)
        size = [o * batch, c, kh, kw]
        result = operator(grads, input, size, *arguments, groups, padding_mode, channels_last)
        return _out_of_groups(result, 0, groups, batch), 0
    if grad_dim is None:
        images = _into_groups(input.movedim(input_dim, 0), 1, groups)
        size = [o, c * batch, kh, kw]
        result = operator(grad_output, images, size, *arguments, groups, padding_mode, channels_last)
        return _out_of(result, 1, batch), 0
    grads, images = _into(grad_output.movedim(grad_dim, 0), 1), _into(input.movedim(input_dim, 0), 1)
    size = [o * batch, c, kh, kw]
    result = operator(grads, images, size, *arguments, groups * batch, padding_mode, channels_last)
    return _out_of(result, 0, batch), 0


def grad_bias(operator: Operator, info: BatchInfo, dims: Dims, grad_output: Tensor) -> Batched:
    """The gradient of the bias."""
    return _out_of(operator(_into(grad_output.movedim(_dim(dims[0]), 0), 1)), 0, info.batch_size), 0


def _dim(dim: int | None) -> int:
    # torch calls a rule only if some operand is batched, and the other one is not.
    assert dim is not None
    return dim


def _into(tensor: Tensor, dim: int) -> Tensor:
    """Fold dimension 0, the batch, into the front of dimension `dim` of what is left."""
    batch, *size = tensor.shape
    size[dim] *= batch
    return tensor.movedim(0, dim).reshape(size)


def _out_of(tensor: Tensor, dim: int, batch: int) -> Tensor:
    """The inverse of `_into`."""
    size = list(tensor.shape)
    return tensor.reshape(*size[:dim], batch, size[dim] // batch, *size[dim + 1 :]).movedim(dim, 0)


def _into_groups(tensor: Tensor, dim: int, groups: int) -> Tensor:
    """Fold dimension 0, the batch, into dimension `dim` of what is left, inside each of its groups."""
    batch, *size = tensor.shape
    grouped = tensor.reshape(batch, *size[:dim], groups, size[dim] // groups, *size[dim + 1 :])
    size[dim] *= batch
    return grouped.movedim(0, dim + 1).reshape(size)


def _out_of_groups(tensor: Tensor, dim: int, groups: int, batch: int) -> Tensor:
    """The inverse of `_into_groups`."""
    size = list(tensor.shape)
    each = size[dim] // groups // batch
    grouped = tensor.reshape(*size[:dim], groups, batch, each, *size[dim + 1 :])
    return grouped.movedim(dim + 1, 0).reshape(batch, *size[:dim], groups * each, *size[dim + 1 :])
