"""The pixels that no output reads, in words, with the reason."""

from __future__ import annotations

from itertools import pairwise
from math import gcd

from tatamu.geometry import Axis, Geometry

_MOST_RUNS = 3
"""How many stretches of pixels are named before the rest is only counted."""


def unread_pixels(geometry: Geometry) -> list[str]:
    """A sentence for each kind of row and column that no output reads; none where all are read."""
    rows, columns, mode = geometry.rows, geometry.columns, geometry.padding_mode
    if rows == columns:
        return _axis_remarks(rows, mode, "row and column", "rows and columns")
    return [*_axis_remarks(rows, mode, "row", "rows"), *_axis_remarks(columns, mode, "column", "columns")]


def unused_padding(geometry: Geometry) -> list[str]:
    """A sentence for each axis whose last pixels of padding no window reaches."""
    rows, columns = geometry.rows, geometry.columns
    if rows == columns:
        named = [(rows, "row and column", "rows and columns")]
    else:
        named = [(rows, "row", "rows"), (columns, "column", "columns")]
    return [
        f"{_last(unused, one, several)} of padding: {_left_over(axis)}"
        for axis, one, several in named
        if (unused := min(axis.left_over, axis.after))
    ]


def _axis_remarks(axis: Axis, mode: str, one: str, several: str) -> list[str]:
    """The same for one axis, whose pixels are called `one` or `several`."""
    unread = axis.unread(mode)
    end = (axis.output - 1) * axis.stride + axis.effective_kernel - axis.before
    tail = [pixel for pixel in unread if pixel >= end]
    inner = [pixel for pixel in unread if pixel < end]
    found = []
    if inner:
        found.append(f"{_listed(inner, axis.size, several)}: {_why(axis)}")
    if tail:
        found.append(f"{_last(len(tail), one, several)}: {_left_over(axis)}")
    return found


def _last(count: int, one: str, several: str) -> str:
    return f"the last {one}" if count == 1 else f"the last {count} {several}"


def _left_over(axis: Axis) -> str:
    total = f"{axis.size} + {axis.before} + {axis.after} - {axis.effective_kernel}"
    return f"{total} is not a multiple of {axis.stride}"


def _why(axis: Axis) -> str:
    if axis.stride > axis.effective_kernel:
        return f"the stride is {axis.stride}, and the kernel spans {axis.effective_kernel}"
    common = gcd(axis.stride, axis.dilation)
    if common > 1:
        return f"stride {axis.stride} and dilation {axis.dilation} share the factor {common}"
    return f"no other window fills the gaps of dilation {axis.dilation}"


def _listed(pixels: list[int], size: int, several: str) -> str:
    """'rows 1, 3, 5, … (6 of 12)': stretches of pixels, counted from 0."""
    breaks = [place for place, (a, b) in enumerate(pairwise(pixels), 1) if b != a + 1]
    runs = [pixels[begin:end] for begin, end in pairwise([0, *breaks, len(pixels)])]
    named = [f"{run[0]}" if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs[:_MOST_RUNS]]
    more = ", …" if len(runs) > _MOST_RUNS else ""
    return f"{several} {', '.join(named)}{more} ({len(pixels)} of {size})"
