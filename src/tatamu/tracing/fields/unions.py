"""Unions of terms, with as few of them as say the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tatamu.tracing.fields.terms import Reading, Term, length, without_trivial

Field = tuple[Term, ...]
"""What a tensor's elements read: the union of its terms; nothing where there are none."""


def union(terms: Iterable[Term | None]) -> Field:
    """The terms without those that others cover."""
    kept: list[Term] = []
    for term in terms:
        if term is None or any(covers(it, term) for it in kept):
            continue
        kept = [it for it in kept if not covers(term, it)]
        kept.append(term)
        kept = _joined(kept)
    return tuple(kept)


def covers(larger: Term, smaller: Term) -> bool:
    """Whether elements read of the larger term all that they read of the smaller, in no smaller windows."""
    if len(larger.dims) != len(smaller.dims):
        return False
    return all(
        any(_reading_covers(larger, mine, smaller, theirs) for theirs in range(len(smaller.readings)))
        for mine in range(len(larger.readings))
    )


def _reading_covers(larger: Term, mine: int, smaller: Term, theirs: int) -> bool:
    large, small = larger.readings[mine], smaller.readings[theirs]
    if large.axes != small.axes:
        return False
    if len(large.bits) == 1 and len(small.bits) > 1:
        large = _repeated(large, len(small.bits))
    elif _places(larger, mine) != _places(smaller, theirs):
        return False
    if any(few & ~many for many, few in zip(large.bits, small.bits, strict=True)):
        return False
    return all(
        many.whole
        or (
            not few.whole
            and all(
                (start <= low and high <= end) or low > high
                for start, low, high, end in zip(many.low, few.low, few.high, many.high, strict=True)
            )
        )
        for many, few in zip(large.extents, small.extents, strict=True)
    )


def _repeated(reading: Reading, count: int) -> Reading:
    extents = tuple(replace(it, low=it.low * count, high=it.high * count) for it in reading.extents)
    return replace(reading, bits=reading.bits * count, extents=extents)


def _places(term: Term, reading: int) -> list[tuple[int, int, int, int]]:
    """Where in the tensor's dimensions the digits of a reading are."""
    return [
        (dim, length(factors[place + 1 :]), it.size, it.stride)
        for dim, factors in enumerate(term.dims)
        for place, it in enumerate(factors)
        if it.reading == reading
    ]


def _joined(terms: list[Term]) -> list[Term]:
    """The last of the terms with one that differs from it by where it applies alone, if there is one."""
    *others, last = terms
    for place, other in enumerate(others):
        joined = _together(other, last)
        if joined is not None:
            rest = [*others[:place], *others[place + 1 :]]
            return [it for it in _joined([*rest, joined]) if it is joined or not covers(joined, it)]
    return terms


def _together(first: Term, second: Term) -> Term | None:
    if first.dims != second.dims or len(first.readings) != len(second.readings):
        return None
    pairs = zip(first.readings, second.readings, strict=True)
    unequal = [number for number, (one, other) in enumerate(pairs) if one != other]
    if len(unequal) != 1 or first.readings[unequal[0]].axes or second.readings[unequal[0]].axes:
        return None
    (number,) = unequal
    one, other = first.readings[number], second.readings[number]
    both = replace(one, bits=tuple(a | b for a, b in zip(one.bits, other.bits, strict=True)))
    readings: Sequence[Reading] = (*first.readings[:number], both, *first.readings[number + 1 :])
    exact = first.is_exact and second.is_exact
    return without_trivial(replace(first, readings=tuple(readings), is_exact=exact))
