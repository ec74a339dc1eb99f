"""What is said of a network whose sizes do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tatamu.errors import ValueReadError
from tatamu.tracing.diagnosis import Diagnosis, diagnose
from tatamu.tracing.walk import walk
from tracing.broken import BROKEN


def diagnosed(name: str) -> Diagnosis:
    broken = BROKEN[name]
    model = broken.make().eval()
    found = diagnose(model, walk(model, broken.size))
    assert found is not None
    return found


def test_a_residual_addition() -> None:
    assert str(diagnosed("a block's second convolution without padding")) == (
        "sizes do not fit in layer2.1, at add\n"
        "  1×32×6×6, set by layer2.1.conv2 (1×32×8×8 → 1×32×6×6)\n"
        "  1×32×8×8, set by layer2.0.conv1 (1×16×16×16 → 1×32×8×8)\n"
        "rule: sizes must agree, or be 1, for an addition: height 6 against 8, width 6 against 8\n"
        "mend: padding=1 in layer2.1.conv2 gives 8 × 8"
    )


def test_a_linear_after_images_shows_their_way() -> None:
    assert str(diagnosed("LeNet on MNIST's 28 × 28")) == (
        "sizes do not fit in fc1, at linear\n"
        "  1×256, set by max_pool2d in the model (1×16×8×8 → 1×16×4×4)\n"
        "    28×28 → conv1 → 24×24 → max_pool2d in the model → 12×12 → conv2 → 8×8 → max_pool2d in the model "
        "→ 4×4\n"
        "  120×400, fc1.weight\n"
        "rule: a Linear with in_features=400 takes 400 numbers along the last axis; it was given 256, "
        "flattened from 16×4×4\n"
        "mend: in_features=256 in fc1\n"
        "or: padding=2 in conv1 gives 28 × 28\n"
        "or: out_channels=25 in conv2 gives 25 channels"
    )


def test_the_input_itself() -> None:
    assert str(diagnosed("NHWC given as NCHW")) == (
        "sizes do not fit in stem.0, at conv2d\n"
        "  1×64×64×3, input\n"
        "  16×3×7×7, stem.0.weight\n"
        "rule: a Conv2d with in_channels=3 takes 3 channels; it was given 64, as 1×64×64×3: the "
        "channels seem to be last, and torch has them before the height\n"
        "mend: input.permute(0, 3, 1, 2), 1×3×64×64, gives an output of 1×10\n"
        "or: in_channels=64 in stem.0"
    )


@pytest.mark.parametrize(
    ("name", "setters"),
    [
        # The stride that is missing, and not what came before the ways parted.
        ("a shortcut that does not stride", ["layer3.0.conv1", "layer3.0.shortcut.0"]),
        # Channels are set by the last convolution, also to what they were.
        ("a shortcut with the channels of its input", ["layer2.0.conv2", "layer2.0.shortcut.0"]),
        ("BatchNorm2d of the stage before", ["layer3.1.conv1"]),
        # The convolution that shrank the image, and not the one after it.
        ("dilation without its padding", ["layer3.1.conv1", "layer3.0.conv1"]),
        ("gates for other channels", ["conv", "excite.0"]),
        ("patches of another size than the positions are for", ["embed"]),
    ],
)
def test_who_set_what_met(name: str, setters: list[str]) -> None:
    assert [met.set_by[0].path for met in diagnosed(name).met if met.set_by] == setters


def test_a_model_that_reads_values_is_not_at_odds_with_sizes() -> None:
    class Reads(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum().item() > 0 else -x

    walked = walk(Reads(), (3, 8, 8))
    assert walked.failure is not None
    assert isinstance(walked.failure.error, ValueReadError)
    assert diagnose(Reads(), walked) is None
