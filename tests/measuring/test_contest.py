"""torch against tatamu: whatever the padding, both compute the same, and what is wrong is not timed."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

from tatamu.geometry import PADDING_MODES, Axis, Geometry
from tatamu.measuring import contest as measured
from tatamu.measuring import timing
from tatamu.measuring.contest import LayerPass, contest
from tatamu.measuring.passes import PASSES
from tatamu.measuring.verify import WrongResultError

ROWS, COLUMNS = Axis(9, 3, 2, 1, 0, 1), Axis(8, 2, 1, 2, 2, 1)


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PAUSE", 0)


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize("mode", PADDING_MODES)
def test_both_are_right_whatever_the_padding(mode: str, direction: str) -> None:
    times = contest(LayerPass("one", Geometry(3, 4, 6, 2, ROWS, COLUMNS, mode), direction), seconds=0.003)
    assert times.ratio == times.torch.median / times.tatamu.median > 0


@pytest.mark.parametrize("name", ["by_torch", "_by_tatamu"])
def test_what_is_wrong_is_not_timed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    right = getattr(measured, name)

    def wrong(geometry: Geometry) -> Any:
        def spoilt(*operands: Any) -> Tensor:
            result: Tensor = right(geometry)(*operands)
            return 1.01 * result

        return spoilt

    monkeypatch.setattr(measured, name, wrong)
    monkeypatch.setattr(measured, "measure", lambda *_: pytest.fail("it was timed"))
    with pytest.raises(WrongResultError, match="is wrong on one, forward"):
        contest(LayerPass("one", Geometry(2, 4, 6, 2, ROWS, Axis(8, 3)), "forward"))
