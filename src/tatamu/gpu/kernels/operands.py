"""What kernels are given: operands with their strides, and the two axes of a convolution.

Strides count elements (real parts of complex numbers count double). A kernel takes them as they are: NCHW,
channels_last and anything else differ in nothing but these numbers and in which of pixels and channels is the
fast axis of a tile.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Images(NamedTuple):
    """An operand (N, C, H, W): input, output or a gradient of one of them.

    Attributes:
        pointer: a tensor; None in a plan, until a call gives its own.
        group: elements from the channels of one group to those of the next.
    """

    pointer: Any
    n: int
    c: int
    h: int
    w: int
    group: int


class Weight(NamedTuple):
    """A weight (O, C / groups, kh, kw), by the roles that its channels have in a pass.

    Attributes:
        pointer: as in `Images`.
        result, depth: elements from one result channel to the next, and from one channel that is summed over
            to the next.
        group: elements from one group to the next.
    """

    pointer: Any
    result: int
    depth: int
    h: int
    w: int
    group: int


class Axis(NamedTuple):
    """One axis of the convolution, forward; a gradient reads it backwards.

    Attributes:
        size, outputs: pixels of the input and of the output.
        common, inverse: the greatest common divisor g of stride and dilation, and the inverse of dilation / g
            modulo stride / g: they tell which tap a phase of the input's pixels begins with.
    """

    size: int
    outputs: int
    taps: int
    stride: int
    dilation: int
    before: int
    after: int
    common: int
    inverse: int
