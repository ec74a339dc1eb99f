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
    """F(outputs, taps), exactly.

    Attributes:
        output: Aᵀ, (outputs, products).
        weight: G, (products, taps).
        input: Bᵀ, (products, products).
    """

    outputs: int
    taps: int
    output: Matrix
    weight: Matrix
    input: Matrix

    @property
    def products(self) -> int:
        """Multiplications, and inputs of a tile."""
        return self.outputs + self.taps - 1


_PAIRS = {
    3: (Fraction(1),),
    5: (Fraction(3, 4), Fraction(5, 4)),
}


def _points(count: int) -> tuple[Fraction, ...]:
    """Interpolation points besides infinity: 0 and pairs of opposite numbers, chosen for the least error.

    docs/decisions/winograd.md has the numbers.
    """
    if count <= 1:
        return (Fraction(0),)[:count]
    return (Fraction(0), *(sign * point for point in _PAIRS[count] for sign in (1, -1)))


@functools.cache
def filtering(outputs: int, taps: int) -> Filtering:
    """F(outputs, taps) on `points` and infinity.

    Raises:
        KeyError: there are no points for so many products.
    """
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
