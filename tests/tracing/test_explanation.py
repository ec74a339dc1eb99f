"""What is said of a network that fails: the layer, the sizes that met there, who set them, and the rule."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tatamu.tracing.explanation import explained
from tatamu.tracing.walk import walk


class Code(nn.Module):
    """A head whose code is its own."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.scale = kind, nn.Parameter(torch.zeros(5, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "scale":
            return x * self.scale
        if self.kind == "value":
            return x[:, : int(x.sum())]
        result: Tensor = x.missing
        return result


def test_nothing_is_said_of_what_fits() -> None:
    assert explained(walk(nn.Conv2d(3, 4, 3), "3x8x8")) == ()


def test_a_linear_after_flatten() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(30, 5))
    first, *values, last = explained(walk(model, "3x8x8"))
    assert first == "4, Linear(30, 5) does not fit."
    assert values == ["  5: 4.bias", "  1×36: set by 1, MaxPool2d(2)", "  30×5: 4.weight"]
    assert "36" in last


def test_the_input_itself() -> None:
    first, *values, last = explained(walk(nn.Sequential(nn.Conv2d(3, 4, 3)), "8x8x3"))
    assert first == "0, Conv2d(3, 4, 3) does not fit."
    assert values == ["  1×8×8×3: input", "  4×3×3×3: 0.weight", "  4: 0.bias"]
    assert "if this is NHWC, pass input.permute(0, 3, 1, 2)" in last


@pytest.mark.parametrize(
    ("kind", "first", "value"),
    [
        ("scale", "mul in 1, Code() does not fit.", "  5×1×1: 1.scale"),
        ("value", "int in 1, Code() cannot be traced.", "  one number: set by sum() in 1"),
        ("missing", "1, Code() fails.", "  1×4×6×6: set by 0, Conv2d(3, 4, 3)"),
    ],
)
def test_the_models_own_code(kind: str, first: str, value: str) -> None:
    said = explained(walk(nn.Sequential(nn.Conv2d(3, 4, 3), Code(kind)), "3x8x8"))
    assert said[0] == first
    assert value in said
