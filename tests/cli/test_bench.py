"""`tatamu bench`, as the command line calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.commands import complaint, run
from tatamu.cli import bench
from tatamu.measuring import timing
from tatamu.measuring.contest import LayerPass, Times
from tatamu.measuring.timing import Timing
from tatamu.measuring.verify import WrongResultError

MODEL = """
from torch import nn

class Model(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.Conv2d(8, 4, (1, 3)),
        )

class Plain(nn.Linear):
    def __init__(self):
        super().__init__(8, 8)
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    return str(tmp_path / "model.py")


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[LayerPass]:
    """Nothing is measured: torch takes 3 ms, tatamu 1 ms, for each of these."""
    asked: list[LayerPass] = []

    def contest(it: LayerPass) -> Times:
        asked.append(it)
        return Times(Timing(0.003, 0, 1), Timing(0.001, 0, 1))

    monkeypatch.setattr(bench, "contest", contest)
    return asked


def test_each_different_layer_of_a_model_is_measured_once(model: str, timed: list[LayerPass]) -> None:
    result = run("bench", "2x3x16x12", "--model", f"{model}:Model")
    assert (result.status, result.stderr) == (0, "")
    assert [(it.name, it.geometry.output_size, it.direction) for it in timed] == [
        ("0", (2, 8, 8, 6), "forward"),
        ("1", (2, 8, 8, 6), "forward"),
        ("4", (2, 4, 8, 4), "forward"),
    ]
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["1", "3×3", "p1", "8→8", "g8", "@8×6", "2", "3.000", "1.000", "3.00"] in rows
    assert ["all", "4", "12.000", "4.000", "3.00"] in rows


def test_all_passes_if_asked(model: str, timed: list[LayerPass]) -> None:
    shown = run("bench", "3x16x12", "--model", f"{model}:Model", "--all-passes").stdout
    assert [it.direction for it in timed] == [*["forward"] * 3, *["grad_input"] * 3, *["grad_weight"] * 3]
    assert "gradient of the input" in shown


def test_one_layer_is_measured_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PAUSE", 0)
    result = run(
        "bench", "4x9x8", "--out-channels", "2", "-k", "3", "-p", "0:1x1:2", "--padding-mode", "reflect"
    )
    assert result.status == 0
    (row,) = (line.split() for line in result.stdout.splitlines() if line.startswith(" layer  3×3"))
    assert row[:6] == ["layer", "3×3", "p0:1×1:2", "reflect", "4→2", "@9×8"]
    assert all(float(number) > 0 for number in row[7:])


def test_a_wrong_result_is_said_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def contest(it: LayerPass) -> Times:
        raise WrongResultError(f"tatamu is wrong on {it}")

    monkeypatch.setattr(bench, "contest", contest)
    result = run("bench", "4x9x8", "--out-channels", "2", "-k", "3")
    assert (result.status, result.stderr) == (1, "tatamu: tatamu is wrong on layer, forward\n")
    assert "torch ms" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["3x8x8"], 2, "give a model with --model, or a layer with --out-channels and --kernel-size"),
        (["3x8x8", "--model", "{}:Model", "-k", "3"], 2, "not both"),
        (["4x8x8", "--model", "{}:Model"], 1, ":Model does not run on 4x8x8: 0: Given groups=1"),
        (["4x8x8", "--model", "{}:Plain"], 1, ":Plain has no convolution that runs on this input"),
        (["4x8x8", "--model", "{}:Modal"], 1, "did you mean 'Model'?"),
    ],
)
def test_mistakes(model: str, arguments: list[str], status: int, sentence: str) -> None:
    given = [argument.format(model) for argument in arguments]
    assert sentence in complaint("bench", *given, status=status)
