"""Filtering is an identity of rational numbers."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tatamu.engine.cook_toom import Matrix, filtering


def _times(matrix: Matrix, vector: list[Fraction]) -> list[Fraction]:
    return [sum((a * v for a, v in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


@pytest.mark.parametrize(("outputs", "taps"), [(1, 1), (2, 3), (4, 3), (2, 5), (3, 4), (5, 2), (3, 2)])
def test_it_is_the_convolution(outputs: int, taps: int) -> None:
    filters = filtering(outputs, taps)
    assert filters.products == outputs + taps - 1 == len(filters.input) == len(filters.weight)
    data = [Fraction(random.randint(-99, 99)) for _ in range(filters.products)]
    weight = [Fraction(random.randint(-99, 99)) for _ in range(taps)]
    products = [
        a * b for a, b in zip(_times(filters.weight, weight), _times(filters.input, data), strict=True)
    ]
    expected = [sum(weight[k] * data[p + k] for k in range(taps)) for p in range(outputs)]
    assert _times(filters.output, products) == expected


def test_there_are_points_for_some_filters_alone() -> None:
    with pytest.raises(KeyError):
        filtering(6, 3)
