"""What is asked of the fields of a tensor: which elements read a pixel, and how large windows are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from tatamu.tracing.fields.terms import Extent, Factor, Reading, Term
from tatamu.tracing.fields.unions import Field


@dataclass(frozen=True)
class Window:
    """What an element of a tensor reads of the input along one of its axes, in input pixels.

    Attributes:
        size: pixels from the first that it reads to the last, padding included; of the element that reads
            most. The rows or columns of the input where `is_whole`.
        jump: pixels from what one element reads to what the next one does; None where there is no next.
        start: the first pixel that the first element reads; negative where it is padding.
        is_whole: whether an operation on the whole image was on the way (global pooling, normalisation over
            pixels, attention, a linear layer after flattening).
    """

    size: int
    jump: Fraction | None
    start: int
    is_whole: bool


def readers(field: Field, shape: Sequence[int], pixel: Sequence[int]) -> Tensor:
    """Which elements of a tensor of this shape read a pixel, given by its place along each axis; bool."""
    found = torch.zeros(tuple(shape), dtype=torch.bool)
    for term in field:
        read = torch.ones((), dtype=torch.bool)
        for number, reading in enumerate(term.readings):
            read = read & _spread(term, number, _reads(reading, pixel))
        found |= read.expand(tuple(shape))
    return found


def _reads(reading: Reading, pixel: Sequence[int]) -> list[bool]:
    place = 0
    for axis, size in zip(reading.axes, reading.sizes, strict=True):
        place = place * size + pixel[axis]
    return [bool(bits >> place & 1) for bits in reading.bits]


def _spread(term: Term, number: int, flags: list[bool]) -> Tensor:
    """What is so along a reading, for every element: one dimension of the result for each of the tensor."""
    along = torch.tensor(flags)
    places = torch.zeros((1,) * len(term.dims), dtype=torch.long)
    for dim, factors in enumerate(term.dims):
        shape = [1] * len(term.dims)
        shape[dim] = -1
        places = places + _positions(factors, number).reshape(shape)
    return along[places]


def _positions(factors: Sequence[Factor], number: int) -> Tensor:
    places = torch.zeros(1, dtype=torch.long)
    for it in factors:
        step = it.stride if it.reading == number else 0
        places = (places[:, None] + torch.arange(it.size) * step).reshape(-1)
    return places


def windows(field: Field, axes: int) -> tuple[Window, ...] | None:
    """The windows of a field along each axis of the input; None where nothing is read of it."""
    found = []
    for axis in range(axes):
        extents = list(_extents(field, axis))
        if not extents:
            return None
        found.append(_window(extents))
    return tuple(found)


def _extents(field: Field, axis: int) -> Iterator[tuple[Extent, int]]:
    """Of each term the extents along an axis, and the axis's size."""
    for term in field:
        for reading in term.readings:
            if axis in reading.axes:
                place = reading.axes.index(axis)
                yield reading.extents[place], reading.sizes[place]


def _window(extents: Sequence[tuple[Extent, int]]) -> Window:
    if any(it.whole for it, _ in extents):
        size = extents[0][1]
        return Window(size, None, 0, True)
    count = max(len(it.low) for it, _ in extents)
    # Terms of fewer positions are the same for all, or for several.
    spread = [it for it, _ in extents if len(it.low) in (1, count)]
    lows, highs = [], []
    for place in range(count):
        pairs = [(it.low[place % len(it.low)], it.high[place % len(it.high)]) for it in spread]
        read = [(low, high) for low, high in pairs if low <= high]
        if read:
            lows.append(min(low for low, _ in read))
            highs.append(max(high for _, high in read))
    size = max((high - low + 1 for low, high in zip(lows, highs, strict=True)), default=0)
    jump = next(it.jump for it in spread if len(it.low) == count) if count > 1 else None
    return Window(size, jump, lows[0] if lows else 0, False)
