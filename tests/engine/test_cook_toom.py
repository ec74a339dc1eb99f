"""Filtering is an identity of rational numbers."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tatamu.engine.cook_toom import Matrix, expanding, filtering, strided


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


@pytest.mark.parametrize(("outputs", "taps", "products"), [(2, 3, 5), (4, 3, 9), (2, 5, 7)])
def test_a_stride_of_two_needs_fewer_products(outputs: int, taps: int, products: int) -> None:
    assert strided(outputs, taps, 2).products == products < outputs * taps
    for shift in (0, 1):  # Of the gradient, twice as many results, each of half the taps.
        assert expanding(outputs, taps, 2, shift).products == products


@pytest.mark.parametrize("taps", [1, 3, 4])
def test_a_stride_of_one_is_the_filter_itself(taps: int) -> None:
    assert strided(3, taps, 1) == filtering(3, taps)


def test_there_are_points_for_some_filters_alone() -> None:
    with pytest.raises(KeyError):
        filtering(6, 3)
