"""Good networks with one argument of one layer changed at random, so that torch no longer runs them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from tatamu.tracing import layers

# Arguments that decide sizes, and what they are changed to. Counts are changed by `_count`.
CHOICES: dict[str, tuple[object, ...]] = {
    "kernel_size": (1, 2, 3, 4, 5, 7, (3, 1), (1, 5), 40),
    "stride": (1, 2, 3, 4, (2, 1)),
    "padding": (0, 1, 2, 3, (1, 0), (0, 2)),
    "dilation": (1, 2, 3, 4),
    "output_padding": (0, 1),
    "groups": (1, 2, 3, 4, 8),
    "scale_factor": (1, 2, 3, 4),
    "upscale_factor": (2, 3, 4),
    "output_size": (1, 2, 3),
    "num_groups": (1, 2, 3, 4, 8),
    "ceil_mode": (True, False),
}
COUNTS = (
    "in_channels", "out_channels", "in_features", "out_features", "num_features", "num_channels",
    "num_parameters", "normalized_shape",
)  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """A network that no longer runs: `argument` of the layer at `path` was `old` and is `new`."""

    model: nn.Module
    path: str
    argument: str
    old: object
    new: object


def fails(model: nn.Module, size: tuple[int, ...]) -> bool:
    """Whether torch raises when the model is really run on one image."""
    try:
        with torch.no_grad():
            made = model(torch.randn(1, *size) if len(size) == 3 else torch.randn(size))
    except Exception:  # noqa: BLE001 - whatever torch raises.
        return True
    assert made.device.type == "cpu"  # A layer without memory makes no numbers, and no complaint.
    return False


def mutations(model: nn.Module, size: tuple[int, ...], chance: random.Random) -> Iterator[Mutation]:
    """Broken copies of a model, without end."""
    places = [(path, layer) for path, layer in model.named_modules() if layers.arguments(layer)]
    while True:
        path, layer = chance.choice(places)
        given = layers.arguments(layer)
        argument = chance.choice([name for name in given if name in CHOICES or name in COUNTS])
        old = given[argument]
        new = _count(old, chance) if argument in COUNTS else chance.choice(CHOICES[argument])
        if new == old:
            continue
        copied = copy.deepcopy(model)
        try:
            copied.set_submodule(path, layers.changed(copied.get_submodule(path), **{argument: new}))  # type: ignore[arg-type]  # As given.
        except (ValueError, RuntimeError, TypeError):
            continue  # torch does not even make the layer.
        if fails(copied, size):
            yield Mutation(copied, path, argument, old, new)


def _count(old: object, chance: random.Random) -> int:
    assert isinstance(old, int)
    return chance.choice([old * 2, max(1, old // 2), old + 1, max(1, old - 1), old + 8, 3, 64])
