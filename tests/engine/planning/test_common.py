"""How long threads take that share tasks of unequal sizes."""

from __future__ import annotations

import pytest

from tatamu.engine.planning.common import shared_out, tile_rows


def test_a_short_last_task_is_waited_for() -> None:
    """Eight tasks, seven of 144 and one of 16, take two threads longer than eight of 128."""

    def cycles(height: int, width: int) -> float:
        return 1e6 * height * width

    uneven, even = (shared_out(cycles, (1, 1), (1024, block), 1, 2) for block in (144, 128))
    assert uneven > 1.1 * even


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_no_thread_is_faster_than_its_share(threads: int) -> None:
    cost = shared_out(lambda height, width: 1e6 * height * width, (10, 3), (7, 2), 5, threads)
    assert cost >= 5 * 70 * 1e6 / threads


def test_left_over_pixels_cost_less_than_a_tile() -> None:
    assert tile_rows(48, 8) == 48 < tile_rows(49, 8) < tile_rows(56, 8) == 56
    assert tile_rows(53, 8) == 56
