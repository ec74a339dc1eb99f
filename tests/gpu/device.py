"""The device that kernels are tested on, and tensors there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from engine.cases import Case, Operands

DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
"""The interpreter takes tensors on the CPU."""


def placed(tensor: Tensor) -> Tensor:
    """The tensor on the device, in memory that lies as its own does, with what is around it."""
    if DEVICE.type == "cpu":
        return tensor
    lazy = tensor.is_conj(), tensor.is_neg()
    plain = tensor.conj() if lazy[0] else tensor
    plain = torch._neg_view(plain) if lazy[1] else plain
    base = torch.empty(0, dtype=plain.dtype)
    base.set_(plain.untyped_storage(), 0, (plain.untyped_storage().nbytes() // plain.itemsize,))
    there = base.to(DEVICE).as_strided(plain.size(), plain.stride(), plain.storage_offset())
    there = there.conj() if lazy[0] else there
    return torch._neg_view(there) if lazy[1] else there


def operands(case: Case, dtype: torch.dtype) -> tuple[Operands, Operands]:
    """A case's operands, for the judges on the CPU and for kernels on the device."""
    here = case.operands(dtype)
    bias = None if here.bias is None else placed(here.bias)
    there = Operands(here.geometry, placed(here.input), placed(here.weight), bias, placed(here.grad_output))
    return here, there


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """Multiply float32 in 'tf32' or in 'ieee', whatever torch's default is."""
    before = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]  # torch's, made at run time.
    torch.backends.cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.backends.cudnn.conv.fp32_precision = before  # type: ignore[attr-defined]
