"""One pass of one layer of a network, to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.layer import Layer
from tatamu.geometry import Geometry
from tatamu.measuring.passes import DTYPES


@dataclass(frozen=True)
class Case:
    """What is measured in one go.

    Attributes:
        direction: one of `PASSES`.
        element: one of `DTYPES`.
    """

    layer: Layer
    batch: int
    direction: str
    element: str = "f32"

    def __str__(self) -> str:
        """The case as an error names it."""
        return (
            f"{self.layer.network} {self.layer.name} ({self.layer}), {self.direction}, batch {self.batch}, "
            f"{self.element}"
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of all operands and of the result."""
        return DTYPES[self.element]

    @property
    def geometry(self) -> Geometry:
        """All of its sizes."""
        return self.layer.geometry(self.batch)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What a `conv2d` takes after input and weight."""
        layer = self.layer
        return None, layer.stride, layer.padding, layer.dilation, layer.groups
