"""Random convolutions for the GPU's kernels: small, for Triton's interpreter runs them program by program."""

from __future__ import annotations

from hypothesis import strategies as st

from engine.cases import Case, Integers, arrangement, drawn
from tatamu.geometry import PADDING_MODES, Axis, Geometry


def axis(integer: Integers, mode: str, most_pixels: int, most_taps: int) -> Axis:
    """One axis with every argument at random; the input grows where the kernel would not fit it."""
    size, kernel = integer(1, most_pixels), integer(1, most_taps)
    stride, dilation = integer(1, 3), integer(1, 2)
    limit = {"reflect": size - 1, "circular": size}.get(mode, 2)
    before, after = integer(0, min(2, limit)), integer(0, min(2, limit))
    span = dilation * (kernel - 1) + 1
    return Axis(max(size, span - before - after), kernel, stride, dilation, before, after)


def geometry(integer: Integers) -> Geometry:
    """One of the shapes that kernels differ for."""
    mode = PADDING_MODES[integer(0, 3)]
    shape = integer(0, 4)
    rows, columns = axis(integer, mode, 5, 3), axis(integer, mode, 6, 3)
    if shape == 0:  # Few channels, several taps of which are multiplied at once.
        groups, depth, width = 1, integer(1, 5), integer(1, 20)
    elif shape == 1:  # A step of the sum for each tap, more than one tile.
        groups, depth, width = 1, integer(16, 40), integer(1, 20)
    elif shape == 2:  # Narrow groups, several of which are multiplied at once.
        groups, depth, width = integer(2, 5), integer(4, 9), integer(4, 9)
    elif shape == 3:  # Depthwise, with a multiplier; or groups of few channels.
        groups, depth, width = integer(2, 20), integer(1, 3), integer(1, 3)
    else:  # Pointwise.
        rows, columns = axis(integer, mode, 5, 1), axis(integer, mode, 7, 1)
        groups, depth, width = integer(1, 2), integer(1, 40), integer(1, 20)
    return Geometry(integer(1, 2), groups * depth, groups * width, groups, rows, columns, mode)


def case(integer: Integers) -> Case:
    """A random convolution on randomly arranged operands."""
    arranged = (arrangement(integer), arrangement(integer), arrangement(integer))
    return Case(geometry(integer), arranged, bool(integer(0, 1)), bool(integer(0, 1)))


cases = st.composite(lambda draw: case(drawn(draw)))()
