"""What one position of a feature map sees of the network's input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # An axis knows its receptive field: imported for real, the two would wait for each other.
    from tatamu.geometry.axis import Axis


@dataclass(frozen=True)
class ReceptiveField:
    """What one position of a feature map sees of the network's input, along one axis, in input pixels.

    Position p sees the `size` pixels from `start + p·jump` on; those outside the input are padding. Source:
    Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019. The
    default is the input itself: each position sees itself.
    """

    size: int = 1
    jump: int = 1
    start: int = 0

    @property
    def centre(self) -> float:
        """The middle of what position 0 sees; between two pixels where `size` is even."""
        return self.start + (self.size - 1) / 2

    def then(self, axis: Axis) -> ReceptiveField:
        """The receptive field after one more layer, by its kernel, stride, dilation and `before`."""
        return ReceptiveField(
            size=self.size + (axis.effective_kernel - 1) * self.jump,
            jump=self.jump * axis.stride,
            start=self.start - axis.before * self.jump,
        )

    @staticmethod
    def through(axes: Iterable[Axis]) -> ReceptiveField:
        """The receptive field of a chain of layers, first layer first."""
        field = ReceptiveField()
        for axis in axes:
            field = field.then(axis)
        return field
