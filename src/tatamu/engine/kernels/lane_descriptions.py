"""Which kernels there are whose registers hold result channels, beside the planar one: what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tatamu.engine.ending import Ending, suffix
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

if TYPE_CHECKING:
    from tatamu.engine.kernels import llvm_text as ir


@dataclass(frozen=True)
class FewChannelsKernel:
    """What one compiled direct kernel is for that reads a few channels side by side as scalars of one.

    The register tile is ``rows`` pixels by ``vectors`` registers of result channels, or by ``rest`` where
    those are left over; 0: none ever are.
    """

    element: ElementType
    rows: int
    vectors: int
    rest: int
    ending: Ending | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Registers of result channels that a register tile may have."""
        return (self.vectors, self.rest) if self.rest else (self.vectors,)

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, ending, target."""
        tile = f"{self.rows}x{self.vectors}r{self.rest}{suffix(self.ending)}"
        return f"{self.element.name}_fewchannels_{tile}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import few_channels  # noqa: PLC0415  # Most programs compile nothing.

        return few_channels.build(self, target)


TAPWISE_ENTRY = 3
"""Integers of a listed pixel: bytes to its channels in the slab, to its sums, to its place in the source."""


@dataclass(frozen=True)
class TapwiseKernel:
    """What one compiled direct kernel is for that adds the products of one tap after another.

    The register tile is ``rows`` pixels by up to ``vectors`` registers of result channels.
    """

    element: ElementType
    rows: int
    vectors: int
    source_interleaved: bool
    ending: Ending | None = None

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, layout of the source, ending, target."""
        layout = "i" if self.source_interleaved else "p"
        tile = f"{self.rows}x{self.vectors}_{layout}{suffix(self.ending)}"
        return f"{self.element.name}_tapwise_{tile}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import tapwise  # noqa: PLC0415  # Most programs compile nothing.

        return tapwise.build(self, target)
