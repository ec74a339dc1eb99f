"""Padding arguments, against torch and the published rules; padding modes, against the definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tatamu import reference
from tatamu.geometry import (
    PADDING_MODES,
    PADDING_STRINGS,
    Axis,
    PaddingArgument,
    padded_source,
    resolve_padding,
)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        ((1, 3), ((1, 1), (3, 3))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ("valid", ((0, 0), (0, 0))),
    ],
)
def test_plain_paddings(padding: PaddingArgument, expected: object) -> None:
    assert resolve_padding(padding, (3, 3), (1, 1), (1, 1), (8, 8)) == expected


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 4), st.integers(1, 4))
def test_same_is_torchs(height: int, width: int, dilation_h: int, dilation_w: int) -> None:
    layer = torch.nn.Conv2d(
        1, 1, (height, width), padding="same", dilation=(dilation_h, dilation_w), device="meta"
    )
    left, right, top, bottom = layer._reversed_padding_repeated_twice
    resolved = resolve_padding("same", (height, width), (1, 1), (dilation_h, dilation_w), (9, 9))
    assert resolved == ((top, bottom), (left, right))


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 7), st.integers(1, 4))
def test_same_upper_and_lower(size: int, kernel: int, stride: int, dilation: int) -> None:
    output = -(-size // stride)
    total = max(0, (output - 1) * stride + dilation * (kernel - 1) + 1 - size)
    # The other axis has other numbers: an exchange of the two would show.
    pairs = (kernel, 2), (stride, 1), (dilation, 1), (size, 50)
    (top, bottom), columns = resolve_padding("same_upper", *pairs)
    assert (top, bottom) == (total // 2, total - total // 2)
    assert Axis(size, kernel, stride, dilation, top, bottom).output == output
    assert columns == (0, 1)
    assert resolve_padding("same_lower", *pairs) == ((bottom, top), (1, 0))


def test_same_upper_differs_from_torchs_padding_of_one() -> None:
    """A published example: input 6, kernel 3, stride 2 is padded at the end alone."""
    assert resolve_padding("same_upper", (3, 3), (2, 2), (1, 1), (6, 6)) == ((0, 1), (0, 1))


@pytest.mark.parametrize("name", ["SAME", "same upper", "", "full"])
def test_an_unknown_padding_string_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Invalid padding string") as caught:
        resolve_padding(name, (3, 3), (1, 1), (1, 1), (8, 8))
    assert all(repr(known) in str(caught.value) for known in PADDING_STRINGS)


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("size", [2, 5])
def test_padded_positions_are_the_references(mode: str, size: int) -> None:
    for position in range(1 - size, 2 * size - 1):
        assert padded_source(position, size, mode) == reference.source(position, size, mode)
