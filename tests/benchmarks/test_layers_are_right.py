"""Layers of real networks, with all of their channels: what is computed at the sizes that users have."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from benchmarks.case import DTYPES, PASSES, Case, operands
from benchmarks.layer import NETWORKS, Layer, load_all
from benchmarks.libraries import contenders
from benchmarks.verify import expected, verify

MOST_PRODUCTS = 60_000_000
"""Of a layer, so that the judge, in float64, takes no longer than the kernels' compilation."""
LAYERS = load_all(NETWORKS)
AT_A_TIME = 8


def smaller(layer: Layer) -> Layer | None:
    """The layer on the largest part of its image that has no more products."""
    cuts = (replace(layer, size=size) for size in range(layer.size, 0, -1))
    return next((it for it in cuts if it.geometry(1).macs <= MOST_PRODUCTS), None)


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize("element", DTYPES)
def test_some_of_all_layers(element: str, direction: str) -> None:
    """Others with another --seed."""
    checked = 0
    for layer in random.sample(LAYERS, AT_A_TIME):
        cut = smaller(layer)
        if cut is None or min(cut.geometry(1).output_size) < 1:
            continue
        case = Case(cut, 1, direction, element)
        given = operands(case, seed=random.randrange(1 << 30))
        judge = expected(case, given)
        for contender in contenders(case, given, []):
            verify(case, contender, judge)
            checked += 1
    assert checked > AT_A_TIME
