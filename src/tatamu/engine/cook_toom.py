"""The matrices of Winograd's minimal filtering F(m, r): m results of an r-tap filter from m + r - 1 products.

    y = Aᵀ [(G g) ⊙ (Bᵀ d)]        d: m + r - 1 inputs, g: r taps, y: m results

Both sequences are polynomials, evaluated at m + r - 2 points and at infinity, multiplied there, and
interpolated (Toom-Cook); transposing that algorithm gives a filter. Sources: Winograd, "Arithmetic Complexity
of Computations", 1980; Lavin and Gray, 2015, arXiv:1509.09308; Barabasz et al., "Error Analysis and Improving
the Accuracy of Winograd Convolution for Deep Neural Networks", 2020, arXiv:1803.10986.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Matrix = tuple[tuple[Fraction, ...], ...]
"""Rows."""


@dataclass(frozen=True)
class Filtering:
    """Some results of a filter of an axis, exactly.

    Attributes:
        output: Aᵀ, (outputs, products).
        weight: G, (products, taps).
        input: Bᵀ, (products, inputs).
    """

    outputs: int
    taps: int
    output: Matrix
    weight: Matrix
    input: Matrix

    @property
    def products(self) -> int:
        """Multiplications."""
        return len(self.input)

    @property
    def inputs(self) -> int:
        """Inputs of a tile."""
        return len(self.input[0])


_POINTS = {
    2: (0, 1),
    3: (0, 1, -1),
    4: (0, Fraction(3, 4), Fraction(-3, 4), Fraction(-3, 2)),
    5: (0, Fraction(3, 4), Fraction(-3, 4), Fraction(5, 4), Fraction(-5, 4)),
}


def _points(count: int) -> tuple[Fraction, ...]:
    """Interpolation points besides infinity: 0 and pairs of opposite numbers, chosen for the least error.

    docs/decisions/winograd.md has the numbers.
    """
    return tuple(map(Fraction, _POINTS[count])) if count > 1 else (Fraction(0),)[:count]


@functools.cache
def filtering(outputs: int, taps: int) -> Filtering:
    """F(outputs, taps) on `points` and infinity; of one result or one tap, the definition.

    Raises:
        KeyError: there are no points for so many products.
    """
    if 1 in (outputs, taps):
        count = outputs * taps
        one = _frozen([[Fraction(i == j) for j in range(count)] for i in range(count)])
        row = _frozen([[Fraction(1)] * count])
        column = _frozen([[Fraction(1)]] * count)
        return Filtering(outputs, taps, row if outputs == 1 else one, column if taps == 1 else one, one)
    points = _points(outputs + taps - 2)
    # What Lagrange's basis polynomials divide by goes to the weights: it is paid for once.
    denominators = [_product(p - q for q in points if q != p) for p in points]
    weight = [[p**k / d for k in range(taps)] for p, d in zip(points, denominators, strict=True)]
    weight.append([Fraction(k == taps - 1) for k in range(taps)])
    output = [[p**k for p in points] + [Fraction(k == outputs - 1)] for k in range(outputs)]
    rows = [_from_roots([q for q in points if q != p]) for p in points]
    rows = [[*row, Fraction(0)] for row in rows]
    rows.append(_from_roots(points))
    return Filtering(outputs, taps, _frozen(output), _frozen(weight), _frozen(rows))


@functools.cache
def strided(outputs: int, taps: int, stride: int) -> Filtering:
    """``y[i] = Σ over k of g[k] d[stride · i + k]``: a filter for each phase of the stride, side by side."""
    found = _Phases(outputs, taps, (outputs - 1) * stride + taps)
    for phase in range(min(stride, taps)):
        of_phase = range(phase, taps, stride)
        filters = filtering(outputs, len(of_phase))
        inputs = range(phase, phase + filters.inputs * stride, stride)
        found.add(filters, range(outputs), of_phase, inputs)
    return found.filtering()


@functools.cache
def expanding(patches: int, taps: int, stride: int, shift: int) -> Filtering:
    """``y[i] = Σ over j of g[p + stride · j] d[q - j]``, i + shift = stride · q + p: a stride's gradient.

    So many ``patches`` of ``stride`` results; d begins with the first input that any of them needs.
    """
    phases = [range(phase, taps, stride) for phase in range(min(stride, taps))]
    begins = [int(phase < shift) - (len(of_phase) - 1) for phase, of_phase in enumerate(phases)]
    first, end = min(begins), patches + int(shift > 0)
    found = _Phases(patches * stride, taps, end - first)
    for phase, (of_phase, begin) in enumerate(zip(phases, begins, strict=True)):
        filters = filtering(patches, len(of_phase))
        results = range((phase - shift) % stride, patches * stride, stride)
        inputs = range(begin - first, begin - first + filters.inputs)
        found.add(filters, results, of_phase[::-1], inputs)
    return found.filtering()


class _Phases:
    """Filters of some of the results, taps and inputs each, put together as one."""

    def __init__(self, outputs: int, taps: int, inputs: int) -> None:
        self._size = outputs, taps, inputs
        self._output: list[list[Fraction]] = []
        self._weight: list[list[Fraction]] = []
        self._input: list[list[Fraction]] = []

    def add(self, filters: Filtering, results: range, taps: range, inputs: range) -> None:
        """The products of one filter, on these of the results, taps and inputs."""
        outputs, all_taps, all_inputs = self._size
        self._output += (_placed(column, results, outputs) for column in zip(*filters.output, strict=True))
        self._weight += (_placed(row, taps, all_taps) for row in filters.weight)
        self._input += (_placed(row, inputs, all_inputs) for row in filters.input)

    def filtering(self) -> Filtering:
        """All of them; sums of a result run over the products of all filters that add to it."""
        outputs, taps, _ = self._size
        output = [list(row) for row in zip(*self._output, strict=True)]
        return Filtering(outputs, taps, _frozen(output), _frozen(self._weight), _frozen(self._input))


def _placed(values: Sequence[Fraction], places: range, length: int) -> list[Fraction]:
    """Zeros, with the values at those places."""
    found = [Fraction(0)] * length
    for place, value in zip(places, values, strict=True):
        found[place] = value
    return found


def _product(factors: Iterable[Fraction]) -> Fraction:
    return functools.reduce(operator.mul, factors, Fraction(1))


def _from_roots(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients, lowest power first, of the monic polynomial with these roots."""
    polynomial = [Fraction(1)]
    for root in roots:
        raised = [Fraction(0), *polynomial]
        polynomial = [a - root * b for a, b in zip(raised, [*polynomial, Fraction(0)], strict=True)]
    return polynomial


def _frozen(rows: Sequence[Sequence[Fraction]]) -> Matrix:
    return tuple(tuple(row) for row in rows)
