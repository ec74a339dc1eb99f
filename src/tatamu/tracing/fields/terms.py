"""What the elements of a tensor read of the network's input, as a union of products.

A **term** says of every element of a tensor a set of pixels: rows of one set times columns of another.
Which sets these are depends on the element's place: each dimension of the tensor is a product of **factors**,
digits of a mixed-radix number, that say where along a **reading** the element stands. A view regroups digits,
a transposition reorders dimensions, a convolution replaces one dimension's digits by those of its output.
A factor without a reading is free: all along it elements read the same. What a tensor's elements read is the
union of its terms (after a residual addition: one term for each branch). So sets are exact through windows of
attention, concatenations, tokens and dilation, and cost no more than rows plus columns.

A reading without an axis of the input holds one bit: whether the term applies there at all. That is how
channels after a concatenation are told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, prod
from typing import NamedTuple

Indices = Sequence[int]
"""Positions along a dimension, usually a range."""


class Factor(NamedTuple):
    """A digit: it counts `size` positions that lie `stride` apart along a reading; None if it is free."""

    size: int
    reading: int | None
    stride: int


@dataclass(frozen=True)
class Extent:
    """The window that covers what each position reads along one axis of the input, padding included.

    Attributes:
        low, high: the first and last input position for each position; low > high where it reads nothing.
        jump: input pixels from one position to the next.
        whole: whether a position reads all that there is, by a global operation.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    jump: Fraction
    whole: bool = False


@dataclass(frozen=True)
class Reading:
    """What each position along it reads of some axes of the input.

    Attributes:
        axes: of the input, ascending; none where it says whether the term applies.
        sizes: of these axes.
        bits: for each position the set of input positions, one bit each; of several axes, of their product.
        extents: for each axis its windows.
    """

    axes: tuple[int, ...]
    sizes: tuple[int, ...]
    bits: tuple[int, ...]
    extents: tuple[Extent, ...]


@dataclass(frozen=True)
class Term:
    """Of each element of a tensor the product of what its positions along the readings read.

    `is_exact` is False where the true sets may be smaller.
    """

    dims: tuple[tuple[Factor, ...], ...]
    readings: tuple[Reading, ...]
    is_exact: bool = True


def free(size: int) -> tuple[Factor, ...]:
    """A dimension along which all elements read the same."""
    return (Factor(size, None, 0),) if size > 1 else ()


def length(factors: Sequence[Factor]) -> int:
    """The size of a dimension."""
    return prod(it.size for it in factors)


def source(shape: Sequence[int]) -> Term:
    """An input (N, C, …): each element reads the pixel where it is, whatever its sample and channel."""
    dims = [free(size) for size in shape[:2]]
    readings = []
    for axis, size in enumerate(shape[2:]):
        dims.append((Factor(size, axis, 1),) if size > 1 else ())
        own = tuple(range(size))
        bits = tuple(1 << place for place in own)
        readings.append(Reading((axis,), (size,), bits, (Extent(own, own, Fraction(1)),)))
    return Term(tuple(dims), tuple(readings))


def resampled(
    term: Term, dim: int, reads: Sequence[Indices], step: Fraction = Fraction(1), *, whole: bool = False
) -> Term | None:
    """The term of a tensor whose new index i along a dimension reads the old indices `reads[i]`.

    Old indices outside of the dimension are padding: nothing is read there, and windows go on. `step` is the
    number of old positions from one new one to the next. None where nothing reads anything.
    """
    factors = term.dims[dim]
    old = length(factors)
    if all(it.reading is None for it in factors):
        applies = tuple(int(any(0 <= j < old for j in it)) for it in reads)
        if all(applies):
            return with_dim(term, dim, free(len(reads)))
        if not any(applies):
            return None
        presence = Reading((), (), applies, ())
        factor = Factor(len(reads), len(term.readings), 1)
        return replace(
            with_dim(term, dim, (factor,) if len(reads) > 1 else ()), readings=(*term.readings, presence)
        )
    if all(_covers(it, old) for it in reads):
        return with_dim(mixed(term, dim), dim, free(len(reads)))
    if len(factors) > 1:
        joined = merged(term, dim)
        if joined is None:
            applies_anywhere = any(0 <= j < old for it in reads for j in it)
            blurred = replace(mixed(term, dim), is_exact=False)
            return with_dim(blurred, dim, free(len(reads))) if applies_anywhere else None
        term, factors = joined, joined.dims[dim]
    return _replaced(term, dim, factors[0], reads, step, whole=whole)


def _covers(indices: Indices, size: int) -> bool:
    if isinstance(indices, range) and indices.step == 1:
        return indices.start <= 0 and indices.stop >= size
    return len(indices) >= size and set(range(size)) <= set(indices)


def with_dim(term: Term, dim: int, factors: tuple[Factor, ...]) -> Term:
    """The term with other factors for one dimension."""
    return replace(term, dims=(*term.dims[:dim], factors, *term.dims[dim + 1 :]))


def _replaced(
    term: Term, dim: int, factor: Factor, reads: Sequence[Indices], step: Fraction, *, whole: bool
) -> Term:
    """The term with the one factor of a dimension resampled."""
    assert factor.reading is not None
    reading, count = term.readings[factor.reading], len(reads)
    low, size = factor.stride, factor.size
    outer = len(reading.bits) // (size * low)
    # New positions in the order of their digits: those above the factor, the factor, those below.
    places = [
        (above * size * low + below, indices)
        for above in range(outer)
        for indices in reads
        for below in range(low)
    ]
    bits = tuple(
        _or(reading.bits[base + j * low] for j in indices if 0 <= j < size) for base, indices in places
    )
    goes_on = len(reading.axes) == 1  # Of several, the next position may be in the next row.
    jump = step if outer == 1 and low == 1 else 1
    extents = tuple(
        Extent(*_windows(it, places, low, size, goes_on), it.jump * jump, it.whole or whole)
        for it in reading.extents
    )
    changed = replace(reading, bits=bits, extents=extents)
    readings = (*term.readings[: factor.reading], changed, *term.readings[factor.reading + 1 :])
    dims = tuple(
        tuple(
            it._replace(stride=it.stride // size * count)
            if it.reading == factor.reading and it.stride > low
            else it
            for it in factors
        )
        for factors in term.dims
    )
    new = (factor._replace(size=count),) if count > 1 else ()
    return without_trivial(with_dim(replace(term, dims=dims, readings=readings), dim, new))


def _or(bits: Iterable[int]) -> int:
    result = 0
    for it in bits:
        result |= it
    return result


def _windows(
    extent: Extent, places: Sequence[tuple[int, Indices]], stride: int, size: int, goes_on: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    lows, highs = [], []
    unit = extent.jump * stride * goes_on
    for base, indices in places:
        low, high = None, None
        for j in indices:
            inside = min(max(j, 0), size - 1)
            first, last = extent.low[base + inside * stride], extent.high[base + inside * stride]
            if first > last:
                continue
            if j != inside and not extent.whole:
                first, last = first + floor((j - inside) * unit), last + ceil((j - inside) * unit)
            low = first if low is None else min(low, first)
            high = last if high is None else max(high, last)
        lows.append(0 if low is None else low)
        highs.append(-1 if high is None else high)
    return tuple(lows), tuple(highs)


def mixed(term: Term, dim: int) -> Term:
    """Every element reads what all along the dimension read, which is left with one position."""
    while True:
        factors = term.dims[dim]
        found = next((place for place, it in enumerate(factors) if it.reading is not None), None)
        if found is None:
            return with_dim(term, dim, ())
        factor = factors[found]
        assert factor.reading is not None
        covers = factor.size == len(term.readings[factor.reading].bits)
        # The factor stands alone in a dimension for a moment.
        others = (*factors[:found], *factors[found + 1 :])
        apart = replace(with_dim(term, dim, others), dims=(*with_dim(term, dim, others).dims, (factor,)))
        everything = [range(factor.size)]
        joined = _replaced(apart, len(apart.dims) - 1, factor, everything, Fraction(1), whole=covers)
        term = replace(joined, dims=joined.dims[:-1])


def without_trivial(term: Term) -> Term:
    """The term without readings that only say that it applies everywhere."""
    for number, reading in enumerate(term.readings):
        if not reading.axes and all(reading.bits):
            dims = tuple(
                tuple(
                    Factor(it.size, None, 0)
                    if it.reading == number
                    else it._replace(reading=it.reading - 1)
                    if it.reading is not None and it.reading > number
                    else it
                    for it in factors
                )
                for factors in term.dims
            )
            readings = (*term.readings[:number], *term.readings[number + 1 :])
            return without_trivial(replace(term, dims=dims, readings=readings))
    return term


def merged(term: Term, dim: int) -> Term | None:
    """The term with a dimension's readings joined to one; None where they reach into other dimensions."""
    factors = term.dims[dim]
    joined = sorted({it.reading for it in factors if it.reading is not None})
    elsewhere = {it.reading for place, others in enumerate(term.dims) if place != dim for it in others}
    if elsewhere & set(joined):
        return None
    order = sorted(joined, key=lambda number: term.readings[number].axes)
    readings = [term.readings[number] for number in order]
    positions = list(_positions(factors, order))
    new = readings[0]
    new = replace(new, bits=tuple(new.bits[it[0]] for it in positions), extents=_picked(new, positions, 0))
    for place, reading in enumerate(readings[1:], 1):
        bits = [reading.bits[it[place]] for it in positions]
        new = _product(new, replace(reading, bits=tuple(bits), extents=_picked(reading, positions, place)))
    kept = [number for number in range(len(term.readings)) if number not in joined]
    dims = tuple(
        tuple(it if it.reading is None else it._replace(reading=kept.index(it.reading)) for it in others)
        if place != dim
        else (Factor(length(factors), len(kept), 1),)
        for place, others in enumerate(term.dims)
    )
    return replace(term, dims=dims, readings=(*(term.readings[number] for number in kept), new))


def _positions(factors: Sequence[Factor], order: Sequence[int]) -> list[tuple[int, ...]]:
    """For each index of a dimension the position along each of these readings."""
    found = []
    for index in range(length(factors)):
        rest, place = index, dict.fromkeys(order, 0)
        for it in reversed(factors):
            rest, digit = divmod(rest, it.size)
            if it.reading is not None:
                place[it.reading] += digit * it.stride
        found.append(tuple(place[number] for number in order))
    return found


def _picked(reading: Reading, positions: Sequence[tuple[int, ...]], place: int) -> tuple[Extent, ...]:
    return tuple(
        replace(
            it,
            low=tuple(it.low[at[place]] for at in positions),
            high=tuple(it.high[at[place]] for at in positions),
        )
        for it in reading.extents
    )


def _product(first: Reading, second: Reading) -> Reading:
    """Both at each position; axes of the first come before those of the second."""
    width = prod(second.sizes)
    known: dict[tuple[int, int], int] = {}
    bits = []
    for pair in zip(first.bits, second.bits, strict=True):
        if pair not in known:
            rows, columns = pair
            if first.axes:
                known[pair] = _or(
                    columns << row * width for row in range(rows.bit_length()) if rows >> row & 1
                )
            else:
                known[pair] = columns if rows else 0
        bits.append(known[pair])
    axes, sizes = (*first.axes, *second.axes), (*first.sizes, *second.sizes)
    return Reading(axes, sizes, tuple(bits), (*first.extents, *second.extents))


def viewed(term: Term, shape: Sequence[int]) -> Term:
    """The term of the same elements in the same order, in another shape."""
    rest = _digits(term)
    dims = []
    for size in shape:
        group: list[Factor] = []
        while (need := size // max(1, length(group))) > 1:
            digit = rest.pop(0)
            if need % digit.size == 0:
                group.append(digit)
            elif digit.size % need == 0:
                inner = digit.size // need
                group.append(Factor(need, digit.reading, digit.stride * inner))
                rest.insert(0, digit._replace(size=inner))
            else:
                return blurred(term, shape)
        dims.append(tuple(group))
    return replace(term, dims=tuple(dims))


def _digits(term: Term) -> list[Factor]:
    """All digits of a tensor, from the slowest to the fastest, as few as possible."""
    digits: list[Factor] = []
    for it in (it for factors in term.dims for it in factors):
        if digits and digits[-1].reading == it.reading and digits[-1].stride == it.stride * it.size:
            last = digits.pop()
            digits.append(Factor(last.size * it.size, it.reading, it.stride))
        else:
            digits.append(it)
    return digits


def blurred(term: Term, shape: Sequence[int]) -> Term:
    """Every element of a tensor of this shape reads what any element read."""
    for dim in range(len(term.dims)):
        term = mixed(term, dim)
    return replace(term, dims=tuple(map(free, shape)), is_exact=False)


def permuted(term: Term, order: Sequence[int]) -> Term:
    """The term with its dimensions in another order."""
    return replace(term, dims=tuple(term.dims[it] for it in order))


def expanded(term: Term, shape: Sequence[int]) -> Term:
    """The term broadcast to a shape."""
    dims = ((),) * (len(shape) - len(term.dims)) + term.dims
    return replace(term, dims=tuple(it or free(size) for it, size in zip(dims, shape, strict=True)))
