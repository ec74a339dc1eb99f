"""The shapes that Keras's layers give, by Keras's documentation, so that it need not be installed.

Under the names that the page uses: `keras.layers.Conv2D` and so on. A layer is called with an image's shape
(batch, height, width, channels). Source: keras.io/api/layers/convolution_layers/convolution2d.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from types import SimpleNamespace

Shape = tuple[int, ...]


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _conv2d(
    filters: int,
    kernel_size: int | tuple[int, int],
    strides: int | tuple[int, int] = 1,
    padding: str = "valid",
    dilation_rate: int | tuple[int, int] = 1,
    groups: int = 1,
    use_bias: bool = True,
) -> Callable[[Shape], Shape]:
    assert isinstance(use_bias, bool)
    k, s, d = map(_pair, (kernel_size, strides, dilation_rate))
    assert max(s) == 1 or max(d) == 1

    def call(shape: Shape) -> Shape:
        batch, *size, channels = shape
        assert channels % groups == 0
        assert filters % groups == 0
        span = [d[i] * (k[i] - 1) + 1 for i in (0, 1)]
        same = [ceil(size[i] / s[i]) for i in (0, 1)]
        valid = [ceil((size[i] - span[i] + 1) / s[i]) for i in (0, 1)]
        return (batch, *{"same": same, "valid": valid}[padding], filters)

    return call


def _pad(shape: Shape, widths: tuple[tuple[int, int], ...], mode: str) -> Shape:
    assert mode in {"reflect", "edge", "wrap"}
    return tuple(size + sum(width) for size, width in zip(shape, widths, strict=True))


def _zero_padding(padding: tuple[tuple[int, int], tuple[int, int]]) -> Callable[[Shape], Shape]:
    def call(shape: Shape) -> Shape:
        batch, height, width, channels = shape
        return batch, height + sum(padding[0]), width + sum(padding[1]), channels

    return call


class Sequential:
    """One layer after another."""

    def __init__(self, layers: list[Callable[[Shape], Shape]]) -> None:
        self.layers = layers

    def __call__(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer(shape)
        return shape


layers = SimpleNamespace(Conv2D=_conv2d, ZeroPadding2D=_zero_padding, Lambda=lambda function: function)
ops = SimpleNamespace(pad=_pad)
