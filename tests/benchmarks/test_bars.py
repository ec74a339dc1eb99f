"""The bars say what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bars, layer, results, suite
from benchmarks.bars import Bar
from benchmarks.case import Case
from benchmarks.layer import Layer
from benchmarks.models.__main__ import Made
from benchmarks.report import Row, rows
from benchmarks.results import Measured
from tatamu.measuring.timing import Timing

FIRST = Layer("n", "first", 4, 4, (3, 3), 1, (1, 1), 1, 1, 8, 1)
SECOND = Layer("n", "second", 4, 4, (1, 1), 1, (0, 0), 1, 1, 8, 1)


def _rows(
    seconds: dict[tuple[Layer, str, str], float], direction: str = "forward", element: str = "f32"
) -> list[Row]:
    return rows(
        Measured(Case(it, 1, direction, element), layout, library, Timing(time, 0, 1), 1e-6)
        for (it, layout, library), time in seconds.items()
    )


def test_layers_are_compared_like_with_like() -> None:
    found = bars.layers(
        _rows(
            {
                (FIRST, "NCHW", "tatamu"): 1.0,
                (FIRST, "NCHW", "torch"): 4.0,
                (FIRST, "NCHW", "openvino"): 1.5,
                (FIRST, "NCHW", "tatamu frozen"): 0.5,
                (FIRST, "channels_last", "tatamu"): 2.0,
                (FIRST, "channels_last", "tatamu frozen"): 0.1,
                (FIRST, "channels_last", "torch"): 1.0,
                (SECOND, "NCHW", "tatamu"): 1.0,
                (SECOND, "NCHW", "torch"): 1.0,
                (SECOND, "NCHW", "tatamu frozen"): 0.5,
            }
        )
    )
    assert [(it.figure, it.reached) for it in found] == [
        (pytest.approx(2.0), True),  # √(4 · 1), at least 1.8.
        (pytest.approx(2.0), True),  # The best peer of the first layer is torch in channels_last, 1.0.
        (3.0, True),  # OpenVINO's 1.5; torch's weights are not constant.
        (0.5, False),
        (0.5, False),
        (1e-6, True),
    ]
    assert found[4].of == "3×3 4→4 @8 channels_last"


def test_gradients_have_bars_of_their_own() -> None:
    seconds = {(FIRST, "NCHW", "tatamu"): 1.0, (FIRST, "NCHW", "torch"): 2.5}
    (mean, _, _) = bars.layers(_rows(seconds, "grad_input"))
    assert (mean.figure, mean.reached) == (2.5, True)
    (mean, _, _) = bars.layers(_rows(seconds, "grad_weight"))
    assert (mean.figure, mean.reached) == (2.5, False)


def test_other_dtypes_are_compared_with_torchs_better_layout() -> None:
    seconds = {
        (FIRST, "NCHW", "tatamu"): 1.0,
        (FIRST, "NCHW", "torch"): 9.0,
        (FIRST, "channels_last", "tatamu"): 3.0,
        (FIRST, "channels_last", "torch"): 6.0,
    }
    (bar,) = bars.elements(_rows(seconds, element="f16"))
    assert (bar.figure, bar.bar, bar.reached) == (6.0, 5.0, True)


def test_a_peer_that_was_wrong_leaves_its_layer_out() -> None:
    found = bars.layers(_rows({(FIRST, "NCHW", "tatamu"): 1.0}))
    assert [it.what for it in found] == ["largest error / max Σ|x||w|"]


def test_models_are_compared_in_the_better_layout_of_each() -> None:
    def made(library: str, layout: str, seconds: float) -> Made:
        return Made("unet", "inference", 1, library, layout, Timing(seconds, 0, 1), 1e-6)

    several = [
        *(made("tatamu frozen", "NCHW", 2.0), made("tatamu frozen", "channels_last", 1.0)),
        made("tatamu", "NCHW", 0.1),
        *(made("torch", "NCHW", 2.5), made("torch", "channels_last", 4.0), made("openvino", "NCHW", 0.5)),
    ]
    (bar,) = bars.models([several])
    assert (bar.figure, bar.bar, bar.reached) == (2.5, 2.0, True)


def test_memory_beyond_transformed_weights_counts() -> None:
    (bar,) = bars.memory({"a": (30.0, 0.5), "b": (40.0, 9.0)})
    assert bar == Bar("extra memory, less 4 × the weight, MiB", 28.0, 16.0, False, "a")
    assert not bar.reached


def test_the_suite_measures_layers_and_says_what_was_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.txt").write_text("conv 4 4 3 1 1 1 1 6 1\n", encoding="utf-8")
    monkeypatch.setattr(layer, "_FOLDER", tmp_path)
    monkeypatch.setattr(results, "NETWORKS", ("tiny",))
    monkeypatch.setattr("tatamu.measuring.timing.PAUSE", 0)
    monkeypatch.setattr(suite, "LAYER_PEERS", ("torch",))
    monkeypatch.setattr(bars, "MEAN_FORWARD", {1: 0.0, 16: 1e9})
    csv = tmp_path / "suite.csv"
    arguments = [
        "--csv",
        str(csv),
        "--networks",
        "tiny",
        "--seconds",
        "0.0001",
        "--parts",
        "forward",
        "dtypes",
    ]
    assert suite.main(arguments) == 1
    lines = capsys.readouterr().out.splitlines()
    (first,) = (line for line in lines if "forward, batch 1, NCHW, vs torch's default call" in line)
    (second,) = (line for line in lines if "forward, batch 16, NCHW, vs torch's default call" in line)
    assert "missed" not in first
    assert "missed" in second
    assert any("f16, vs torch's better layout" in line for line in lines)


def test_the_suite_is_of_networks_that_there_are() -> None:
    assert set(suite.NETWORKS) <= set(layer.NETWORKS)
