"""torch tensors → addresses, sizes and strides for the engine; results are allocated here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tatamu.engine.execute import Call
from tatamu.engine.lowering.common import Lowered, Operand
from tatamu.engine.lowering.passes import (
    lower_forward,
    lower_grad_bias,
    lower_grad_input,
    lower_grad_weight,
)
from tatamu.engine.runtime.memory import LARGE_RESULT, ask_for_huge_pages
from tatamu.engine.spec import ELEMENT_TYPES
from tatamu.engine.target import host
from tatamu.geometry import Axis, Convolution, Geometry
from tatamu.layout import memory_format, suggest_channels_last

Size = tuple[int, int, int, int]

_ELEMENTS = {
    torch.float16: ELEMENT_TYPES["f16"],
    torch.bfloat16: ELEMENT_TYPES["bf16"],
    torch.float32: ELEMENT_TYPES["f32"],
    torch.float64: ELEMENT_TYPES["f64"],
    torch.complex32: ELEMENT_TYPES["c32"],
    torch.complex64: ELEMENT_TYPES["c64"],
    torch.complex128: ELEMENT_TYPES["c128"],
    torch.int8: ELEMENT_TYPES["i8"],
    torch.int16: ELEMENT_TYPES["i16"],
    torch.int32: ELEMENT_TYPES["i32"],
    torch.int64: ELEMENT_TYPES["i64"],
    torch.uint8: ELEMENT_TYPES["u8"],
}

_MOST_PREPARED = 4096


class _Prepared(NamedTuple):
    """A call, and the result it writes."""

    call: Call
    size: Sequence[int]
    large: bool
    """Whether the result is worth asking for huge pages."""


_prepared: dict[object, _Prepared] = {}


def _prepare(key: object, lower: Callable[[Operand], Lowered], result: Tensor) -> _Prepared:
    """Make ready for these sizes and strides what later calls find."""
    operand = _operand(result) if result.dim() == 4 else Operand((0, 1, 0, 0))
    prepared = _Prepared(Call(lower(operand), host()), result.shape, result.nbytes >= LARGE_RESULT)
    if len(_prepared) >= _MOST_PREPARED:
        _prepared.clear()
    _prepared[key] = prepared
    return prepared


def _signature(tensor: Tensor) -> tuple[object, ...]:
    """What a prepared call depends on in one operand."""
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.is_conj()


def _operand(tensor: Tensor) -> Operand:
    n, c, h, w = tensor.stride()
    return Operand((n, c, h, w), tensor.is_conj())


def _size(tensor: Tensor) -> Size:
    n, c, h, w = tensor.shape
    return n, c, h, w


def _new(size: Sequence[int], like: Tensor, channels_last: bool) -> Tensor:
    """A result whose every element a kernel is about to write."""
    if channels_last:
        return torch.empty(size, dtype=like.dtype, device="cpu", memory_format=torch.channels_last)
    return torch.empty(size, dtype=like.dtype, device="cpu")


def _zeros(size: Size, like: Tensor, channels_last: bool) -> Tensor:
    """The result of sums over nothing."""
    zeros = torch.zeros(size, dtype=like.dtype, device="cpu")
    return zeros.contiguous(memory_format=memory_format(channels_last))


def _run(prepared: _Prepared, source: Tensor, second: Tensor, bias: Tensor | None, result: Tensor) -> Tensor:
    address = result.data_ptr()
    if prepared.large:
        ask_for_huge_pages(address, result.nbytes)
    bias_address = 0 if bias is None else bias.data_ptr()
    prepared.call.run(source.data_ptr(), second.data_ptr(), bias_address, address, torch.get_num_threads())
    return result


def forward(input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> Tensor:
    """The convolution of an input (N, C, H, W) with a weight (O, C / groups, kh, kw): (N, O, Ho, Wo).

    ``bias`` is (O,) or None. Arguments are valid; nothing is recorded for autograd.
    """
    input, weight = input.resolve_neg(), weight.resolve_neg()
    stride = None
    if bias is not None:
        bias = bias.resolve_neg().resolve_conj()
        stride = bias.stride(0)
    channels_last = suggest_channels_last(input, weight)
    key = ("forward", _signature(input), _signature(weight), stride, convolution)
    prepared = _prepared.get(key)
    if prepared is not None:
        return _run(prepared, input, weight, bias, _new(prepared.size, input, channels_last))
    geometry = Geometry.of(_size(input), _size(weight), convolution)
    if input.numel() == 0 or weight.numel() == 0:
        return _zeros(geometry.output_size, input, channels_last)
    result = _new(geometry.output_size, input, channels_last)

    def lower(operand: Operand) -> Lowered:
        element = _ELEMENTS[input.dtype]
        return lower_forward(geometry, element, host(), _operand(input), _operand(weight), stride, operand)

    return _run(_prepare(key, lower, result), input, weight, bias, result)


def grad_input(
    grad_output: Tensor, weight: Tensor, input_size: Size, convolution: Convolution, channels_last: bool
) -> Tensor:
    """The gradient of the input, (N, C, H, W), from that of the output; the weight counts conjugated."""
    grad_output, weight = grad_output.resolve_neg(), weight.resolve_neg()
    if grad_output.numel() == 0 or weight.numel() == 0:
        return _zeros(input_size, grad_output, channels_last)
    result = _new(input_size, grad_output, channels_last)
    key = ("grad_input", _signature(grad_output), _signature(weight), input_size, convolution, channels_last)

    def lower(operand: Operand) -> Lowered:
        geometry = Geometry.of(input_size, _size(weight), convolution)
        element = _ELEMENTS[grad_output.dtype]
        return lower_grad_input(geometry, element, host(), _operand(grad_output), _operand(weight), operand)

    prepared = _prepared.get(key) or _prepare(key, lower, result)
    return _run(prepared, grad_output, weight, None, result)


def grad_weight(
    grad_output: Tensor, input: Tensor, weight_size: Size, convolution: Convolution, channels_last: bool
) -> Tensor:
    """The gradient of the weight, (O, C / groups, kh, kw), from the output's; the input counts conjugated."""
    grad_output, input = grad_output.resolve_neg(), input.resolve_neg()
    if grad_output.numel() == 0 or input.numel() == 0:
        return _zeros(weight_size, grad_output, channels_last)
    result = _new(weight_size, grad_output, channels_last)
    key = ("grad_weight", _signature(grad_output), _signature(input), weight_size, convolution, channels_last)

    def lower(operand: Operand) -> Lowered:
        geometry = Geometry.of(_size(input), weight_size, convolution)
        element = _ELEMENTS[grad_output.dtype]
        return lower_grad_weight(geometry, element, host(), _operand(input), _operand(grad_output), operand)

    prepared = _prepared.get(key) or _prepare(key, lower, result)
    return _run(prepared, input, grad_output, None, result)


def grad_bias(grad_output: Tensor) -> Tensor:
    """The gradient of the bias, (O,), from that of the output (N, O, Ho, Wo)."""
    grad_output = grad_output.resolve_neg()
    n, o, h, w = _size(grad_output)
    if grad_output.numel() == 0:
        return torch.zeros(o, dtype=grad_output.dtype, device="cpu")
    result = _new((o,), grad_output, channels_last=False)
    key = ("grad_bias", _signature(grad_output))

    def lower(_: Operand) -> Lowered:
        geometry = Geometry(n, 0, o, 1, Axis(h, 1), Axis(w, 1))
        return lower_grad_bias(geometry, _ELEMENTS[grad_output.dtype], host(), _operand(grad_output))

    prepared = _prepared.get(key) or _prepare(key, lower, result)
    return _run(prepared, grad_output, grad_output, None, result)
