"""What is sent to whom; `test_rules.py` sends it."""

from __future__ import annotations

import pytest

from tatamu.distributed.halo import Halo
from tatamu.distributed.rows import windows
from tatamu.geometry import Axis


def halo(axis: Axis, rank: int, mode: str = "zeros") -> Halo:
    return Halo(axis.size, windows(axis, mode, 4), rank)


def test_neighbours_get_the_rows_at_the_edges_and_nobody_else_gets_any() -> None:
    assert halo(Axis(16, 3, 1, 1, 1, 1), 1).sent == [[0], [0, 1, 2, 3], [3], []]
    assert halo(Axis(16, 3, 1, 1, 1, 1), 0).sent == [[0, 1, 2, 3], [3], [], []]


def test_a_kernel_larger_than_a_part_reads_from_further_away() -> None:
    assert halo(Axis(8, 7, 1, 1, 3, 3), 0).received == [[0, 1], [2, 3], [4], []]


def test_a_row_that_is_read_twice_is_sent_once() -> None:
    found = halo(Axis(8, 3, 1, 1, 2, 2), 2, "replicate")
    assert found.received == [[], [], [4, 5], [6, 7]]
    assert found.places == [0, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("axis", "needed"),
    [(Axis(16, 1), False), (Axis(16, 2, stride=2), False), (Axis(16, 3, 1, 1, 1, 1), True)],
)
def test_nothing_is_exchanged_where_everyone_has_what_it_reads(axis: Axis, needed: bool) -> None:
    assert [halo(axis, rank).needed for rank in range(4)] == [needed] * 4
