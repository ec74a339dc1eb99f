"""Geometry and strides → what kernels are given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd

from torch import Tensor

from tatamu import geometry
from tatamu.geometry import Geometry
from tatamu.gpu.kernels.operands import Axis, Images, Weight

Strides = tuple[int, int, int, int]

_MOST_NARROW = 2**31 - 2**27
"""Offsets up to here are 32 bits wide, with room for a tile that hangs over the end, padding included."""


@dataclass(frozen=True)
class Operand:
    """How a tensor lies in memory: strides in its own elements, and whether it is lazily conjugated."""

    size: tuple[int, int, int, int]
    strides: Strides
    conjugated: bool = False

    @staticmethod
    def of(tensor: Tensor) -> Operand:
        """That of a tensor."""
        a, b, c, d = tensor.shape
        sa, sb, sc, sd = tensor.stride()
        return Operand((a, b, c, d), (sa, sb, sc, sd), tensor.is_conj())

    @property
    def is_wide(self) -> bool:
        """Whether offsets into it may need more than 32 bits (counted in parts of complex numbers)."""
        return 2 * sum((n - 1) * s for n, s in zip(self.size, self.strides, strict=True)) > _MOST_NARROW

    @property
    def has_fast_channels(self) -> bool | None:
        """Whether channels lie closer than pixels; None where there is one of either."""
        if self.size[1] == 1 or self.size[2] * self.size[3] == 1:
            return None
        return self.strides[1] < self.strides[3 if self.size[3] > 1 else 2]


def images(operand: Operand, channels: int, parts: int) -> Images:
    """An operand (N, C, H, W) whose groups have so many channels."""
    n, c, h, w = (stride * parts for stride in operand.strides)
    return Images(None, n, c, h, w, channels * c)


def weight(operand: Operand, outputs: int, parts: int, *, backward: bool) -> Weight:
    """An operand (O, C / groups, kh, kw) with so many outputs in a group; O is summed over if `backward`."""
    o, c, h, w = (stride * parts for stride in operand.strides)
    return Weight(None, *((c, o) if backward else (o, c)), h, w, outputs * o)


def axis(of: geometry.Axis) -> Axis:
    """One axis, with what its phases need."""
    common = gcd(of.stride, of.dilation)
    modulus = of.stride // common
    inverse = pow(of.dilation // common, -1, modulus)
    return Axis(
        of.size, of.output, of.kernel, of.stride, of.dilation, of.before, of.after, common, inverse
    )  # fmt: skip


def images_of_pixels(of: geometry.Axis, mode: str) -> int:
    """In how many places of a padded axis one pixel may be, itself included."""
    if mode == "zeros" or not (of.before or of.after):
        return 1
    return 1 + of.before + of.after if mode == "replicate" else 3


def flattened(of: Geometry, first: Operand, second: Operand) -> tuple[Geometry, Operand, Operand]:
    """A convolution of single pixels as one of a single row, or of a single image, where both lie so.

    `first` and `second` are its images; what is no such convolution comes back as it is.
    """
    rows, columns = of.rows, of.columns
    plain = of.padding == ((0, 0), (0, 0)) and of.kernel_size == (1, 1)
    if not plain or rows.stride != 1 or columns.stride != 1:
        return of, first, second
    height, width = rows.size, columns.size
    if all(it.strides[2] == width * it.strides[3] or height == 1 for it in (first, second)):
        first, second = (_reshaped(it, it.size[0], height * width) for it in (first, second))
        of = replace(of, rows=geometry.Axis(1, 1), columns=geometry.Axis(height * width, 1))
        if all(it.strides[0] == height * width * it.strides[3] for it in (first, second)):
            first, second = (_reshaped(it, 1, of.batch * height * width) for it in (first, second))
            of = replace(of, batch=1, columns=geometry.Axis(of.batch * height * width, 1))
    return of, first, second


def _reshaped(operand: Operand, batch: int, width: int) -> Operand:
    _, c, _, w = operand.strides
    rows = operand.strides[0] if batch > 1 else width * w
    return replace(operand, size=(batch, operand.size[1], 1, width), strides=(rows, c, width * w, w))
