"""`tatamu trace`, as the command line calls it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.commands import complaint, run

SOURCE = """
from torch import nn

class Good(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "stand.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("stand", None)


@pytest.mark.parametrize("model", ["stand:Good", "stand.py:Good"])
def test_a_model_that_fits(model: str) -> None:
    result = run("trace", model, "3x8x8")
    assert (result.status, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[-1].startswith(f"{model} on 1×3×8×8: 1.67 K parameters, ")
    assert max(map(len, lines)) <= 100


def test_a_model_that_does_not_fit() -> None:
    result = run("trace", "stand:Good", "3x9x9")
    assert (result.status, result.stderr) == (1, "")
    assert "1×392, set by 0" in result.stdout
    assert "mend: " in result.stdout


@pytest.mark.parametrize("size", ["3x8x8", "3x9x9"])
def test_forms(size: str) -> None:
    status = 0 if size == "3x8x8" else 1
    found = {
        form: run("trace", "stand:Good", size, "--format", form) for form in ("json", "markdown", "html")
    }
    assert {it.status for it in found.values()} == {status}
    assert json.loads(found["json"].stdout)["fits"] == (status == 0)
    assert found["markdown"].stdout.count("\n| ") >= 4
    assert found["html"].stdout.startswith("<!doctype html>")
    assert found["html"].stdout.endswith("</html>\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stand:Goood", "3x8x8"], "'stand' has nothing called 'Goood'; did you mean 'Good'?"),
        (["stand:Good", "3x8y8"], "the size of an input is counts such as 3x224x224"),
        (["stand", "3x8x8"], "a model is given as package.module:Model or path/file.py:Model"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str) -> None:
    assert sentence in complaint("trace", *arguments, status=1)


def test_a_missing_size_is_a_wrong_command_line() -> None:
    assert "Missing argument 'SIZE...'" in complaint("trace", "stand:Good")
