"""torch tensors → addresses, sizes and strides for the engine; results are allocated here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from tatamu.engine.execute import Call
from tatamu.engine.lowering.common import Lowered, Operand
from tatamu.engine.lowering.direct import lower_forward, lower_grad_input
from tatamu.engine.lowering.grad_weight import lower_grad_bias, lower_grad_weight
from tatamu.engine.runtime.memory import ask_for_huge_pages
from tatamu.engine.spec import ELEMENT_TYPES, ElementType
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
_prepared: dict[object, Call] = {}

Key = TypeVar("Key")


def _call(key: object, lower: Callable[[], Lowered]) -> Call:
    """The call prepared for these sizes and strides, made on first use."""
    call = _prepared.get(key)
    if call is None:
        if len(_prepared) >= _MOST_PREPARED:
            _prepared.clear()
        call = _prepared[key] = Call(lower(), host())
    return call


def _signature(tensor: Tensor) -> tuple[object, ...]:
    """What a prepared call depends on in one operand."""
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.is_conj()


def _operand(tensor: Tensor) -> Operand:
    n, c, h, w = tensor.stride()
    return Operand((n, c, h, w), tensor.is_conj())


def _size(tensor: Tensor) -> Size:
    n, c, h, w = tensor.shape
    return n, c, h, w


def _element(tensor: Tensor) -> ElementType:
    return _ELEMENTS[tensor.dtype]


def _new(size: Size, like: Tensor, channels_last: bool) -> Tensor:
    """A result whose every element a kernel is about to write."""
    result = torch.empty(size, dtype=like.dtype, memory_format=memory_format(channels_last))
    ask_for_huge_pages(result.data_ptr(), result.nbytes)
    return result


def _zeros(size: Size, like: Tensor, channels_last: bool) -> Tensor:
    """The result of sums over nothing."""
    return torch.zeros(size, dtype=like.dtype).contiguous(memory_format=memory_format(channels_last))


def forward(
    input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution
) -> Tensor:  # torch's name for it.
    """The convolution of an input (N, C, H, W) with a weight (O, C / groups, kh, kw): (N, O, Ho, Wo).

    ``bias`` is (O,) or None. Arguments are valid; nothing is recorded for autograd.
    """
    input, weight = input.resolve_neg(), weight.resolve_neg()  # noqa: A001  # torch's name for it.
    if bias is not None:
        bias = bias.resolve_neg().resolve_conj()
    geometry = Geometry.of(_size(input), _size(weight), convolution)
    channels_last = suggest_channels_last(input, weight)
    if input.numel() == 0 or weight.numel() == 0:
        return _zeros(geometry.output_size, input, channels_last)
    result = _new(geometry.output_size, input, channels_last)
    stride = None if bias is None else bias.stride(0)

    def lower() -> Lowered:
        element = _element(input)
        return lower_forward(
            geometry, element, host(), _operand(input), _operand(weight), stride, _operand(result)
        )

    call = _call(("forward", _signature(input), _signature(weight), stride, convolution), lower)
    address = 0 if bias is None else bias.data_ptr()
    call.run(input.data_ptr(), weight.data_ptr(), address, result.data_ptr(), torch.get_num_threads())
    return result


def grad_input(
    grad_output: Tensor, weight: Tensor, input_size: Size, convolution: Convolution, channels_last: bool
) -> Tensor:
    """The gradient of the input, (N, C, H, W), from that of the output; the weight counts conjugated."""
    grad_output, weight = grad_output.resolve_neg(), weight.resolve_neg()
    if grad_output.numel() == 0 or weight.numel() == 0:
        return _zeros(input_size, grad_output, channels_last)
    geometry = Geometry.of(input_size, _size(weight), convolution)
    result = _new(input_size, grad_output, channels_last)

    def lower() -> Lowered:
        element = _element(grad_output)
        return lower_grad_input(
            geometry, element, host(), _operand(grad_output), _operand(weight), _operand(result)
        )

    key = ("grad_input", _signature(grad_output), _signature(weight), input_size, convolution, channels_last)
    _call(key, lower).run(
        grad_output.data_ptr(), weight.data_ptr(), 0, result.data_ptr(), torch.get_num_threads()
    )
    return result


def grad_weight(
    grad_output: Tensor, input: Tensor, weight_size: Size, convolution: Convolution, channels_last: bool
) -> Tensor:  # torch's name for it.
    """The gradient of the weight, (O, C / groups, kh, kw), from the output's; the input counts conjugated."""
    grad_output, input = grad_output.resolve_neg(), input.resolve_neg()  # noqa: A001  # torch's name for it.
    if grad_output.numel() == 0 or input.numel() == 0:
        return _zeros(weight_size, grad_output, channels_last)
    geometry = Geometry.of(_size(input), weight_size, convolution)
    result = _new(weight_size, grad_output, channels_last)

    def lower() -> Lowered:
        element = _element(grad_output)
        return lower_grad_weight(
            geometry, element, host(), _operand(input), _operand(grad_output), _operand(result)
        )

    key = ("grad_weight", _signature(grad_output), _signature(input), weight_size, convolution, channels_last)
    _call(key, lower).run(
        input.data_ptr(), grad_output.data_ptr(), 0, result.data_ptr(), torch.get_num_threads()
    )
    return result


def grad_bias(grad_output: Tensor) -> Tensor:
    """The gradient of the bias, (O,), from that of the output (N, O, Ho, Wo)."""
    grad_output = grad_output.resolve_neg()
    n, o, h, w = _size(grad_output)
    if grad_output.numel() == 0:
        return torch.zeros(o, dtype=grad_output.dtype)
    result = torch.empty(o, dtype=grad_output.dtype)

    def lower() -> Lowered:
        geometry = Geometry(n, 0, o, 1, Axis(h, 1), Axis(w, 1))
        return lower_grad_bias(geometry, _element(grad_output), host(), _operand(grad_output))

    key = ("grad_bias", _signature(grad_output))
    _call(key, lower).run(grad_output.data_ptr(), 0, 0, result.data_ptr(), torch.get_num_threads())
    return result
