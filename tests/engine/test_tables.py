from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cases import axis, drawn
from tatamu.engine import taps
from tatamu.engine.kernels.job import Header, Word
from tatamu.engine.tables import Table, aligned, row_jobs
from tatamu.geometry import PADDING_MODES


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 64), (64, 64), (65, 128), (1000, 1024)])
def test_sizes_are_rounded_up_to_cache_lines(size: int, expected: int) -> None:
    assert aligned(size) == expected


def test_words_lists_and_header_lie_where_the_kernels_look_for_them() -> None:
    table = Table(2)
    first, second = table.append([7, 8, 9]), table.append([5])
    table.set_job(1, {Word.GROUPS: 3})
    table.set_header(JOBS=2, TASKS=11)
    assert table.words[first : first + 3].tolist() == [7, 8, 9]
    assert table.words[second] == 5
    assert first == Header.FIRST_JOB + 2 * Word.LENGTH
    assert table.words[Header.FIRST_JOB + Word.LENGTH + Word.GROUPS] == 3
    assert table.words[Header.FIRST_JOB + Word.GROUPS] == 0
    assert (table.words[Header.JOBS], table.words[Header.TASKS]) == (2, 11)
    assert table.words.itemsize == 8


@st.composite
def phases(draw: st.DrawFn) -> taps.AxisTaps:
    mode = draw(st.sampled_from(PADDING_MODES))
    one = axis(drawn(draw), mode, 12, 7)
    return draw(st.sampled_from([taps.forward(one, "zeros"), *taps.grad_input(one, mode)]))


@given(phases())
def test_row_jobs_are_the_axis_in_stretches(whole: taps.AxisTaps) -> None:
    """Every row in one stretch, in its place in the target, with the same taps and sources."""
    position = 0
    for job in row_jobs(whole):
        for row in range(job.grid):
            assert job.first + row * job.step == whole.first + position * whole.step
            reached = [(weight, row * job.stride + offset) for weight, offset in job.taps]
            expected = [
                (weight, source)
                for number, (weight, _) in enumerate(whole.taps)
                for source in whole.sources(position, number)
            ]
            assert sorted(tap for tap in reached if 0 <= tap[1] < whole.size) == sorted(expected)
            position += 1
    assert position == whole.grid
