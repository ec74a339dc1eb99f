"""Which positions along one axis each output position reads: convolution, pooling, interpolation, padding."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import floor

import torch

Reads = list[range] | list[tuple[int, ...]]


def sliding(count: int, kernel: int, stride: int, before: int, dilation: int = 1) -> Reads:
    """Of a convolution or pooling, as y[i] reads x[i·stride + k·dilation - before]."""
    first = (place * stride - before for place in range(count))
    return [range(start, start + dilation * (kernel - 1) + 1, dilation) for start in first]


def transposed(
    size: int, count: int, kernel: int, stride: int, before: int, dilation: int
) -> list[tuple[int, ...]]:
    """Of a transposed convolution: x[j] is added to y[j·stride + k·dilation - before]."""
    reads: list[list[int]] = [[] for _ in range(count)]
    for j in range(size):
        for k in range(kernel):
            place = j * stride + k * dilation - before
            if 0 <= place < count:
                reads[place].append(j)
    return [tuple(sorted(set(it))) for it in reads]


def adaptive(size: int, count: int) -> Reads:
    """Of adaptive pooling."""
    return [range(place * size // count, -((place + 1) * size // -count)) for place in range(count)]


def nearest(size: int, count: int, scale: float | None, exact: bool) -> Reads:
    """Of interpolation by the nearest pixel, which torch finds in float32; `scale` is the user's or None."""
    if count == size and not exact:
        return [range(place, place + 1) for place in range(count)]
    ratio = torch.tensor(1 / scale if scale else size / count, dtype=torch.float32)
    places = torch.arange(count, dtype=torch.float32) + (0.5 if exact else 0.0)
    found = torch.floor(places * ratio).long().clamp(max=size - 1).tolist()
    return [range(it, it + 1) for it in found]


def linear(size: int, count: int, scale: float | None, align_corners: bool) -> list[tuple[int, ...]]:
    """Of linear interpolation: two neighbours, one of which may weigh nothing."""
    if size == count:
        return [(place,) for place in range(count)]
    reads: list[tuple[int, ...]] = []
    for place in range(count):
        at = max(_source(place, size, count, scale, align_corners), 0.0)
        first = min(int(at), size - 1)
        reads.append((first, min(first + 1, size - 1)))
    return reads


def cubic(size: int, count: int, scale: float | None, align_corners: bool) -> list[tuple[int, ...]]:
    """Of cubic interpolation: four neighbours."""
    reads = []
    for place in range(count):
        first = floor(_source(place, size, count, scale, align_corners))
        reads.append(tuple(min(max(first + k, 0), size - 1) for k in range(-1, 3)))
    return reads


def antialiased(size: int, count: int, scale: float | None, align_corners: bool, radius: int) -> Reads:
    """Of interpolation whose filter grows when it makes smaller; `radius` is 1 if linear, 2 if cubic."""
    ratio = _ratio(size, count, scale, align_corners)
    support = radius * max(ratio, 1.0)
    reads = []
    for place in range(count):
        centre = ratio * (place + 0.5)
        reads.append(range(max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), size)))
    return reads


def _ratio(size: int, count: int, scale: float | None, align_corners: bool) -> float:
    if align_corners:
        return (size - 1) / (count - 1) if count > 1 else 0.0
    return 1 / scale if scale else size / count


def _source(place: int, size: int, count: int, scale: float | None, align_corners: bool) -> float:
    ratio = _ratio(size, count, scale, align_corners)
    return place * ratio if align_corners else ratio * (place + 0.5) - 0.5


def reflected(size: int, before: int, after: int) -> Reads:
    """Of padding by reflection."""
    last = size - 1
    return _padded(size, before, after, lambda j: last - abs(last - abs(j)))


def replicated(size: int, before: int, after: int) -> Reads:
    """Of padding by the border's pixels."""
    return _padded(size, before, after, lambda j: min(max(j, 0), size - 1))


def wrapped(size: int, before: int, after: int) -> Reads:
    """Of padding from the other side."""
    return _padded(size, before, after, lambda j: j % size)


def zeros(size: int, before: int, after: int) -> Reads:
    """Of padding by a constant; negative amounts crop."""
    return _padded(size, before, after, lambda j: j)


def _padded(size: int, before: int, after: int, find: Callable[[int], int]) -> Reads:
    return [range(find(j), find(j) + 1) for j in range(-before, size + after)]


def step(size: int, count: int) -> Fraction:
    """Old positions from one new one to the next, where the image stays the same."""
    return Fraction(size, count) if count else Fraction(1)
