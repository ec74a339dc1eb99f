"""What the tensors of one convolution must have in common, apart from their sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from tatamu import errors

DTYPES = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.complex32, torch.complex64, torch.complex128,
    torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8,
)  # fmt: skip

# On meta there are sizes but no numbers: nothing to compute, so no kernels are needed.
_DEVICES = ("cpu", "cuda", "meta")


def check_kind(input: object, weight: object, bias: object) -> None:
    """Check that the operands are dense tensors on one device that there are kernels for.

    Raises:
        ArgumentTypeError: not a tensor.
        LayoutError: a sparse one.
        DeviceError: on different devices, or on another than these.
    """
    named = {"input": input, "weight": weight} | ({} if bias is None else {"bias": bias})
    tensors = []
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor):
            raise errors.ArgumentTypeError.of(
                name, tensor, "a Tensor or None" if name == "bias" else "a Tensor"
            )
        if tensor.layout != torch.strided:
            raise errors.LayoutError.of(name, str(tensor.layout))
        tensors.append(tensor)
    device = tensors[0].device
    if any(tensor.device != device for tensor in tensors):
        raise errors.DeviceError.of_mismatch(f"{tensor.device}" for tensor in tensors)
    if device.type not in _DEVICES:
        raise errors.DeviceError.of_unsupported(f"{device}", _DEVICES[:2])


def check_dtypes(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Check that the operands have one dtype, one that there are kernels for.

    Raises:
        DtypeMismatchError: several.
        UnsupportedDtypeError: bool, unsigned integers above 8 bits, and the 8-bit floats.
    """
    if bias is not None and bias.dtype != input.dtype:
        raise errors.DtypeMismatchError.of_bias(_name(input.dtype), _name(weight.dtype), _name(bias.dtype))
    if weight.dtype != input.dtype:
        raise errors.DtypeMismatchError.of_weight(_name(input.dtype), _name(weight.dtype))
    if input.dtype not in DTYPES:
        raise errors.UnsupportedDtypeError.of(_name(input.dtype), map(_name, DTYPES))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
