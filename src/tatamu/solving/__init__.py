"""The arithmetic of sizes backwards: which arguments turn an input of one size into an output of another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from tatamu.errors import EmptyInputError, UnreachableSizeError
from tatamu.geometry import Axis, Padding, PaddingArgument
from tatamu.solving.plainness import remarks
from tatamu.solving.problem import Problem, pair
from tatamu.solving.search import nearest, plainest

__all__ = ["Solution", "solve"]


@dataclass(frozen=True)
class Solution:
    """Arguments of a convolution; pairs are (height, width).

    Attributes:
        padding: ((top, bottom), (left, right)), in pixels.
        remarks: what is not plain about it, in a few words each; see `solve`.
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    dilation: tuple[int, int]
    remarks: tuple[str, ...]

    @property
    def arguments(self) -> dict[str, Any]:
        """What to pass to `Conv2d` after its channels, in the shortest form; defaults are left out."""
        top, left = self.padding[0][0], self.padding[1][0]
        symmetric = self.padding == ((top, top), (left, left))
        named: dict[str, Any] = {
            "kernel_size": _shortest(self.kernel_size),
            "stride": _shortest(self.stride),
            "padding": _shortest((top, left)) if symmetric else self.padding,
            "dilation": _shortest(self.dilation),
        }
        defaults = {"stride": 1, "padding": 0, "dilation": 1}
        return {name: value for name, value in named.items() if value != defaults.get(name)}

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.arguments.items())


def solve(
    input_size: int | tuple[int, int],
    output_size: int | tuple[int, int],
    *,
    kernel_size: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    padding: PaddingArgument | None = None,
    dilation: int | tuple[int, int] | None = None,
    count: int = 5,
) -> list[Solution]:
    """The arguments of a convolution that turns one size into another, the plainest first.

    An argument that is given is fixed. The others are tried: kernels and dilations as far as the kernel's
    extent is no larger than the image (little larger than it takes, for an output larger than the image),
    every stride that fits, and padding short of the extent, so that no output sees padding alone. Padding
    that differs between two sides differs by one, which is at the end. Of several paddings that serve one
    kernel, stride and dilation the plainest is listed. For a single output the stride is the smallest that
    leaves one.

    A solution is the plainer the less there is to count: 1 for an even kernel, for a stride over 2, for a
    dilation, for padding that differs between two sides, and for more padding than half of the kernel's
    extent on each side; 1 each time that the extent passes 7, 14, 28, … pixels; 2 for pixels that no output
    reads, and 4 more for a stride of over two extents. Among equals those come first whose kernel is nearer
    to 3, then those with the smaller kernel, stride and dilation, then those whose padding is nearer to half
    of the extent.

    Height and width are solved together while the same arguments can serve both, and where none can, each on
    its own: the plainest pairs come first.

    Args:
        input_size: the image, in pixels: an int for a square, or (height, width).
        output_size: what is wanted, likewise.
        padding: whatever `Conv2d` takes.
        count: how many solutions to return, at most.

    Returns:
        At least one solution. Each gives `output_size` on `input_size`.

    Raises:
        UnreachableSizeError: no arguments give this size; the sentence names the nearest that can be had.
        TatamuError: a fixed argument is one that no layer takes, or the image has no pixels.
    """
    sizes, wanted = pair(input_size), pair(output_size)
    if min(sizes) < 1:
        raise EmptyInputError.of(sizes)
    if min(wanted) < 1:
        raise UnreachableSizeError.of_empty(wanted)
    axes = Problem.both(sizes, wanted, kernel_size, stride, padding, dilation)
    if axes[0].fixed == axes[1].fixed:
        together = plainest(axes[:1] if axes[0] == axes[1] else axes, count)
        if together:
            return [_solution(it.axes[0], it.axes[-1]) for it in together]
    found = [plainest((axis,), count) for axis in axes]
    for axis, name, solutions in zip(axes, ("height", "width"), found, strict=True):
        if not solutions:
            raise UnreachableSizeError.of(name, axis.size, axis.output, axis.described, nearest(axis))
    pairs = sorted(
        product(*found), key=lambda both: [sum(parts) for parts in zip(*(it.key for it in both), strict=True)]
    )
    return [_solution(rows.axes[0], columns.axes[0]) for rows, columns in pairs[:count]]


def _solution(rows: Axis, columns: Axis) -> Solution:
    return Solution(
        (rows.kernel, columns.kernel),
        (rows.stride, columns.stride),
        ((rows.before, rows.after), (columns.before, columns.after)),
        (rows.dilation, columns.dilation),
        tuple(dict.fromkeys([*remarks(rows), *remarks(columns)])),
    )


def _shortest(both: tuple[int, int]) -> int | tuple[int, int]:
    return both[0] if both[0] == both[1] else both
