"""`draw`: the picture of a layer, its numbers computed by the layer itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple
from math import prod
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tatamu.drawing import example, words
from tatamu.drawing.compose import compose
from tatamu.drawing.numbers import Numbers
from tatamu.drawing.picture import Picture
from tatamu.drawing.scene import Rule, Scene
from tatamu.errors import (
    ArgumentTypeError,
    InputDimensionsError,
    PictureNumbersError,
    PictureSubjectError,
    PoolPaddingError,
)
from tatamu.functional import convolution
from tatamu.geometry import Geometry

__all__ = ["Picture", "draw"]

_INPUTS, _WEIGHTS, _GRADIENTS = range(6), range(-1, 3), range(4)
"""What seeded numbers are chosen from: small ones, so that a sum can be followed in one's head."""


def draw(
    subject: torch.nn.Module | Geometry,
    size: int | tuple[int, int] | Tensor | None = None,
    *,
    numbers: int | Sequence[float] | None = None,
    transposed: bool = False,
) -> Picture:
    """Draw what a convolution does: each position that is written, and what it reads.

    Args:
        subject: a `Conv2d`, ours or torch's; an `AvgPool2d` or `MaxPool2d` of torch's; or a geometry, which
            has its size.
        size: of the input: an int, (height, width), or an input itself, (C, H, W) or (N, C, H, W), of which
            the first image's numbers are shown, with the layer's own weights. Without it, one on which the
            layer is best seen.
        numbers: a seed: small integers take the place of input, weight and bias, and what the layer makes of
            them is shown. Or the taps of the weight, row by row, or of one kernel for all channels; then the
            rest are integers of seed 0.
        transposed: draw the gradient of the input instead, which is the transposed convolution. Its numbers
            are those of the gradient of the outputs' sum, or, with `numbers`, of integers.

    Returns:
        The picture: it shows itself in a notebook, and `save` writes it as SVG, GIF, PNG or HTML.

    Raises:
        PictureTooLargeError: there is more than can be made out.
        PictureNumbersError: `numbers` are more or fewer than there are taps.
        PictureSubjectError: `subject` is something else, or a pooling layer that is not a plain one.
        TatamuError: what the layer itself would raise on such an input.
    """
    drawn = _drawn(subject, size)
    if transposed and drawn.rule is Rule.MAXIMUM:
        raise PictureSubjectError.of_pooling(
            subject, "which pixels get the gradient of a maximum depends on them"
        )
    scene, shown = Scene.of(drawn.geometry, transposed, drawn.rule), None
    if numbers is not None:
        seed, taps = (numbers, None) if isinstance(numbers, int) else (0, numbers)
        random, geometry = Random(seed), drawn.geometry
        input = _integers((1, *geometry.input_size[1:]), _INPUTS, random)
        grad_output = _integers((1, *geometry.output_size[1:]), _GRADIENTS, random)
        shown = _numbers(scene, _seeded(drawn, random, taps), input, grad_output)
    elif isinstance(size, Tensor):
        shown = _numbers(
            scene, _given(drawn), size.detach()[None] if size.dim() == 3 else size.detach()[:1], None
        )
    return Picture(compose(scene, shown, drawn.biased, drawn.title))


def pooling(
    kind: str, kernel_size: object, stride: object = None, padding: object = 0, dilation: object = 1
) -> Any:
    """The pooling layer for `draw`, whose `kind` is 'average' or 'max'; it has torch's defaults.

    Raises:
        PictureSubjectError: the padding is a name, or other on one side than on the other.
    """
    if isinstance(padding, str) or (
        isinstance(padding, tuple) and not all(isinstance(side, int) for side in padding)
    ):
        raise PictureSubjectError.of_pooling(f"{kind} pooling", "its padding is one number for each axis")
    if kind == "average":
        return torch.nn.AvgPool2d(kernel_size, stride, padding)  # type: ignore[arg-type]  # Ints or pairs.
    return torch.nn.MaxPool2d(kernel_size, stride, padding, dilation)  # type: ignore[arg-type]


class _Drawn(NamedTuple):
    """What is drawn; a geometry has no layer."""

    geometry: Geometry
    rule: Rule
    title: str
    biased: bool
    layer: torch.nn.Module | None = None


class _Layer(NamedTuple):
    """What computes the numbers."""

    apply: Callable[[Tensor], Tensor]
    weight: Tensor | None
    bias: Tensor | None


def _drawn(subject: object, size: object) -> _Drawn:
    if isinstance(subject, Geometry):
        if size is not None:
            raise PictureSubjectError.of_size(size)
        return _Drawn(subject, Rule.SUM, words.call(subject, bias=True), biased=False)
    if isinstance(subject, torch.nn.Conv2d):
        return _of_convolution(subject, size)
    if isinstance(subject, torch.nn.AvgPool2d | torch.nn.MaxPool2d):
        return _of_pooling(subject, size)
    raise PictureSubjectError.of(subject)


def _of_convolution(layer: torch.nn.Conv2d, size: object) -> _Drawn:
    geometry = example.geometry(
        _channels(size, layer.in_channels),
        _pixels(size),
        layer.weight.shape,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        layer.padding_mode,
    )
    biased = layer.bias is not None
    return _Drawn(geometry, Rule.SUM, words.call(geometry, biased, layer.padding), biased, layer)


def _of_pooling(layer: torch.nn.AvgPool2d | torch.nn.MaxPool2d, size: object) -> _Drawn:
    kernel, stride, padding = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.padding)
    dilation = _pair(layer.dilation) if isinstance(layer, torch.nn.MaxPool2d) else (1, 1)
    if layer.ceil_mode:
        raise PictureSubjectError.of_pooling(layer, "with ceil_mode windows reach beyond the padding")
    if isinstance(layer, torch.nn.AvgPool2d) and (layer.divisor_override or not layer.count_include_pad):
        raise PictureSubjectError.of_pooling(layer, "it is not the mean of all that lies under its window")
    for pixels, taps, step in zip(padding, kernel, dilation, strict=True):
        if pixels > (step * (taps - 1) + 1) // 2:
            raise PoolPaddingError.of(pixels, taps, step)
    channels = _channels(size, 1)
    geometry = example.geometry(
        channels, _pixels(size), (channels, 1, *kernel), stride, padding, dilation, channels, "zeros"
    )
    rule = Rule.MEAN if isinstance(layer, torch.nn.AvgPool2d) else Rule.MAXIMUM
    given = (("stride", stride, kernel), ("padding", padding, (0, 0)), ("dilation", dilation, (1, 1)))
    called = [
        words.pair(kernel),
        *(f"{name}={words.pair(value)}" for name, value, usual in given if value != usual),
    ]
    return _Drawn(geometry, rule, f"{type(layer).__name__}({', '.join(called)})", False, layer)


def _numbers(scene: Scene, layer: _Layer, input: Tensor, grad_output: Tensor | None) -> Numbers:
    """The layer's numbers on an input (N, C, H, W), of which the first image is shown.

    Where the scene is the gradient, of the sum of the outputs, each times its number in `grad_output`.
    """
    if input.is_complex():
        raise PictureSubjectError.of_numbers(input.dtype)
    weight = [] if layer.weight is None else layer.weight.tolist()
    if not scene.transposed:
        with torch.no_grad():
            output = layer.apply(input)[0]
        bias = None if layer.bias is None else layer.bias.tolist()
        return Numbers(input[0].tolist(), weight, output.tolist(), bias)
    with torch.enable_grad():
        output = layer.apply(input.requires_grad_())
        grad_output = torch.ones_like(output) if grad_output is None else grad_output
        (grad_input,) = torch.autograd.grad(output, input, grad_output)
    return Numbers(grad_output[0].tolist(), weight, grad_input[0].tolist())


def _seeded(drawn: _Drawn, random: Random, taps: Sequence[float] | None) -> _Layer:
    """The layer with small integers for its weight and bias, or with these taps."""
    if drawn.rule is not Rule.SUM:
        assert drawn.layer is not None
        if taps is not None:
            raise PictureNumbersError.of_pooling(drawn.title)
        return _Layer(drawn.layer, None, None)
    geometry = drawn.geometry
    weight = _integers(geometry.weight_size, _WEIGHTS, random)
    if taps is not None:
        if len(taps) not in (weight.numel(), prod(geometry.kernel_size)):
            raise PictureNumbersError.of_taps(len(taps), geometry.weight_size)
        kernels = torch.tensor(taps, dtype=weight.dtype).reshape(-1, *geometry.kernel_size)
        weight = kernels.expand(weight[:, :, 0, 0].numel(), -1, -1).reshape(geometry.weight_size)
    bias = _integers((geometry.out_channels,), _WEIGHTS, random) if drawn.biased else None

    def apply(input: Tensor) -> Tensor:
        stride, padding, dilation, groups, mode = astuple(geometry.convolution)
        return convolution(input, weight, bias, stride, padding, dilation, groups, mode)

    return _Layer(apply, weight, bias)


def _given(drawn: _Drawn) -> _Layer:
    """The layer with its own weight and bias."""
    layer = drawn.layer
    assert layer is not None
    if isinstance(layer, torch.nn.Conv2d):
        return _Layer(layer, layer.weight, layer.bias)
    return _Layer(layer, None, None)


def _integers(size: tuple[int, ...], choice: range, random: Random) -> Tensor:
    # torch's own generator promises no same numbers in its next version, and pictures are kept.
    count = prod(size)
    return torch.tensor(random.choices(choice, k=count), dtype=torch.float32).reshape(size)


def _channels(size: object, usual: int) -> int:
    return int(size.shape[-3]) if isinstance(size, Tensor) and size.dim() >= 3 else usual


def _pixels(size: object) -> tuple[int, int] | None:
    """(height, width) of what was given as a size."""
    if isinstance(size, Tensor):
        if size.dim() not in (3, 4):
            raise InputDimensionsError.of(size.shape)
        return int(size.shape[-2]), int(size.shape[-1])
    return None if size is None else _pair(size)


def _pair(value: object) -> tuple[int, int]:
    """One int for both axes, or (height, width)."""
    if isinstance(value, tuple | list) and len(value) == 2:
        return int(value[0]), int(value[1])
    if isinstance(value, int):
        return value, value
    raise ArgumentTypeError.of("size", value, "an int, (height, width) or an input")
