"""Random convolutions that can be drawn, and what torch makes of them."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torch.nn import functional

from tatamu.geometry import PADDING_MODES, Convolution, Geometry

_TORCH_MODE = {"zeros": "constant"}


def geometry(mode: str | None = None, channels: bool = False) -> Geometry:
    """A small convolution with any arguments, non-square and asymmetric."""
    while True:
        size = random.randint(1, 7), random.randint(1, 7)
        kernel = random.randint(1, 4), random.randint(1, 4)
        groups = random.choice([1, 1, 2, 3]) if channels else 1
        each = (random.randint(1, 2), random.randint(1, 2)) if channels else (1, 1)
        chosen = mode or random.choice(PADDING_MODES)
        # Reflection needs less padding than there are pixels, a circle at most as much.
        most = [{"reflect": pixels - 1, "circular": pixels}.get(chosen, 5) for pixels in size]
        padding = tuple((random.randint(0, min(3, m)), random.randint(0, min(3, m))) for m in most)
        convolution = Convolution(
            (random.randint(1, 3), random.randint(1, 3)),
            (padding[0], padding[1]),
            (random.randint(1, 3), random.randint(1, 3)),
            groups,
            chosen,
        )
        found = Geometry.of((1, groups * each[0], *size), (groups * each[1], each[0], *kernel), convolution)
        if (
            found.rows.padded >= found.rows.effective_kernel
            and found.columns.padded >= found.columns.effective_kernel
        ):
            return found


def output(of: Geometry, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """torch's convolution of an input (N, C, H, W)."""
    (top, bottom), (left, right) = of.padding
    padded = functional.pad(
        input, (left, right, top, bottom), _TORCH_MODE.get(of.padding_mode, of.padding_mode)
    )
    convolution = of.convolution
    return functional.conv2d(padded, weight, bias, convolution.stride, 0, convolution.dilation, of.groups)


def weight(of: Geometry) -> Tensor:
    """Weights of which no sum is another's: distinct powers of two."""
    return 2.0 ** torch.arange(of.reduction * of.out_channels, dtype=torch.float64).reshape(of.weight_size)


def jacobian(of: Geometry, weight: Tensor) -> Tensor:
    """How each pixel of the output changes with each of the input, of one channel each: (Ho, Wo, H, W)."""
    height, width = of.input_size[2:]
    each = torch.eye(height * width, dtype=torch.float64).reshape(-1, 1, height, width)
    return output(of, each, weight)[:, 0].permute(1, 2, 0).unflatten(2, (height, width))
