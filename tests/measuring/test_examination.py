"""What is looked at, and that what is wrong is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tatamu.engine.runtime import threads
from tatamu.measuring import examination
from tatamu.measuring.examination import BROKEN, FINE, NOTICE, Finding, examine


def found(name: str) -> Finding:
    (finding,) = (it for it in examine() if it.name == name)
    return finding


def test_the_machine_is_named() -> None:
    assert {it.state for it in examine()} <= {FINE, NOTICE}
    assert found("torch").text == torch.__version__
    assert f"{torch.get_num_threads()} thread" in found("threads").text
    assert "registers of" in found("vector unit").text


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_a_convolution_that_is_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    class Wrong(examination.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input) * factor

    monkeypatch.setattr(examination, "Conv2d", Wrong)
    assert found("a convolution").state == BROKEN


def test_an_error_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("this machine is a toaster\nreally")

    monkeypatch.setattr(examination, "host", fail)
    assert found("vector unit") == Finding("vector unit", BROKEN, "RuntimeError: this machine is a toaster")


def test_what_is_slower_than_it_could_be_is_a_notice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threads, "find_pool", lambda: None)
    assert found("threads").state == NOTICE
    tmp_path.chmod(0o777)
    monkeypatch.setenv("TATAMU_CACHE_DIR", str(tmp_path))
    finding = found("cache")
    assert (finding.state, str(tmp_path) in finding.text) == (NOTICE, True)
