"""The words are about the plan that a call takes, and nothing is computed for them."""

from __future__ import annotations

import pytest
import torch

import tatamu
from tatamu import Conv2d, launch
from tatamu.engine import execute
from tatamu.errors import InputChannelsError
from tatamu.geometry import Convolution


@pytest.fixture(autouse=True)
def _nothing_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(*_: object) -> None:
        raise AssertionError("a kernel was made")

    monkeypatch.setattr(execute.Call, "__init__", computed)


def sections(layer: torch.nn.Module, *size: int, dtype: torch.dtype = torch.float32) -> dict[str, str]:
    head, *passes = tatamu.explain(layer, torch.empty(size, dtype=dtype)).split("\n\n")
    assert "Conv2d(" in head.splitlines()[0]
    return {one.partition(":")[0]: one for one in passes}


def test_a_layer_with_winograd() -> None:
    layer = Conv2d(64, 64, 3, padding=1)
    found = sections(layer, 1, 64, 56, 56)
    assert list(found) == ["forward", "gradient of the input", "gradient of the weight"]
    forward = found["forward"].splitlines()
    assert forward[0].startswith("forward: winograd F(4x4, 3x3): 36 products for 144; blocks of")
    assert forward[1].startswith("  passed over: depthwise: a group has several channels")
    assert forward[2].startswith("  passed over: fully connected: the kernel is not as large as the image")
    assert forward[3] == "  116 million multiply-adds; at least 1.7 MiB moved; 132 operations a byte"
    how = Convolution(padding=((1, 1), (1, 1)))
    lowered = launch.plans(torch.empty(1, 64, 56, 56), layer.weight, layer.bias, how)["forward"]
    assert forward[4].startswith(f"  memory: {lowered.scratch_bytes / 1024:.1f} KiB for each thread; transf")
    assert forward[4].endswith("KiB, 4.0 times the weight")


@pytest.mark.parametrize(
    ("layer", "size", "dtype", "reason"),
    [
        (Conv2d(8, 8, 2, stride=2), (1, 8, 9, 9), torch.float32, "winograd: no filter for a kernel of 2 x 2"),
        (Conv2d(16, 16, 3, dilation=2), (1, 16, 9, 9), torch.float32, "winograd: 3 x 3 results do not fill"),
        (Conv2d(3, 16, 3), (1, 3, 50, 50), torch.float32, "winograd: estimated "),
        (Conv2d(8, 8, 1), (1, 8, 9, 9), torch.float32, "winograd: no filter for a kernel of 1 x 1"),
        (Conv2d(8, 8, 3, dtype=torch.complex64), (8, 9, 9), torch.complex64, "winograd: complex numbers"),
        (
            Conv2d(512, 512, 3, padding=1),
            (1, 512, 2, 2),
            torch.float32,
            "winograd: 2 x 2 results do not fill",
        ),
    ],
)
def test_what_was_passed_over_and_why(
    layer: Conv2d, size: tuple[int, ...], dtype: torch.dtype, reason: str
) -> None:
    assert f"passed over: {reason}" in sections(layer, *size, dtype=dtype)["forward"]


def test_highest_precision_is_a_reason() -> None:
    tatamu.set_precision("highest")
    try:
        found = sections(Conv2d(64, 64, 3, padding=1), 1, 64, 56, 56)
    finally:
        tatamu.set_precision("high")
    assert all("passed over: winograd: precision is 'highest'" in one for one in found.values())


def test_integers_have_no_gradients() -> None:
    layer = Conv2d(4, 4, 3).requires_grad_(False).to(torch.float32)
    layer.weight = torch.nn.Parameter(torch.zeros(4, 4, 3, 3, dtype=torch.int32), requires_grad=False)
    layer.bias = None
    assert list(sections(layer, 1, 4, 8, 8, dtype=torch.int32)) == ["forward"]


def test_an_empty_batch() -> None:
    assert "no kernel runs" in tatamu.explain(Conv2d(4, 4, 3), torch.empty(0, 4, 8, 8))


def test_mistakes_are_those_of_a_call() -> None:
    with pytest.raises(InputChannelsError):
        tatamu.explain(Conv2d(4, 4, 3), torch.empty(1, 5, 8, 8))


def test_a_frozen_layer_says_what_its_kernel_does_besides() -> None:
    model = torch.nn.Sequential(Conv2d(64, 64, 3, padding=1), torch.nn.BatchNorm2d(64), torch.nn.ReLU())
    found = sections(tatamu.freeze(model.eval()).get_submodule("0"), 1, 64, 14, 14)
    assert found["forward"].splitlines()[1] == "  in the same kernel: BatchNorm2d folded, ReLU"
    assert "in the same kernel" not in found["gradient of the input"]
