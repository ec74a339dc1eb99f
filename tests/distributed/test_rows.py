"""Every part reads what its rows of the output are computed from, on all small axes."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from tatamu.distributed.rows import owned, windows
from tatamu.geometry import PADDING_MODES, Axis

AXES = [
    Axis(size, kernel, stride, dilation, before, after)
    for size, kernel, stride, dilation, before, after in product(
        (1, 2, 5, 8), (1, 2, 3, 5), (1, 2, 3), (1, 2), (0, 1, 3), (0, 2)
    )
    if size + before + after > dilation * (kernel - 1)
]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 7, 8, 64])
@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_rows_are_divided_as_torch_divides_them(size: int, parts: int) -> None:
    chunks = [chunk.tolist() for chunk in torch.arange(size).chunk(parts)]
    chunks = [chunk for chunk in chunks if chunk]
    found = [list(rows) for rows in owned(size, parts)]
    assert found == chunks + [[]] * (parts - len(chunks))


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_taps_of_a_part_read_what_those_of_the_whole_axis_read(mode: str, parts: int) -> None:
    count = 0
    for axis in AXES:
        if mode != "zeros" and max(axis.before, axis.after) >= axis.size:
            continue  # Such a padding is refused.
        found: list[tuple[int | None, ...]] = []
        for window in windows(axis, mode, parts):
            rows = len(window.reads)
            if rows == 0:
                continue
            part = Axis(rows, axis.kernel, axis.stride, axis.dilation, window.before, window.after)
            assert part.left_over == 0
            found += [
                tuple(None if row is None else window.reads[row] for row in part.reads(output))
                for output in range(part.output)
            ]
        assert found == [axis.reads(output, mode) for output in range(axis.output)], axis
        count += 1
    assert count > 100
