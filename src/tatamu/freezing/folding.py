"""BatchNorm2d in eval mode, folded into the convolution before it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import BatchNorm2d

from tatamu.nn import Conv2d


def obstacle(layer: Conv2d, norm: BatchNorm2d) -> str:
    """Why a normalisation is not a multiplication and an addition of constants; empty where it is."""
    if norm.training:
        return "it is in training mode"
    if norm.running_mean is None or norm.running_var is None:
        return "it has no running statistics"
    if norm.num_features != layer.out_channels:
        return f"it is of {norm.num_features} channels"
    if any(it.dtype != layer.weight.dtype for it in (norm.running_mean, norm.running_var)):
        return "its dtype is another"
    if not layer.weight.is_floating_point():
        return "the weight is not of real floats"
    return ""


def fold(layer: Conv2d, norm: BatchNorm2d) -> tuple[Tensor, Tensor] | None:
    """Weight and bias of the convolution that is both; None where they would not be finite."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None  # See `obstacle`.
    assert variance is not None
    with torch.no_grad():
        scale = (variance.double() + norm.eps).rsqrt()
        shift = -mean.double() if layer.bias is None else layer.bias.double() - mean.double()
        if norm.affine:
            scale = scale * norm.weight.double()
        shift = shift * scale
        if norm.affine:
            shift = shift + norm.bias.double()
        dtype = layer.weight.dtype
        # The weight keeps its memory format.
        weight, bias = (layer.weight.double() * scale.view(-1, 1, 1, 1)).to(dtype), shift.to(dtype)
    return (weight, bias) if bool(weight.isfinite().all() and bias.isfinite().all()) else None
