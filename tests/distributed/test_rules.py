"""Split in any way, a convolution and its derivatives are one process's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from distributed import splits
from distributed.splits import ONE, TWO, Found

# How far a value may be from one process's in float64, as a part of the largest value of its tensor.
TOLERANCE = {torch.float64: 1e-13, torch.complex128: 1e-13, torch.float32: 1e-5, torch.bfloat16: 0.03}


@pytest.fixture
def found(processes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is found in each process."""
    return [process["distributed.splits:together"] for process in processes]


def same(it: Found, expected: dict[str, torch.Tensor], tolerance: float) -> None:
    assert it.whole.keys() == expected.keys()
    for name, value in expected.items():
        actual = it.whole[name].to(value.dtype)
        assert actual.shape == value.shape, name
        error = (actual - value).abs().max() / value.abs().max().clamp_min(1e-30)
        assert error <= tolerance, (name, error)


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_results_and_derivatives_are_one_processs(name: str, found: list[dict[str, Any]]) -> None:
    case = (ONE | TWO)[name]
    if case.second is not None and len(found) != 4:
        pytest.skip("a mesh of 2 × 2 has 4 processes")
    expected = splits.expected(case)
    for process in found:
        same(process[name], expected, TOLERANCE[case.dtype])


@pytest.mark.parametrize(
    ("name", "dimension", "size"),
    [("batch", 0, 4), ("output channels", 1, 8), ("groups", 1, 8), ("rows", 2, 16)],
)
def test_each_process_computes_its_part_alone(
    name: str, dimension: int, size: int, found: list[dict[str, Any]]
) -> None:
    assert [process[name].part[dimension] for process in found] == [size // len(found)] * len(found)


@pytest.mark.parametrize("how", ["network", "compiled"])
def test_an_image_goes_through_a_network_in_parts(how: str, found: list[dict[str, Any]]) -> None:
    if how not in found[0]:
        pytest.skip("two processes have compiled it")
    model = splits.layers(nn.Conv2d)
    y = model(splits.image())
    y.square().sum().backward()
    gradients = {name: it.grad for name, it in model.named_parameters() if it.grad is not None}
    for process in found:
        same(process[how], gradients | {"y": y.detach()}, 1e-13)
        assert process[how].part[2] < y.shape[2]
    assert sum(process[how].part[2] for process in found) == y.shape[2]


def test_mistakes_are_said_in_a_sentence(found: list[dict[str, Any]]) -> None:
    for process in found:
        mixed, mixed_too, meshes = process["mistakes"]
        assert mixed.startswith("DistributedOperandsError: input, weight must all be DTensors")
        assert "but weight is not" in mixed
        assert "but input is not" in mixed_too
        assert meshes.startswith("DistributedOperandsError: the operands must lie on one device mesh")
