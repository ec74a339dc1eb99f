"""Sizes of inputs, as they may be written."""

from __future__ import annotations

from typing import Any

import pytest

from tatamu.errors import InputSizeError
from tatamu.tracing.sizes import sizes


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("3x224x224", ((1, 3, 224, 224),)),
        (" 3 × 20X30 ", ((1, 3, 20, 30),)),
        ((3, 20, 30), ((1, 3, 20, 30),)),
        ([2, 3, 20, 30], ((2, 3, 20, 30),)),
        ("2x3x4x5x6", ((2, 3, 4, 5, 6),)),
        ("7x5", ((7, 5),)),
        (["3x4x5", "1x7"], ((1, 3, 4, 5), (1, 7))),
        ([(3, 4, 5), (2, 3, 4, 5)], ((1, 3, 4, 5), (2, 3, 4, 5))),
        ("3x0x5", ((1, 3, 0, 5),)),
    ],
)
def test_what_is_understood(given: Any, expected: object) -> None:
    assert sizes(given) == expected


@pytest.mark.parametrize(
    "given", ["", "3x", "3x-1x5", "3.5x2x2", "axb", [], 5, (3, -1, 5), (3, 2.0, 5), [(3, "4")], None]
)
def test_what_is_not(given: Any) -> None:
    with pytest.raises(InputSizeError, match="such as 3x224x224"):
        sizes(given)
