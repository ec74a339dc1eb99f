"""DDP and FSDP2 train our layers as one process trains torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from distributed import trainings
from distributed.trainings import Steps

# How far a value may be from one process's in float64, as a part of the largest value of its tensor.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-5, torch.bfloat16: 0.05}


@pytest.fixture
def trained(processes: list[dict[str, Any]]) -> list[dict[str, Steps]]:
    """What every case comes to in each process."""
    return [process["distributed.trainings:together"] for process in processes]


@pytest.fixture(scope="module")
def alone() -> Steps:
    return trainings.alone()


@pytest.mark.parametrize("case", trainings.CASES)
def test_gradients_and_trained_parameters_are_one_processs(
    case: str, trained: list[dict[str, Steps]], alone: Steps
) -> None:
    tolerance = TOLERANCE[trainings.CASES[case][1]]
    for process in trained:
        for step, expected in zip(process[case], alone, strict=True):
            assert step.keys() == expected.keys()
            for name, value in expected.items():
                error = (step[name] - value).abs().max() / value.abs().max()
                assert error <= tolerance, (name, error)


@pytest.mark.parametrize("case", trainings.CASES)
def test_processes_agree_to_the_bit(case: str, trained: list[dict[str, Steps]]) -> None:
    first, *others = (process[case] for process in trained)
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=0)
