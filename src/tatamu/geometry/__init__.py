"""The arithmetic of 2-D convolution in plain integers.

Everything that follows from sizes alone is here and nowhere else: padding amounts, output size, work,
traffic, receptive field, and the shape of the two gradients. Nothing here validates: impossible arguments
give meaningless numbers, and the callers that take arguments from a user check them first.

Sizes may be symbolic integers (as torch's fake tensors have them). `Geometry.of`, `Geometry.output_size` and
what they use are plain arithmetic: no hashing, no comparison, no branch on a size.

One axis of a convolution, throughout, in torch's convention (a cross-correlation: the kernel is not flipped):
    y[p] = sum over k of w[k] · x[p·stride + k·dilation - before]
where a position of x outside 0 … size - 1 is padding. Source of the size formulas: Dumoulin and Visin, "A
guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.
"""

from tatamu.geometry.axis import Axis, Phase
from tatamu.geometry.padding import (
    PADDING_MODES,
    PADDING_STRINGS,
    Padding,
    PaddingArgument,
    padded_source,
    resolve_padding,
)
from tatamu.geometry.receptive_field import ReceptiveField
from tatamu.geometry.sizes import Convolution, Geometry

__all__ = [
    "PADDING_MODES",
    "PADDING_STRINGS",
    "Axis",
    "Convolution",
    "Geometry",
    "Padding",
    "PaddingArgument",
    "Phase",
    "ReceptiveField",
    "padded_source",
    "resolve_padding",
]
