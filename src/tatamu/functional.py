"""conv2d, the function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function_variadic

from tatamu import distributed, launch, precision, validate
from tatamu.autograd import eager, operands, operators
from tatamu.engine import reuse
from tatamu.geometry import Convolution, PaddingArgument

__all__ = ["conv2d", "convolution"]

_is_compiling = torch.compiler.is_dynamo_compiling
_is_autocast = torch._C._is_any_autocast_enabled
_rounding = precision.rounding
_compute = eager.compute
_frozen, _seems_frozen = reuse.frozen, launch.seems_frozen
_tensor_keys, _thread_keys = eager.tensor_keys, eager.thread_keys

_MOST_FOUND = 4096
_AUTOCAST = ("cpu", "cuda")
"""Devices whose autocast casts the operands of convolutions."""


class _Found:
    """What a call's arguments resolve to, the arguments themselves, and what is known of such calls."""

    __slots__ = ("dilation", "groups", "known", "padding", "resolved", "stride")

    def __init__(
        self,
        stride: object,
        padding: object,
        dilation: object,
        groups: object,
        resolved: Convolution,
        known: eager.Known | None,
    ) -> None:
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.resolved, self.known = resolved, known


_found: dict[object, _Found] = {}


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: PaddingArgument | tuple[int] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve an input with a weight, as `torch.nn.functional.conv2d` does.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image. Any strides, on the CPU or an NVIDIA GPU; floats of
            16 to 64 bits, complex numbers of such parts, integers of 8 to 64 bits and uint8 (they wrap
            around).
        weight: (O, C / groups, kh, kw), of the same dtype.
        bias: (O,), of the same dtype, or None.
        stride: pixels from one output to the next, one int or (height, width).
        padding: zeros around the image, in pixels: one int, (height, width), ((top, bottom), (left, right)),
            or
            'valid': none;
            'same': an output as large as the input; for stride 1 only, the odd pixel at the bottom or right;
            'same_upper', 'same_lower': ceil(size / stride) outputs for any stride, the odd pixel at the end
            (Keras', TensorFlow's and JAX's 'same', ONNX's SAME_UPPER) or at the beginning (SAME_LOWER).
        dilation: pixels from one tap of the kernel to the next, one int or (height, width).
        groups: number of groups the channels are divided into; each output channel sees those of its own
            group.

    Returns:
        (N, O, Ho, Wo), or (O, Ho, Wo) for one image, where Ho = floor((H + top + bottom - dilation·(kh - 1) -
        1) / stride) + 1, and Wo likewise. channels_last if input or weight is. Without input channels it has
        no output channels either, as in torch.

    Raises:
        TatamuError: a mistake in the arguments; `tatamu.errors` has a class for each, a subclass of what
            torch raises.
    """
    return convolution(input, weight, bias, stride, padding, dilation, groups, "zeros")


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | tuple[int, ...],
    padding: PaddingArgument | tuple[int],
    dilation: int | tuple[int, ...],
    groups: int,
    padding_mode: str,
) -> Tensor:
    """`conv2d` with a padding mode: 'zeros', 'reflect', 'replicate' or 'circular'.

    Raises:
        TatamuError: as `conv2d`.
    """
    if _is_compiling():
        return _by_operators(input, weight, bias, stride, padding, dilation, groups, padding_mode)
    if has_torch_function_variadic(input, weight, bias):
        result: Tensor = handle_torch_function(
            convolution,
            (input, weight, bias),
            input,
            weight,
            bias,
            stride,
            padding,
            dilation,
            groups,
            padding_mode,
        )
        return result
    # One look-up finds all that is known of a usual call. All that its result depends on is in the key, down
    # to what the dispatcher knows of each tensor and of the thread: none is plain because it was before.
    try:
        if _is_autocast():
            input, weight, bias = _autocast(input, weight, bias)
        key = (
            input.shape, input.stride(), input.dtype, _tensor_keys(input).raw_repr(),
            weight.shape, weight.stride(), weight.dtype, _tensor_keys(weight).raw_repr(),
            None if bias is None else (bias.shape, bias.stride(), bias.dtype, _tensor_keys(bias).raw_repr()),
            stride, padding, dilation, groups, padding_mode, _thread_keys().raw_repr(), _rounding(),
            _seems_frozen(weight) if _frozen else False,
        )  # fmt: skip
        found = _found.get(key)
    except (AttributeError, RuntimeError, TypeError):  # No tensor, one without strides, a list of arguments.
        return _unknown(None, input, weight, bias, stride, padding, dilation, groups, padding_mode)
    if found is None or forward_ad._current_level >= 0:
        return _unknown(key, input, weight, bias, stride, padding, dilation, groups, padding_mode)
    if not (
        stride is found.stride
        and padding is found.padding
        and dilation is found.dilation
        and groups is found.groups
    ):
        _check_types(stride, padding, dilation, groups)
    known = found.known
    if known is None:
        return _shaped(eager.convolution, input, weight, bias, found.resolved)
    return _compute(input, weight, bias, known)


def _unknown(key: object, input: Tensor, weight: Tensor, bias: Tensor | None, *arguments: Any) -> Tensor:
    """A call that nothing is known of, until now if it is plain and there is a key."""
    if not (eager.is_plain(input, weight) if bias is None else eager.is_plain(input, weight, bias)):
        return _by_operators(input, weight, bias, *arguments)
    resolved = _resolve(input, weight, bias, *arguments)
    if key is not None:
        if len(_found) >= _MOST_FOUND:
            _found.clear()
        known = eager.know(input, weight, bias, resolved)
        stride, padding, dilation, groups, _ = arguments
        _found[key] = _Found(stride, padding, dilation, groups, resolved, known)
    return _shaped(eager.convolution, input, weight, bias, resolved)


def _by_operators(input: Tensor, weight: Tensor, bias: Tensor | None, *arguments: Any) -> Tensor:
    """A call that torch's dispatcher is to see: its transforms, modes and tracers are at work."""
    operands.check_kind(input, weight, bias)
    distributed.prepare()
    tensors = _autocast(input, weight, bias)
    return _shaped(operators.convolution, *tensors, _resolve(*tensors, *arguments))


def _resolve(input: Tensor, weight: Tensor, bias: Tensor | None, *arguments: Any) -> Convolution:
    resolved = validate.resolve(input.shape, weight.shape, None if bias is None else bias.shape, *arguments)
    operands.check_dtypes(input, weight, bias)
    return resolved


def _check_types(stride: object, padding: object, dilation: object, groups: object) -> None:
    """1, 1.0 and True are one key, but not one type: complain of what only equals the known arguments.

    A layer passes the same objects each time, and never comes here.
    """
    if not (_is_exact(stride) and _is_exact(padding) and _is_exact(dilation) and type(groups) is int):
        validate.arguments(stride, padding, dilation, groups)


def _is_exact(value: object) -> bool:
    return type(value) is int or (
        type(value) is tuple and len(value) == 2 and type(value[0]) is int and type(value[1]) is int
    )


def _shaped(
    compute: Callable[[Tensor, Tensor, Tensor | None, Convolution], Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    resolved: Convolution,
) -> Tensor:
    """One image is computed as a batch; without input channels the output has none either, as in torch."""
    if input.dim() == 3:
        return _shaped(compute, input.unsqueeze(0), weight, bias, resolved).squeeze(0)
    output = compute(input, weight, bias, resolved)
    return output.narrow(1, 0, 0) if input.shape[1] == 0 else output


def _autocast(input: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The operands as torch.autocast wants them: of its dtype, all but those in float64 or not in floats."""
    device = input.device.type
    if device not in _AUTOCAST or not torch.is_autocast_enabled(device):
        return input, weight, bias
    dtype = torch.get_autocast_dtype(device)
    return _cast(input, dtype), _cast(weight, dtype), None if bias is None else _cast(bias, dtype)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() and tensor.dtype != torch.float64 else tensor
