"""Passes on the engine itself, for any target: tensors → strides and addresses, without `launch`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from engine.cases import Operands
from tatamu.engine.execute import Call
from tatamu.engine.lowering.common import Lowered, Operand
from tatamu.engine.lowering.passes import (
    lower_forward,
    lower_grad_bias,
    lower_grad_input,
    lower_grad_weight,
)
from tatamu.engine.runtime import memory
from tatamu.engine.spec import ELEMENT_TYPES, ElementType
from tatamu.engine.target import Target

NAMES = {
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.float32: "f32",
    torch.float64: "f64",
    torch.complex32: "c32",
    torch.complex64: "c64",
    torch.complex128: "c128",
    torch.int8: "i8",
    torch.int16: "i16",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.uint8: "u8",
}


def element_type(dtype: torch.dtype) -> ElementType:
    """The engine's name of a dtype."""
    return ELEMENT_TYPES[NAMES[dtype]]


def operand(tensor: Tensor) -> Operand:
    """A tensor as the engine sees it."""
    n, c, h, w = tensor.stride()
    return Operand((n, c, h, w), tensor.is_conj())


def resolved(operands: Operands) -> Operands:
    """The operands as the engine takes them: signs carried out, and the bias's conjugate too."""
    bias = operands.bias
    return Operands(
        operands.geometry,
        operands.input.resolve_neg(),
        operands.weight.resolve_neg(),
        None if bias is None else bias.resolve_neg().resolve_conj(),
        operands.grad_output.resolve_neg(),
    )


def new_result(which: str, operands: Operands, channels_last: bool) -> Tensor:
    """Room for the result of a pass, poisoned."""
    geometry, dtype = operands.geometry, operands.input.dtype
    size = {
        "forward": geometry.output_size,
        "grad_input": geometry.input_size,
        "grad_weight": geometry.weight_size,
        "grad_bias": (geometry.out_channels,),
    }[which]
    poison = torch.nan if dtype.is_floating_point or dtype.is_complex else 77
    result = torch.full(size, poison, dtype=dtype)
    return (
        result.contiguous(memory_format=torch.channels_last) if channels_last and len(size) == 4 else result
    )


def lower(which: str, operands: Operands, result: Tensor, target: Target, *, frozen: bool = False) -> Lowered:
    """A pass lowered for these operands; they are `resolved`. The forward pass may be of a frozen weight."""
    geometry, element = operands.geometry, element_type(operands.input.dtype)
    x, w, gy = (operand(t) for t in (operands.input, operands.weight, operands.grad_output))
    match which:
        case "forward":
            step = None if operands.bias is None else operands.bias.stride(0)
            return lower_forward(geometry, element, target, x, w, step, operand(result), frozen=frozen)
        case "grad_input":
            return lower_grad_input(geometry, element, target, gy, w, operand(result))
        case "grad_weight":
            return lower_grad_weight(geometry, element, target, x, gy, operand(result))
        case _:
            return lower_grad_bias(geometry, element, target, gy)


def read_by(which: str, operands: Operands) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The operands of a pass in the order that `Call.run` takes them."""
    match which:
        case "forward":
            return operands.input, operands.weight, operands.bias
        case "grad_input":
            return operands.grad_output, operands.weight, None
        case "grad_weight":
            return operands.input, operands.grad_output, None
        case _:
            return operands.grad_output, None, None


def run(
    which: str, operands: Operands, target: Target, *, channels_last: bool = False, threads: int = 1
) -> Tensor:
    """One pass; its result and its workspace were poisoned."""
    operands = resolved(operands)
    result = new_result(which, operands, channels_last)
    source, second, bias = (0 if t is None else t.data_ptr() for t in read_by(which, operands))
    call = Call(lower(which, operands, result, target), target)
    with poisoned_workspaces():
        call.run(source, second, bias, result.data_ptr(), threads)
    return result


@contextmanager
def poisoned_workspaces() -> Iterator[None]:
    """Every workspace handed out is filled with NaN first (in integers: with ones in every bit)."""
    original = memory.take

    def take(size: int) -> memory.Workspace:
        workspace = original(size)
        ctypes.memset(workspace[1], 0xFF, size)
        return workspace

    memory.take = take
    try:
        yield
    finally:
        memory.take = original
