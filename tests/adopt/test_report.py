"""What the report says of calls and their costs."""

from __future__ import annotations

import pytest
import torch

import tatamu
from tatamu.adopt import counting, report
from tatamu.adopt.counting import Case, Cost, Costs
from tatamu.adopt.switch import Status

F = torch.nn.functional
STATUS = Status(True, ("cpu",), 3, 1, {"1-D": 2})


def case(channels: int, **others: object) -> Case:
    values = {
        "kind": "forward",
        "transposed": False,
        "input_size": (2, channels, 9, 8),
        "weight_size": (6, channels, 3, 2),
        "stride": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
        "dtype": "float32",
        "device": "cpu",
    }
    return Case(**{**values, **others})


def shown(costs: Costs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "160")
    report.show(STATUS, costs)
    return capsys.readouterr().err


def test_the_dearest_come_first(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs({case(c): Cost(2, c / 1000) for c in range(1, 25)})
    text = shown(costs, capsys, monkeypatch)
    lines = [line for line in text.splitlines() if "forward" in line and "×" in line]
    assert "2×24×9×8" in lines[0]
    assert "24.0" in lines[0]
    assert "12.000" in lines[0]
    assert "4 more" in text
    assert "time in them: 0.300 s" in text
    assert "left to torch: 2 (1-D)" in text


def test_what_is_said_of_a_case(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    unusual = case(4, transposed=True, stride=(2, 1), dilation=(3, 3), groups=2, device="cuda")
    text = shown(Costs({unusual: Cost(1, 1.0)}), capsys, monkeypatch)
    assert "transposed, stride 2×1, dilation 3, groups 2, cuda" in text
    assert "starting kernels" in text
    assert "starting kernels" not in shown(Costs({case(4): Cost(1, 1.0)}), capsys, monkeypatch)


def test_nothing_was_served(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(Costs(), capsys, monkeypatch).startswith("tatamu is on (cpu)\n")


def test_calls_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "measuring", None)
    costs = counting.measure()
    assert counting.measure() is costs
    x = torch.randn(2, 4, 9, 8, requires_grad=True)
    with tatamu.enabled():
        for _ in range(3):
            F.conv2d(x, torch.randn(6, 4, 3, 2), stride=(2, 1)).sum().backward()
    expected = [case(4, stride=(2, 1)), case(4, stride=(2, 1), kind="backward")]
    assert list(costs.of) == expected
    assert [cost.calls for cost in costs.of.values()] == [3, 3]
    assert all(0 < cost.seconds < 1 for cost in costs.of.values())
