"""Whole models: the same weights on tatamu's layers give the same outputs and gradients."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import nn

import tatamu
from benchmarks.models import __main__ as command
from benchmarks.models import networks, step
from benchmarks.models.networks import MODELS, UNet, build, with_tatamu
from benchmarks.models.step import STEPS, Maker, WrongModelError, judged, makers, verify

PARAMETERS = {
    "vgg16": 138_357_544,
    "resnet50": 25_557_032,
    "resnet18": 11_689_512,
    "mobilenet_v2": 3_504_872,
    "convnext_tiny": 28_589_128,
    "unet": 7_763_041,
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more model, that takes no time."""
    monkeypatch.setitem(MODELS, "small", lambda: UNet(2))
    monkeypatch.setitem(networks.SIZES, "small", 32)
    monkeypatch.setattr("tatamu.measuring.timing.PAUSE", 0)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers', about its own properties.
def test_models_are_the_published_ones(name: str) -> None:
    if name not in {"vgg16", "unet"}:
        pytest.importorskip("transformers")
    with torch.device("meta"):
        model = MODELS[name]()
    assert sum(it.numel() for it in model.parameters()) == PARAMETERS[name]


def test_every_convolution_is_replaced_and_the_weights_stay() -> None:
    model = build("small", 0)
    ours = with_tatamu(model)
    convolutions = [it for it in ours.modules() if isinstance(it, nn.Conv2d)]
    assert len(convolutions) == 19
    assert all(type(it) is tatamu.Conv2d for it in convolutions)
    assert not any(type(it) is tatamu.Conv2d for it in model.modules())
    for (name, a), (other, b) in zip(model.state_dict().items(), ours.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(a, b)


@pytest.mark.parametrize("which", STEPS)
def test_everyone_makes_the_step_that_float64_makes(which: str) -> None:
    model = build("small", 0)
    x = torch.randn(2, 3, 32, 32)
    expected = judged(model, x, which)
    everyone = list(makers(model, x, which, ()))
    libraries = ("tatamu", "tatamu frozen", "torch") if which == "inference" else ("tatamu", "torch")
    assert [(it.library, it.layout) for it in everyone] == [
        (library, layout) for layout in ("NCHW", "channels_last") for library in libraries
    ]
    for maker in everyone:
        assert verify(maker, expected, which) < step.LIMITS[which]
        assert verify(maker, expected, which) < step.LIMITS[which]  # After a training step too.


def test_openvino_runs_the_whole_model() -> None:
    pytest.importorskip("openvino")
    model = build("small", 0)
    x = torch.randn(1, 3, 32, 32)
    everyone = list(makers(model, x, "inference", ("openvino",)))
    assert everyone[-1].library == "openvino"
    assert verify(everyone[-1], judged(model, x, "inference"), "inference") < 1e-4


@pytest.mark.parametrize("which", STEPS)
def test_a_wrong_model_is_refused(which: str) -> None:
    model = build("small", 0)
    x = torch.randn(1, 3, 32, 32)
    expected = judged(model, x, which)
    with pytest.raises(WrongModelError, match=f"tatamu in NCHW is wrong: {which} is off by"):
        verify(Maker("tatamu", "NCHW", lambda: [1.2 * it.float() for it in expected]), expected, which)
    with pytest.raises(WrongModelError, match="off by nan"):
        verify(Maker("tatamu", "NCHW", lambda: [torch.nan * it for it in expected]), expected, which)


def test_the_command_shows_and_writes_everyone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "models.csv"
    arguments = ["--models", "small", "--batch", "2", "--seconds", "0.001", "--csv", str(path)]
    assert command.main(arguments) == 0
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len({(line["step"], line["library"], line["layout"]) for line in lines}) == len(lines) == 10
    assert "small: training, batch 2" in capsys.readouterr().out
