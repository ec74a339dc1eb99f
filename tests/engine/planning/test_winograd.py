"""Where filters pay, by how fast a machine multiplies, as measured: docs/decisions/winograd.md."""

from __future__ import annotations

import pytest

from tatamu.engine.lowering.winograd import work_of
from tatamu.engine.planning.winograd import plan_winograd
from tatamu.engine.spec import ELEMENT_TYPES
from tatamu.engine.target import avx512
from tatamu.geometry import Axis, Geometry

ZEN_4, ZEN_5 = (avx512(cpu, "+avx512f", "x86_64-unknown-linux-gnu") for cpu in ("znver4", "znver5"))


@pytest.mark.parametrize(
    ("channels", "results", "groups", "axis", "on_zen_4", "on_zen_5"),
    [
        (64, 64, 1, Axis(56, 3, 1, 1, 1, 1), True, True),
        (18, 18, 1, Axis(56, 3, 1, 1, 1, 1), True, True),
        (256, 256, 1, Axis(28, 3, 2, 1, 1, 1), True, True),
        (512, 512, 1, Axis(14, 3, 2, 1, 1, 1), True, False),
        (1024, 1024, 32, Axis(14, 3, 2, 1, 1, 1), True, False),
        (512, 512, 1, Axis(28, 3, 1, 2, 2, 2), True, True),
        (2048, 256, 1, Axis(33, 3, 1, 6, 6, 6), True, False),
        (2048, 256, 1, Axis(33, 3, 1, 12, 12, 12), False, False),
    ],
)
def test_a_machine_that_multiplies_faster_must_be_spared_more(
    channels: int, results: int, groups: int, axis: Axis, on_zen_4: bool, on_zen_5: bool
) -> None:
    geometry = Geometry(1, channels, results, groups, axis, axis)
    work = work_of(geometry, channels // groups, results // groups, (axis.output, axis.output))
    for target, pays in ((ZEN_4, on_zen_4), (ZEN_5, on_zen_5)):
        assert isinstance(plan_winograd(work, ELEMENT_TYPES["f32"], target), str) == (not pays)
