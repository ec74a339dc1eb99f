"""Which memory format a result has. Kernels and fake kernels both ask here, so they agree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def suggest_channels_last(input: Tensor, weight: Tensor) -> bool:
    """Whether output and gradients are channels_last: if input or weight is, and the batch not empty.

    It is a matter of the strides alone, as in torch, where those of a dimension of one element count too: a
    tensor of one channel that was made channels_last still says so, and one that was not does not.
    """
    if input.shape[0] == 0:
        return False
    return _is_channels_last(input.shape, input.stride()) or _is_channels_last(weight.shape, weight.stride())


def memory_format(channels_last: bool) -> torch.memory_format:
    """torch's name of the format."""
    return torch.channels_last if channels_last else torch.contiguous_format


def _is_channels_last(size: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether strides grow in the order C, W, H, N; with gaps too, as slices of such a tensor have them."""
    if stride[1] == 0 or stride[3] < stride[1]:
        return False  # The second is every contiguous image, settled at once.
    least = 0
    for dimension in (1, 3, 2, 0):
        if size[dimension] == 0 or stride[dimension] < least:
            return False
        if dimension == 0 and least == stride[1]:
            return False  # One pixel and one channel apart by the same step: the strides fit both formats.
        least = stride[dimension] * max(size[dimension], 1)
    return True
