"""Models are found by import path or file, and made without memory; mistakes are one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from tatamu.errors import ModelError
from tatamu.tracing.loading import load

SOURCE = """
import torch
from torch import nn
import beside

class Model(nn.Conv2d):
    def __init__(self, channels=beside.CHANNELS):
        super().__init__(channels, 4, 3)

class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.rates = torch.linspace(0, 1, 3).tolist()

class Asks(nn.Module):
    def __init__(self, width, *, depth):
        super().__init__()

class Fails(nn.Module):
    def __init__(self):
        raise KeyError("no such width")

class Nested:
    Model = Model

def factory():
    return Model()

def wrong():
    return 3

instance = Model()
number = 3
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "shop.py").write_text(SOURCE)
    (tmp_path / "beside.py").write_text("CHANNELS = 3\n")
    (tmp_path / "broken.py").write_text("import nowhere_at_all\n")
    (tmp_path / "wrong.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    yield str(tmp_path / "shop.py")
    for name in ("shop", "beside", "broken", "wrong"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("place", ["shop.py", "shop", "./shop.py"])
@pytest.mark.parametrize("name", ["Model", "factory", "instance", "Nested.Model"])
def test_classes_factories_and_models(place: str, name: str) -> None:
    found = load(f"{place}:{name}")
    assert isinstance(found, nn.Conv2d)
    assert found.in_channels == 3
    assert found.weight.is_meta == (name != "instance")


def test_values_where_they_are_asked_for(file: str) -> None:
    found = load(f"{file}:factory", values=True)
    assert not next(found.parameters()).is_meta


def test_a_model_that_reads_values_when_it_is_made_gets_them(file: str) -> None:
    assert load(f"{file}:Reads").rates == [0, 0.5, 1]


def test_a_class_of_transformers_gets_the_defaults_of_its_configuration() -> None:
    found = load("transformers:ResNetModel")
    assert type(found).__name__ == "ResNetModel"
    assert next(found.parameters()).is_meta


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("shop", "a model is given as package.module:Model or path/file.py:Model, but got 'shop'"),
        ("shop:", "but got 'shop:'"),
        ("nowhere.py:Model", "there is no file 'nowhere.py'"),
        ("nowhere.at.all:Model", "there is no module 'nowhere' to take the model of"),
        ("broken:Model", "'broken' of 'broken:Model' imports 'nowhere_at_all', which is not installed"),
        ("wrong.py:Model", "importing 'wrong.py:Model' fails with ZeroDivisionError: division by zero"),
        ("shop:model", "'shop' has nothing called 'model'; did you mean 'Model'?"),
        ("shop:Asks", "Asks of 'shop:Asks' takes arguments (width, depth), and a trace calls it without"),
        ("shop:Fails", "making 'shop:Fails' fails with KeyError: 'no such width'"),
        ("shop:wrong", "'shop:wrong' is no torch.nn.Module, but of type int"),
        ("shop:number", "'shop:number' is no torch.nn.Module, but of type int"),
    ],
)
def test_mistakes(spec: str, complaint: str) -> None:
    with pytest.raises(ModelError) as caught:
        load(spec)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("file")
def test_the_path_of_modules_stays_as_it_is() -> None:
    before = list(sys.path)
    load("shop.py:Model")
    assert sys.path == before
    assert torch.empty(0).device.type == "cpu"
