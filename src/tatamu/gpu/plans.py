"""How the kernels for GPUs would compute a layer, in words; nothing runs, and nothing is compiled."""

from __future__ import annotations

import torch
from torch import Tensor

from tatamu.geometry import Convolution, Geometry
from tatamu.gpu.describe import Operand
from tatamu.gpu.kernels.products import multiply
from tatamu.gpu.kernels.weight_products import multiply_pixels
from tatamu.gpu.lowering.gather import Gather, lower_gather
from tatamu.gpu.lowering.sums import Pixels, lower_weight
from tatamu.gpu.numbers import Numbers, numbers_of
from tatamu.gpu.processor import processor_of
from tatamu.layout import memory_format, suggest_channels_last


def plans(input: Tensor, weight: Tensor, convolution: Convolution) -> dict[str, str]:
    """The kernel, tile and number of programs of 'forward', 'grad_input' and 'grad_weight'.

    ``input`` is (N, C, H, W). The gradient of the output is taken to lie as the output does. Of integers
    there is no gradient. Tiles are those of the rules: `torch.backends.cudnn.benchmark` may find others.
    """
    (n, c, h, w), (o, i, kh, kw) = input.shape, weight.shape
    geometry = Geometry.of((n, c, h, w), (o, i, kh, kw), convolution)
    form = memory_format(suggest_channels_last(input, weight))
    y, gx, gw = (
        Operand.of(torch.empty(size, dtype=input.dtype, device="meta", memory_format=form))
        for size in (geometry.output_size, geometry.input_size, geometry.weight_size)
    )
    x, k = Operand.of(input), Operand.of(weight)
    numbers, processor = numbers_of(input.dtype), processor_of(input.device)
    forward = lower_gather(geometry, numbers, x, k, y, processor, backward=False)
    found = {"forward": _gathered(forward, numbers)}
    if input.dtype.is_floating_point or input.dtype.is_complex:
        of_input = lower_gather(geometry, numbers, y, k, gx, processor, backward=True)
        found["grad_input"] = _gathered(of_input, numbers)
        found["grad_weight"] = _summed(lower_weight(geometry, numbers, y, x, gw, processor), numbers)
    return found


def _gathered(it: Gather, numbers: Numbers) -> str:
    tile = it.tile
    words = (
        f"{_technique(it.kernel is multiply, numbers)}: {it.programs:,} programs of {tile.pixels} pixels x"
        f" {tile.channels} channels, {tile.depth} deep, {tile.warps} warps, {tile.stages} stages"
    )
    return f"{words}; the weight is laid out with channels side by side first" if it.packed else words


def _summed(it: Pixels, numbers: Numbers) -> str:
    tile = it.tile
    words = (
        f"{_technique(it.kernel is multiply_pixels, numbers)}: {it.programs:,} programs of {tile.channels}"
        f" channels x {tile.depth} weights of each, {tile.pixels} pixels at a time, {tile.warps} warps,"
        f" {tile.stages} stages"
    )
    return f"{words}; {it.splits} splits of the pixels, added up in order" if it.splits > 1 else words


def _technique(products: bool, numbers: Numbers) -> str:
    if not products:
        return "multiply-adds"
    if not numbers.has_tensor_cores:
        return "implicit GEMM"
    return f"implicit GEMM on tensor cores{' in TF32' if numbers.precision == 'tf32' else ''}"
