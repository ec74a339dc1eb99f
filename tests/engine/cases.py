"""Random convolutions and tensors in every arrangement, from any source of integers.

`Integers` gives an integer between two bounds, both included: hypothesis's drawing (`drawn`), which can
shrink what it drew, or a plain generator's `randint`, for the processes that hypothesis cannot enter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from tatamu.geometry import PADDING_MODES, Axis, Geometry

Integers = Callable[[int, int], int]

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COMPLEX = (torch.complex32, torch.complex64, torch.complex128)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)

LAYOUTS = ("contiguous", "channels_last", "permuted", "stepped", "sliced", "expanded")
PASSES = ("forward", "grad_input", "grad_weight", "grad_bias")


def drawn(draw: st.DrawFn) -> Integers:
    """Integers that hypothesis draws."""
    return lambda low, high: draw(st.integers(low, high))


def axis(integer: Integers, mode: str, most_pixels: int, most_taps: int) -> Axis:
    """One axis with every argument at random; the input grows where the kernel would not fit it."""
    size, kernel = integer(1, most_pixels), integer(1, most_taps)
    stride, dilation = integer(1, 3), integer(1, 3)
    limit = {"reflect": size - 1, "circular": size}.get(mode, 5)
    before, after = integer(0, min(5, limit)), integer(0, min(5, limit))
    span = dilation * (kernel - 1) + 1
    return Axis(max(size, span - before - after), kernel, stride, dilation, before, after)


def geometry(integer: Integers) -> Geometry:
    """A convolution small enough for the reference's loops, of one of the shapes that kernels differ for."""
    mode = PADDING_MODES[integer(0, 3)]
    shape = integer(0, 5)
    groups, deep, wide = 1, (1, 10), (1, 20)
    if shape == 0:  # All at once.
        rows, columns, groups = axis(integer, mode, 9, 7), axis(integer, mode, 9, 7), integer(1, 3)
    elif shape == 1:  # Rows of several registers.
        rows, columns = axis(integer, mode, 4, 3), axis(integer, mode, 70, 5)
    elif shape == 2:  # More channels than one slab holds, and more than one tile.
        rows, columns, deep, wide = axis(integer, mode, 5, 3), axis(integer, mode, 6, 3), (20, 90), (1, 70)
    elif shape == 3:  # Depthwise, with a multiplier; or groups of few channels.
        rows, columns = axis(integer, mode, 9, 5), axis(integer, mode, 20, 5)
        few = integer(1, 4)
        groups, deep, wide = integer(2, 36), (1, few), (1, max(2, few))
    elif shape == 4:  # Fully connected: the kernel is as large as the image.
        mode, groups, deep, wide = "zeros", integer(1, 2), (1, 40), (1, 20)
        rows, columns = (Axis(size, size, integer(1, 2)) for size in (integer(1, 3), integer(1, 3)))
    else:  # Pointwise.
        rows, columns, deep = axis(integer, mode, 7, 1), axis(integer, mode, 9, 1), (1, 40)
    in_channels, out_channels = groups * integer(*deep), groups * integer(*wide)
    return Geometry(integer(1, 3), in_channels, out_channels, groups, rows, columns, mode)


def filled(size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Normal numbers, or integers over the whole range of the type, so that sums wrap around."""
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(size, dtype=torch.complex128 if dtype.is_complex else torch.float64).to(dtype)
    info = torch.iinfo(dtype)
    low, high = max(info.min, -(1 << 62)), min(info.max, 1 << 62)
    return torch.randint(low, high, size, dtype=torch.int64).to(dtype)


@dataclass(frozen=True)
class Arrangement:
    """How a tensor lies in memory, and whether it is conjugated or negated without having been touched."""

    layout: str = "contiguous"
    lazy: str = ""
    numbers: tuple[int, int, int, int] = (0, 0, 0, 0)
    """One free choice per dimension, 0 … 3; a layout uses them as it needs."""

    def of(self, values: Tensor) -> Tensor:
        """The values so arranged (an expanded tensor repeats the first along one dimension)."""
        tensor = self._placed(values)
        if self.lazy == "conj" and tensor.is_complex():
            return tensor.conj()
        integer = not tensor.is_floating_point() and not tensor.is_complex()
        return torch._neg_view(tensor) if self.lazy == "neg" and not integer else tensor

    def _placed(self, values: Tensor) -> Tensor:
        size, numbers = values.shape, self.numbers
        match self.layout:
            case "contiguous":
                return values.contiguous()
            case "channels_last":
                return values.contiguous(memory_format=torch.channels_last)
            case "permuted":
                orders = list(itertools.permutations(range(4)))
                order = orders[(numbers[0] * 4 + numbers[1]) % len(orders)]
                inverse = [order.index(dimension) for dimension in range(4)]
                return values.permute(order).contiguous().permute(inverse)
            case "stepped":
                steps = [1 + number % 2 for number in numbers]
                base = _foreign([s * step for s, step in zip(size, steps, strict=True)], values.dtype)
                view = base[tuple(slice(None, None, step) for step in steps)]
            case "sliced":
                base = _foreign([s + number for s, number in zip(size, numbers, strict=True)], values.dtype)
                if numbers[3] % 2:
                    base = base.contiguous(memory_format=torch.channels_last)
                view = base[tuple(slice(n, n + s) for s, n in zip(size, numbers, strict=True))]
            case "expanded":
                return values.narrow(numbers[0], 0, 1).expand(size)
            case other:
                raise AssertionError(other)
        return view.copy_(values)


def _foreign(size: list[int], dtype: torch.dtype) -> Tensor:
    """Memory that does not belong to the tensor: NaN, or a number that would be noticed."""
    if dtype.is_floating_point or dtype.is_complex:
        return torch.full(size, torch.nan, dtype=dtype)
    return torch.full(size, 77, dtype=dtype)


def arrangement(integer: Integers) -> Arrangement:
    """Any layout; lazily conjugated or negated in one case of three."""
    layout = LAYOUTS[integer(0, len(LAYOUTS) - 1)]
    lazy = {1: "conj", 2: "neg"}.get(integer(0, 5), "")
    first, second, third, fourth = (integer(0, 3) for _ in range(4))
    return Arrangement(layout, lazy, (first, second, third, fourth))


@dataclass(frozen=True)
class Operands:
    """What the four passes of one convolution are computed from."""

    geometry: Geometry
    input: Tensor
    weight: Tensor
    bias: Tensor | None
    grad_output: Tensor


@dataclass(frozen=True)
class Case:
    """A random test, in words that repeat it: the numbers themselves come from torch's generator."""

    geometry: Geometry
    arranged: tuple[Arrangement, Arrangement, Arrangement] = (Arrangement(), Arrangement(), Arrangement())
    """Of input, weight and grad output."""
    with_bias: bool = True
    channels_last: bool = False
    """Whether the results are."""

    def operands(self, dtype: torch.dtype) -> Operands:
        """Random operands, so arranged."""
        geometry = self.geometry
        sizes = (geometry.input_size, geometry.weight_size, geometry.output_size)
        x, w, gy = (how.of(filled(size, dtype)) for how, size in zip(self.arranged, sizes, strict=True))
        bias = filled((2 * geometry.out_channels,), dtype)[::2] if self.with_bias else None
        if bias is not None and self.arranged[1].lazy and dtype not in INTEGERS:
            bias = bias.conj() if self.arranged[1].lazy == "conj" else torch._neg_view(bias)
        return Operands(geometry, x, w, bias, gy)


def case(integer: Integers) -> Case:
    """A random convolution on randomly arranged operands."""
    arranged = (arrangement(integer), arrangement(integer), arrangement(integer))
    return Case(geometry(integer), arranged, bool(integer(0, 1)), bool(integer(0, 1)))


cases = st.composite(lambda draw: case(drawn(draw)))()
