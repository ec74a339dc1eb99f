"""How groups share registers."""

from __future__ import annotations

from tatamu.engine.group_lanes import GroupLanes


def test_registers_hold_whole_groups() -> None:
    three = GroupLanes(groups=12, source=3, result=3, lanes=16)
    assert (three.together, three.source_lanes, three.result_lanes, three.registers) == (5, 15, 15, 3)
    assert three.filled() == 36 / 48
    assert GroupLanes(groups=4, source=17, result=2, lanes=16).filled() == 0


def test_lanes_meet_the_channels_of_their_own_group() -> None:
    more = GroupLanes(groups=4, source=2, result=3, lanes=8)
    assert more.pattern(0) == [0, 0, 0, 2, 2, 2, 0, 0]
    assert more.pattern(1) == [1, 1, 1, 3, 3, 3, 0, 0]
    assert more.places(group=100, channel=7) == [0, 7, 14, 100, 107, 114]
