"""The measurement on a GPU, as far as it goes without one: on the CPU, with a clock that stands still."""

from __future__ import annotations

import pytest
import torch

from benchmarks import gpu
from benchmarks.__main__ import main
from benchmarks.case import Case
from benchmarks.layer import Layer
from tatamu.measuring.passes import PASSES

LAYER = Layer("some", "conv", 4, 6, (3, 3), 2, (1, 1), 1, 2, 9, 1)


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main(["--device", "cuda"]) == 2
    assert "no GPU" in capsys.readouterr().err


@pytest.mark.parametrize("direction", PASSES)
def test_both_libraries_compute_the_pass_in_both_formats(direction: str) -> None:
    results = gpu.measure(Case(LAYER, 3, direction), torch.device("cpu"), lambda _: 1.0, 2)
    assert {(it.layout, it.library) for it in results} == {
        (layout, library) for layout in ("NCHW", "channels_last") for library in gpu.LIBRARIES
    }
    assert all(it.error < 1e-6 and it.seconds == 0.5 for it in results)


def test_a_wrong_result_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gpu.call
    monkeypatch.setattr(gpu, "call", lambda *them: lambda: right(*them)() * 1.01)
    with pytest.raises(ValueError, match="wrong on some conv"):
        gpu.measure(Case(LAYER, 3, "forward"), torch.device("cpu"), lambda _: 1.0, 1)


def test_conclusions_compare_with_the_better_format() -> None:
    case = Case(LAYER, 32, "forward", "bf16")
    times = {("NCHW", "tatamu"): 2.0, ("channels_last", "tatamu"): 1.0}
    times |= {("NCHW", "cuDNN"): 3.0, ("channels_last", "cuDNN"): 1.5}
    lines = gpu.conclusions(gpu.Result(case, *key, seconds, 0.0) for key, seconds in times.items())
    assert len(lines) == 4
    assert "| NCHW | grouped | 1 | 0.75 | 0.75 |" in lines[2]
    assert "| channels_last | grouped | 1 | 1.50 | 1.50 |" in lines[3]


def test_operands_that_take_turns_do_not_stay_in_the_cache() -> None:
    case = Case(LAYER, 32, "forward", "bf16")
    assert gpu.sets_of(case, 0) == 2
    assert gpu.sets_of(case, 1 << 40) == 8
