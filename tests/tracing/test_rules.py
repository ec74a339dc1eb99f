"""The rule that a failure breaks, in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tatamu.tracing.meeting import Meeting
from tatamu.tracing.rules import rule
from tatamu.tracing.walk import walk


class Calls(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def ruled(model: nn.Module, *size: int) -> str:
    walked = walk(model, size)
    assert walked.failure is not None
    return rule(Meeting(model, walked, walked.failure))


CASES: list[tuple[nn.Module, tuple[int, ...], str]] = [
    (
        nn.Conv2d(1, 8, 3),
        (3, 8, 8),
        "a Conv2d with in_channels=1 takes 1 channel; it was given 3, as 1×3×8×8",
    ),
    (
        nn.Conv2d(3, 8, 3),
        (8, 8, 3),
        (
            "a Conv2d with in_channels=3 takes 3 channels; it was given 8, as 1×8×8×3: the channels "
            "seem to be last, and torch has them before the height"
        ),
    ),
    (
        nn.ConvTranspose2d(3, 8, 3),
        (4, 8, 8),
        "a ConvTranspose2d with in_channels=3 takes 3 channels; it was given 4, as 1×4×8×8",
    ),
    (
        nn.Conv2d(3, 8, 3),
        (8, 8),
        "a Conv2d takes (N, C, H, W) or (C, H, W); it was given 8×8",
    ),
    (
        nn.Conv2d(3, 8, 9, padding=1, dilation=2),
        (3, 8, 8),
        (
            "the kernel of a Conv2d must not be larger than the padded image; kernel_size=9 with "
            "padding=1 and dilation=2 was given 1×3×8×8"
        ),
    ),
    (
        nn.Conv2d(3, 8, 9, padding=4, padding_mode="reflect"),
        (3, 4, 4),
        (
            "padding_mode='reflect' pads with at most one pixel less than there are; padding=4 was "
            "given 1×3×4×4"
        ),
    ),
    (
        nn.Conv2d(3, 8, 3, padding=-1),
        (3, 4, 4),
        "negative padding is not supported, but got padding=(-1, -1); slice the input to crop it",
    ),
    (
        nn.BatchNorm2d(4),
        (3, 4, 4),
        "a BatchNorm2d with num_features=4 takes 4 channels; it was given 3, as 1×3×4×4",
    ),
    (
        nn.InstanceNorm2d(4, affine=True),
        (3, 4, 4),
        "an InstanceNorm2d with num_features=4 takes 4 channels; it was given 3, as 1×3×4×4",
    ),
    (
        nn.GroupNorm(2, 4),
        (6, 4, 4),
        "a GroupNorm with num_channels=4 takes 4 channels; it was given 6, as 1×6×4×4",
    ),
    (
        nn.LayerNorm((3, 4)),
        (3, 4, 5),
        "a LayerNorm with normalized_shape=3×4 takes that as last axes; it was given 1×3×4×5",
    ),
    (
        nn.PReLU(4),
        (3, 4, 4),
        "a PReLU with num_parameters=4 takes 4 channels; it was given 3, as 1×3×4×4",
    ),
    (
        nn.Sequential(nn.Flatten(), nn.Linear(50, 2)),
        (3, 4, 4),
        (
            "a Linear with in_features=50 takes 50 numbers along the last axis; it was given 48, "
            "flattened from 3×4×4"
        ),
    ),
    (
        nn.Linear(48, 2),
        (3, 4, 4),
        (
            "a Linear with in_features=48 takes 48 numbers along the last axis; it was given 4, as "
            "1×3×4×4: these are 48 numbers before they are flattened"
        ),
    ),
    (
        nn.AvgPool2d(7),
        (3, 4, 4),
        (
            "the kernel of an AvgPool2d must not be larger than the padded image; kernel_size=7 with "
            "padding=0 was given 1×3×4×4"
        ),
    ),
    (
        nn.MaxPool2d(3, padding=2),
        (3, 4, 4),
        ("the padding of a MaxPool2d is at most half of its kernel; it has padding=2 and kernel_size=3"),
    ),
    (
        nn.PixelShuffle(2),
        (6, 4, 4),
        ("a PixelShuffle with upscale_factor=2 takes a multiple of 4 channels; it was given 6, as 1×6×4×4"),
    ),
    (
        Calls(lambda x: x + x[..., 1:]),
        (3, 4, 4),
        "sizes must agree, or be 1, for an addition: width 4 against 3",
    ),
    (
        Calls(lambda x: x[:, 1:] * x[..., 1:]),
        (3, 4, 4),
        "sizes must agree, or be 1, for a multiplication: channels 2 against 3, width 4 against 3",
    ),
    (
        Calls(lambda x: torch.cat([x, x[:, :, 1:]], 1)),
        (3, 4, 4),
        "what is concatenated along channels must agree in all other axes: height 4 against 3",
    ),
    (
        Calls(lambda x: torch.cat([x, x[0]], 1)),
        (3, 4, 4),
        "what is concatenated has equally many axes; 1×3×4×4 and 3×4×4 met",
    ),
    (
        Calls(lambda x: x.view(x.size(0), 50)),
        (3, 4, 4),
        "a view has as many elements as what it views: 1×3×4×4 has 48, and 1×50 was asked for",
    ),
    (
        Calls(lambda x: x.reshape(-1, 7)),
        (3, 4, 4),
        "a view has as many elements as what it views: 1×3×4×4 has 48, and -1×7 was asked for",
    ),
    (
        Calls(lambda x: x @ x),
        (3, 4, 5),
        "the last axis of one matrix meets the last but one of the other; 3×4×5 and 3×4×5 met",
    ),
    (
        Calls(lambda x: nn.functional.glu(x, 1)),
        (3, 4, 4),
        "Halving dimension must be even, but dimension 1 is size 3",
    ),
]


@pytest.mark.parametrize(("model", "size", "sentence"), CASES, ids=[it[2][:40] for it in CASES])
def test_a_rule_is_one_sentence(model: nn.Module, size: tuple[int, ...], sentence: str) -> None:
    assert ruled(model, *size) == sentence


def test_groups_of_a_normalisation() -> None:
    model = nn.GroupNorm(4, 6 * 4)
    model.num_channels = 6
    model.affine, model.weight, model.bias = False, None, None  # type: ignore[assignment]
    assert ruled(model, 6, 4, 4) == (
        "a GroupNorm with num_groups=4 takes a multiple of 4 channels; it was given 6, as 1×6×4×4"
    )
