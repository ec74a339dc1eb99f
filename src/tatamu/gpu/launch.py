"""torch tensors → kernels; results are allocated here. The counterpart of `tatamu.launch` on a GPU.

Kernels run on the current stream of the tensors' device, and nothing waits for them; memory is torch's own.
So calls can be captured into CUDA graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from tatamu.geometry import Convolution, Geometry
from tatamu.gpu import tuning
from tatamu.gpu.describe import Operand
from tatamu.gpu.lowering.common import Launch
from tatamu.gpu.lowering.gather import Gather, lower_gather
from tatamu.gpu.lowering.sums import Pixels, bias_launches, lower_weight
from tatamu.gpu.numbers import numbers_of
from tatamu.gpu.processor import processor_of
from tatamu.gpu.tiles import Tile
from tatamu.layout import memory_format, suggest_channels_last

Size = tuple[int, int, int, int]
_Lowered = TypeVar("_Lowered", Gather, Pixels)

_MOST_LOWERED = 4096
_gathers: dict[object, Gather] = {}
_sums: dict[object, Pixels] = {}


def forward(input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> Tensor:
    """The convolution of an input (N, C, H, W) with a weight (O, C / groups, kh, kw): (N, O, Ho, Wo).

    ``bias`` is (O,) or None. Arguments are valid; nothing is recorded for autograd.
    """
    input, weight = input.resolve_neg(), weight.resolve_neg()
    if bias is not None:
        bias = bias.resolve_neg().resolve_conj()
    geometry = Geometry.of(_size(input), _size(weight), convolution)
    result = _empty(geometry.output_size, input, suggest_channels_last(input, weight))
    if input.numel() == 0 or weight.numel() == 0:
        return result.zero_()
    if bias is not None and bias.stride(0) != 1 and not bias.is_complex():
        bias = bias.contiguous()
    return _gathered(geometry, input, weight, bias, result, backward=False)


def grad_input(
    grad_output: Tensor, weight: Tensor, input_size: Size, convolution: Convolution, channels_last: bool
) -> Tensor:
    """The gradient of the input, (N, C, H, W), from that of the output; the weight counts conjugated."""
    grad_output, weight = grad_output.resolve_neg(), weight.resolve_neg()
    result = _empty(input_size, grad_output, channels_last)
    if grad_output.numel() == 0 or weight.numel() == 0:
        return result.zero_()
    geometry = Geometry.of(input_size, _size(weight), convolution)
    return _gathered(geometry, grad_output, weight, None, result, backward=True)


def grad_weight(
    grad_output: Tensor, input: Tensor, weight_size: Size, convolution: Convolution, channels_last: bool
) -> Tensor:
    """The gradient of the weight, (O, C / groups, kh, kw), from the output's; the input counts conjugated."""
    grad_output, input = grad_output.resolve_neg(), input.resolve_neg()
    result = _empty(weight_size, grad_output, channels_last)
    if grad_output.numel() == 0 or input.numel() == 0:
        return result.zero_()
    geometry = Geometry.of(_size(input), weight_size, convolution)
    numbers, device = numbers_of(input.dtype), input.device
    key: tuple[object, ...]
    key = geometry, numbers, _signature(grad_output), _signature(input), result.stride(), device
    key = *key, tuning.is_wanted(device)
    lowered = _sums.get(key)
    if lowered is None:
        operands = Operand.of(grad_output), Operand.of(input), Operand.of(result)
        processor = processor_of(device)

        def lower(tile: Tile | None) -> Pixels:
            return lower_weight(geometry, numbers, *operands, processor, tile=tile)

        lowered = lower(None)
        if key[-1]:
            name = f"grad_weight {geometry} {numbers} {operands}"
            lowered = tuning.tuned(
                lowered, name, processor, lower, lambda it: it.launches(grad_output, input, result)
            )
        _keep(_sums, key, lowered)
    run(lowered.launches(grad_output, input, result), device)
    return result


def grad_bias(grad_output: Tensor) -> Tensor:
    """The gradient of the bias, (O,), from that of the output (N, O, Ho, Wo)."""
    grad_output = grad_output.resolve_neg()
    result = torch.empty(grad_output.shape[1], dtype=grad_output.dtype, device=grad_output.device)
    if grad_output.numel() == 0:
        return result.zero_()
    device = grad_output.device
    if not grad_output.is_complex():
        run(bias_launches(grad_output, result, numbers_of(result.dtype), processor_of(device)), device)
        return result
    if grad_output.is_conj():
        return grad_bias(grad_output.conj()).conj_physical_()
    for part in range(2):
        of_part, into = torch.view_as_real(grad_output)[..., part], torch.view_as_real(result)[:, part]
        run(bias_launches(of_part, into, numbers_of(into.dtype), processor_of(device)), device)
    return result


def _gathered(
    geometry: Geometry, source: Tensor, weight: Tensor, bias: Tensor | None, result: Tensor, *, backward: bool
) -> Tensor:
    numbers, device = numbers_of(source.dtype), source.device
    key: tuple[object, ...]
    key = (backward, geometry, numbers, _signature(source), _signature(weight), result.stride(), device)
    key = *key, tuning.is_wanted(device)
    lowered = _gathers.get(key)
    if lowered is None:
        operands = Operand.of(source), Operand.of(weight), Operand.of(result)
        processor = processor_of(device)

        def lower(tile: Tile | None) -> Gather:
            return lower_gather(geometry, numbers, *operands, processor, backward=backward, tile=tile)

        lowered = lower(None)
        if key[-1]:
            name = f"{'grad_input' if backward else 'forward'} {geometry} {numbers} {operands}"
            lowered = tuning.tuned(
                lowered, name, processor, lower, lambda it: it.launches(source, weight, bias, result)
            )
        _keep(_gathers, key, lowered)
    run(lowered.launches(source, weight, bias, result), device)
    return result


def run(launches: Iterable[Launch], device: torch.device) -> None:
    """Start kernels on the current stream of a device, which need not be the current device."""
    if device.type != "cuda" or device.index == torch.cuda.current_device():
        for it in launches:
            it.run()
    else:
        with torch.cuda.device(device):
            for it in launches:
                it.run()


def _keep(kept: dict[object, _Lowered], key: object, lowered: _Lowered) -> None:
    if len(kept) >= _MOST_LOWERED:
        kept.clear()
    kept[key] = lowered


def _signature(tensor: Tensor) -> tuple[object, ...]:
    return tensor.stride(), tensor.is_conj()


def _size(tensor: Tensor) -> Size:
    n, c, h, w = tensor.shape
    return n, c, h, w


def _empty(size: Sequence[int], like: Tensor, channels_last: bool) -> Tensor:
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=memory_format(channels_last))
