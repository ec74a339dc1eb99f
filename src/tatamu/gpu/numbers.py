"""In what the elements of a dtype are multiplied and summed."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Numbers:
    """How kernels compute with a dtype.

    Attributes:
        dtype: of one stored scalar; a complex element is two of them.
        sums: what sums are in: float32, float64, or integers that wrap around.
        parts: scalars of an element.
        precision: of products on tensor cores, in Triton's words ('ieee' or, of float32 alone, 'tf32'); None
            for what they do not multiply.
    """

    dtype: torch.dtype
    sums: torch.dtype
    parts: int = 1
    precision: str | None = None

    @property
    def has_tensor_cores(self) -> bool:
        """Whether products are cheaper than loads: not in float32, which only looks like it to Triton."""
        return self.precision == "tf32" or (self.precision is not None and self.dtype.itemsize == 2)


_PARTS = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}


def numbers_of(dtype: torch.dtype) -> Numbers:
    """How a dtype is computed with now: float32 in TF32 where torch would let cuDNN do so."""
    if dtype.is_complex:
        part = _PARTS[dtype]
        return Numbers(part, torch.float64 if part is torch.float64 else torch.float32, parts=2)
    if dtype is torch.float64:
        return Numbers(dtype, torch.float64)
    if dtype is torch.float32:
        return Numbers(dtype, torch.float32, precision="tf32" if allows_tf32() else "ieee")
    if dtype.is_floating_point:
        return Numbers(dtype, torch.float32, precision="ieee")
    return Numbers(dtype, torch.int64 if dtype is torch.int64 else torch.int32)


def allows_tf32() -> bool:
    """Whether torch's convolutions may round float32 factors to 11 bits: its default, unlike for matmul.

    `torch.backends.cudnn.allow_tf32`, and its newer name, are one flag.
    """
    return torch._C._get_fp32_precision_getter("cuda", "conv") == "tf32"
