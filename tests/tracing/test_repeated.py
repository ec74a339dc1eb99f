"""A mistake in the class of a block is mended in all of its blocks, as one change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tatamu.tracing.changes import Change, Mend, apply
from tatamu.tracing.diagnosis import diagnose
from tatamu.tracing.repeated import repeated
from tatamu.tracing.walk import walk


class Block(nn.Module):
    def __init__(self, channels: int, padding: int = 0) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=padding)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.convs(x))


def network(blocks: int, padding: int = 0) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(*(Block(8, padding) for _ in range(blocks))))


@pytest.mark.parametrize(
    ("blocks", "where"),
    [
        (1, "1.0.convs.1"),
        (2, "1.0.convs.1, and in 1.1.convs.1,"),
        (4, "1.0.convs.1, and in 3 others of its name,"),
    ],
)
def test_all_blocks_have_the_mistake(blocks: int, where: str) -> None:
    model = network(blocks)
    first = diagnose(model, walk(model, (1, 3, 32, 32))).mends[0]
    assert first.sentence == f"padding=1 in {where} gives 30 × 30"
    assert apply(model, first)(torch.zeros(1, 3, 32, 32)).shape == (1, 8, 30, 30)
    assert len(first.changes) == blocks


def test_layers_that_are_written_otherwise_are_left() -> None:
    model = nn.Sequential(Block(8), Block(8, padding=1), Block(16))
    found = repeated(model, Mend((Change("0.convs.1", "padding", 0, 1),)))
    assert found is not None
    assert [it.path for it in found.changes] == ["0.convs.1", "2.convs.1"]


@pytest.mark.parametrize("path", ["0", "1.0.convs.1"])
def test_a_layer_alone_is_not_repeated(path: str) -> None:
    assert repeated(network(1), Mend((Change(path, "padding", 0, 1),))) is None
