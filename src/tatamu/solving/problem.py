"""One axis to be solved: its sizes, what is fixed, and the arguments that may be tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tatamu import validate
from tatamu.geometry import resolve_padding
from tatamu.solving.plainness import USUAL_KERNEL

Sides = tuple[int, int]
"""Padding (before, after)."""

_NO_LIMIT = 1 << 40
"""A size of image into which every kernel fits: with it only the other rules can be broken."""


@dataclass(frozen=True)
class Problem:
    """Sizes and fixed arguments along one axis. `padding` may be a name; None is what is free."""

    size: int
    output: int
    kernel: int | None = None
    stride: int | None = None
    padding: str | Sides | None = None
    dilation: int | None = None

    @staticmethod
    def both(
        sizes: tuple[int, int],
        wanted: tuple[int, int],
        kernel_size: object,
        stride: object,
        padding: object,
        dilation: object,
    ) -> tuple[Problem, Problem]:
        """The two axes, once the fixed arguments have been checked.

        Raises:
            TatamuError: an argument that no layer takes.
        """
        kernel, step, amounts, gaps = (
            default if value is None else value
            for value, default in ((kernel_size, 1), (stride, 1), (padding, 0), (dilation, 1))
        )
        validate.layer(1, 1, kernel, step, amounts, 1, "zeros")
        kernels, image = pair(kernel), (1, _NO_LIMIT, _NO_LIMIT)
        convolution = validate.resolve(image, (1, 1, *kernels), None, step, amounts, gaps, 1, "zeros")
        rows, columns = (
            Problem(
                sizes[i],
                wanted[i],
                None if kernel_size is None else kernels[i],
                None if stride is None else convolution.stride[i],
                padding if padding is None or isinstance(padding, str) else convolution.padding[i],
                None if dilation is None else convolution.dilation[i],
            )
            for i in (0, 1)
        )
        return rows, columns

    @property
    def fixed(self) -> tuple[object, ...]:
        """What is fixed, whatever the sizes."""
        return self.kernel, self.stride, self.padding, self.dilation

    @property
    def described(self) -> str:
        """What is fixed, as a call writes it."""
        symmetric = isinstance(self.padding, tuple) and self.padding[0] == self.padding[1]
        written = {
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": self.padding[0] if symmetric and self.padding else self.padding,
            "dilation": self.dilation,
        }
        return ", ".join(f"{name}={value!r}" for name, value in written.items() if value is not None)

    @property
    def largest_extent(self) -> int:
        """How far a kernel that is tried may reach, in pixels."""
        if isinstance(self.padding, tuple):
            return self.size + sum(self.padding)
        if isinstance(self.padding, str):
            return self.size
        needed = (self.output - 1) * (self.stride or 1) - self.size + 2
        # With taps or gaps that are fixed the extent grows in steps.
        return needed + (self.kernel or 1) + (self.dilation or 1) if needed > self.size else self.size

    def kernels(self, largest: int) -> Iterator[tuple[int, range]]:
        """Every number of taps, the usual ones first, with the dilations that keep it within an extent."""
        most = (largest - 1) // (self.dilation or 1) + 1
        taps = range(1, most + 1) if self.kernel is None else (self.kernel,)
        for kernel in sorted(taps, key=lambda number: abs(number - USUAL_KERNEL)):
            if self.dilation is not None:
                yield kernel, range(self.dilation, self.dilation + 1)
            else:
                yield kernel, range(1, 2 if kernel == 1 else max(1, (largest - 1) // (kernel - 1)) + 1)

    def strides(self, extent: int) -> tuple[int, int | None]:
        """The smallest and the largest stride that may be: others miss `output` with any padding.

        A single output is what every large stride leaves; then there is no largest.
        """
        if self.stride is not None:
            return self.stride, self.stride
        padding = sum(self.padding) if isinstance(self.padding, tuple) else 0
        if self.output == 1:
            if self.padding == "same":
                return 1, 1
            named = self.padding in ("same_upper", "same_lower")
            return (self.size if named else max(1, self.size + padding - extent + 1)), None
        most = padding if isinstance(self.padding, tuple) else 2 * (extent - 1)
        smallest = max(1, (self.size + padding - extent) // self.output + 1)
        return smallest, (self.size + most - extent) // (self.output - 1)

    def paddings(self, kernel: int, stride: int, dilation: int) -> Iterator[Sides]:
        """The paddings that give `output`; of those that are free, the ones that may be the plainest."""
        extent = dilation * (kernel - 1) + 1
        least = (self.output - 1) * stride + extent - self.size
        most = least + stride - 1
        if self.padding is None:
            yield from _split(range(max(0, least), min(most, 2 * (extent - 1)) + 1), extent - 1, 2 * least)
            return
        sides = self._fixed_sides(kernel, stride, dilation)
        if sides is not None and least <= sum(sides) <= most and extent <= self.size + sum(sides):
            yield sides

    def outputs(self, kernel: int, dilation: int) -> Iterator[range]:
        """Sizes that can be had; of the free strides, those that come near to `output` alone are tried."""
        extent = dilation * (kernel - 1) + 1
        free = (0, 2 * (extent - 1))
        totals: tuple[int, ...] = (sum(self.padding),) if isinstance(self.padding, tuple) else free
        steps = max(self.output - 1, 1)
        near = {max(0, self.size + total - extent) // steps + up for total in totals for up in (0, 1)}
        for stride in {1, *near} - {0} if self.stride is None else {self.stride}:
            if isinstance(self.padding, str):
                sides = self._fixed_sides(kernel, stride, dilation)
                totals = () if sides is None else (sum(sides),)
            fitting = [
                (self.size + total - extent) // stride + 1 for total in totals if extent <= self.size + total
            ]
            if fitting:
                yield range(min(fitting), max(fitting) + 1)

    def _fixed_sides(self, kernel: int, stride: int, dilation: int) -> Sides | None:
        """The padding that is fixed; None where its name does not go with the stride."""
        if not isinstance(self.padding, str):
            return self.padding
        if self.padding == "same" and stride > 1:
            return None
        return resolve_padding(self.padding, (kernel, 1), (stride, 1), (dilation, 1), (self.size, 1))[0]


def _split(totals: range, habit: int, lossless: int) -> Iterator[Sides]:
    """Of some totals those around three: the usual one, the smallest, the last that leaves no pixel over."""
    if totals:
        middles = (min(max(middle, totals[0]), totals[-1]) for middle in (habit, lossless, totals[0]))
        tried = {near for middle in middles for near in range(middle - 2, middle + 3)}
        yield from ((total // 2, total - total // 2) for total in sorted(tried) if total in totals)


def pair(value: Any) -> tuple[int, int]:
    """(height, width) of what is given for both, or for each."""
    return (value[0], value[-1]) if isinstance(value, tuple | list) else (value, value)
