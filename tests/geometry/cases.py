"""Axes to try, and the definition of a convolution walked through by hand."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from tatamu.geometry import Axis

Triple = tuple[int, int, int]


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    axis = Axis(
        size=draw(st.integers(1, 14)),
        kernel=draw(st.integers(1, 5)),
        stride=draw(st.integers(1, 6)),
        dilation=draw(st.integers(1, 4)),
        before=draw(st.integers(0, 7)),
        after=draw(st.integers(0, 7)),
    )
    assume(axis.effective_kernel <= axis.padded)
    return axis


def products(axis: Axis) -> set[Triple]:
    """Every (pixel, output, tap) of the definition, found by walking the padded axis."""
    starts = [p for p in range(axis.padded) if p % axis.stride == 0]
    found = set()
    for output, start in enumerate(starts):
        reads = [start + tap * axis.dilation for tap in range(axis.kernel)]
        if reads[-1] < axis.padded:
            found |= {(read - axis.before, output, tap) for tap, read in enumerate(reads)}
    return {(pixel, output, tap) for pixel, output, tap in found if 0 <= pixel < axis.size}


def windows(axis: Axis) -> list[tuple[int, int]]:
    """First and last padded pixel of every place where the effective kernel fits, one stride apart."""
    every = [(p, p + axis.dilation * (axis.kernel - 1)) for p in range(0, axis.padded, axis.stride)]
    return [(first, last) for first, last in every if last < axis.padded]
