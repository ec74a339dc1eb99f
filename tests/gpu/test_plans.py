"""What would run on a GPU, in words, as the launch itself has it."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Parameter

import tatamu
from tatamu.geometry import Convolution, Geometry
from tatamu.gpu.describe import Operand
from tatamu.gpu.lowering.gather import lower_gather
from tatamu.gpu.lowering.sums import lower_weight
from tatamu.gpu.numbers import numbers_of
from tatamu.gpu.plans import plans
from tatamu.gpu.processor import NOMINAL


@pytest.mark.parametrize(
    ("dtype", "groups", "technique"),
    [
        (torch.bfloat16, 1, "implicit GEMM on tensor cores: "),
        (torch.float32, 1, "implicit GEMM on tensor cores in TF32: "),
        (torch.float64, 1, "multiply-adds: "),
        (torch.bfloat16, 64, "multiply-adds: "),
    ],
)
def test_the_words_are_those_of_what_would_run(dtype: torch.dtype, groups: int, technique: str) -> None:
    x = torch.empty(8, 64, 28, 28, dtype=dtype, device="meta")
    w = torch.empty(64, 64 // groups, 3, 3, dtype=dtype, device="meta")
    how = Convolution(padding=((1, 1), (1, 1)), groups=groups)
    found = plans(x, w, how)
    assert list(found) == ["forward", "grad_input", "grad_weight"]
    assert all(words.startswith(technique) for words in found.values())
    geometry = Geometry.of((8, 64, 28, 28), (64, 64 // groups, 3, 3), how)
    image, weight = Operand.of(x), Operand.of(w)
    forward = lower_gather(geometry, numbers_of(dtype), image, weight, image, NOMINAL, backward=False)
    assert f"{forward.programs:,} programs of {forward.tile.pixels} pixels" in found["forward"]
    assert ("laid out" in found["forward"]) == (forward.packed is not None)
    sums = lower_weight(geometry, numbers_of(dtype), image, image, weight, NOMINAL)
    assert f"{sums.splits} splits" in found["grad_weight"]


def test_integers_have_no_gradient() -> None:
    x, w = torch.empty(1, 2, 4, 4, dtype=torch.int32), torch.empty(2, 2, 3, 3, dtype=torch.int32)
    assert list(plans(x, w, Convolution())) == ["forward"]


def test_explain_says_it_of_a_layer_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tatamu.gpu.plans.processor_of", lambda _: NOMINAL)
    with FakeTensorMode():
        layer = tatamu.Conv2d(16, 32, 3, bias=False)
        layer.weight = Parameter(torch.empty(32, 16, 3, 3, device="cuda", dtype=torch.bfloat16))
        text = tatamu.explain(layer, torch.empty(2, 16, 20, 20, device="cuda", dtype=torch.bfloat16))
    assert "2 x 16 x 20 x 20 → 2 x 32 x 18 x 18, torch.bfloat16\n\nforward: implicit GEMM on" in text
    assert "\n\ngradient of the weight: implicit GEMM on tensor cores: " in text
