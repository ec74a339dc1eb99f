"""The definition of 2-D convolution and of its gradients, as loops: what every kernel is judged by.

With pixel(t) the input position that padded position t reads in the convolution's padding mode,

    y[n, o, p, q] = b[o] + Σ over c, i, j of  w[o, c, i, j] · x[n, C·g(o) + c, row, column]
    row           = pixel(p·stride_h + i·dilation_h - top)
    column        = pixel(q·stride_w + j·dilation_w - left)

where g(o) is the group of output channel o, C the number of input channels in one group, and a term whose
pixel is padding with zeros is absent. The loops run over (p, q) and (i, j) as the formula does; only the
batch and the channels are left to NumPy. The gradients visit the same terms and differentiate each; for
complex numbers they are conjugated as torch's are, so that a step against the gradient lowers a real loss.

Computed in the dtype of the arrays: the caller chooses float64 or complex128 to judge rounding. Integers wrap
around. Arguments are taken to be valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tatamu.geometry import Axis, Convolution, Geometry

Array = npt.NDArray[Any]
"""Of any dtype that adds and multiplies."""
Size = tuple[int, int, int, int]
"""(N, C, H, W)."""


class Term(NamedTuple):
    """One product of the definition: output position (p, q) reads pixel (row, column) through tap (i, j)."""

    p: int
    q: int
    i: int
    j: int
    row: int
    column: int


def forward(x: Array, w: Array, b: Array | None, convolution: Convolution) -> Array:
    """The output (N, O, Ho, Wo) of an input (N, C, H, W), a weight (O, C / groups, kh, kw), a bias (O,)."""
    geometry = Geometry.of(_size(x), _size(w), convolution)
    y = np.zeros(geometry.output_size, np.result_type(x, w))
    x_groups, w_groups, y_groups = (
        _grouped_batch(x, geometry),
        _grouped_weight(w, geometry),
        _grouped_batch(y, geometry),
    )
    for p, q, i, j, row, column in _terms(geometry):
        # Axes: batch, group, output channel, input channel; the last is summed.
        products = x_groups[:, :, None, :, row, column] * w_groups[None, :, :, :, i, j]
        y_groups[:, :, :, p, q] += products.sum(axis=3)
    if b is not None:
        y += b[:, None, None]
    return y


def grad_input(gy: Array, w: Array, input_size: Size, convolution: Convolution) -> Array:
    """The gradient (N, C, H, W) of the input, for a gradient (N, O, Ho, Wo) of the output."""
    geometry = Geometry.of(input_size, _size(w), convolution)
    gx = np.zeros(input_size, np.result_type(gy, w))
    gx_groups, gy_groups = _grouped_batch(gx, geometry), _grouped_batch(gy, geometry)
    w_groups = np.conjugate(_grouped_weight(w, geometry))
    for p, q, i, j, row, column in _terms(geometry):
        # Axes: batch, group, output channel, input channel; the output channels are summed.
        products = gy_groups[:, :, :, None, p, q] * w_groups[None, :, :, :, i, j]
        gx_groups[:, :, :, row, column] += products.sum(axis=2)
    return gx


def grad_weight(gy: Array, x: Array, weight_size: Size, convolution: Convolution) -> Array:
    """The gradient (O, C / groups, kh, kw) of the weight, for a gradient (N, O, Ho, Wo) of the output."""
    geometry = Geometry.of(_size(x), weight_size, convolution)
    gw = np.zeros(weight_size, np.result_type(gy, x))
    gw_groups, gy_groups = _grouped_weight(gw, geometry), _grouped_batch(gy, geometry)
    x_groups = np.conjugate(_grouped_batch(x, geometry))
    for p, q, i, j, row, column in _terms(geometry):
        # Axes: batch, group, output channel, input channel; the batch is summed.
        products = gy_groups[:, :, :, None, p, q] * x_groups[:, :, None, :, row, column]
        gw_groups[:, :, :, i, j] += products.sum(axis=0)
    return gw


def grad_bias(gy: Array) -> Array:
    """The gradient (O,) of the bias, for a gradient (N, O, Ho, Wo) of the output."""
    total: Array = gy.sum(axis=(0, 2, 3), dtype=gy.dtype)
    return total


def source(position: int, size: int, padding_mode: str) -> int | None:
    """The pixel that a position of the padded axis reads; None where it reads a zero.

    `position` counts from the first real pixel, so it is negative in the padding before it; `size` is the
    number of real pixels. Reflection does not repeat the edge, and needs less padding than there are pixels.
    """
    if 0 <= position < size:
        return position
    match padding_mode:
        case "zeros":
            return None
        case "replicate":
            return 0 if position < 0 else size - 1
        case "reflect":
            return -position if position < 0 else 2 * (size - 1) - position
        case "circular":
            return position % size
    raise ValueError(f"unknown padding mode {padding_mode!r}")


def _terms(geometry: Geometry) -> Iterator[Term]:
    """Every product of the definition but for batch and channels, those with padding zeros left out."""
    for p in range(geometry.rows.output):
        for q in range(geometry.columns.output):
            for i in range(geometry.rows.kernel):
                for j in range(geometry.columns.kernel):
                    row = _pixel(geometry.rows, p, i, geometry.padding_mode)
                    column = _pixel(geometry.columns, q, j, geometry.padding_mode)
                    if row is not None and column is not None:
                        yield Term(p, q, i, j, row, column)


def _pixel(axis: Axis, output: int, tap: int, padding_mode: str) -> int | None:
    return source(output * axis.stride + tap * axis.dilation - axis.before, axis.size, padding_mode)


def _grouped_batch(images: Array, geometry: Geometry) -> Array:
    """Images (N, channels, H, W) as a view (N, groups, channels of one group, H, W)."""
    n, channels, height, width = images.shape
    groups = geometry.groups
    return np.reshape(images, (n, groups, channels // groups, height, width))


def _grouped_weight(weight: Array, geometry: Geometry) -> Array:
    """A weight (O, C / groups, kh, kw) as a view (groups, O / groups, C / groups, kh, kw)."""
    out_channels, *rest = weight.shape
    return np.reshape(weight, (geometry.groups, out_channels // geometry.groups, *rest))


def _size(array: Array) -> Size:
    a, b, c, d = array.shape
    return a, b, c, d
