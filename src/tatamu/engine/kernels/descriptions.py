"""Which kernels there are: what each is for, and its name. IR is imported when something is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

if TYPE_CHECKING:
    from llvmlite import ir

STRETCH = 160
"""Products that are summed in registers before they are added to the tile: bounds the rounding error."""


@dataclass(frozen=True)
class DirectKernel:
    """What one compiled direct kernel is for; sizes and strides are its arguments.

    The register tile is ``rows`` result channels by ``vectors`` registers of pixels.
    """

    element: ElementType
    rows: int
    vectors: int
    source_interleaved: bool
    target_interleaved: bool
    packs_weights: bool
    """Whether weights are packed before they are multiplied; others are read where they lie."""

    def lanes(self, target: Target) -> int:
        """Elements of a register."""
        return target.lanes(self.element.compute_bytes)

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, layouts, target."""
        layouts = "".join("i" if flag else "p" for flag in (self.source_interleaved, self.target_interleaved))
        layouts += "p" if self.packs_weights else ""
        return f"{self.element.name}_direct_{self.rows}x{self.vectors}_{layouts}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import direct  # noqa: PLC0415  # Most programs compile nothing.

        return direct.build(self, target)


@dataclass(frozen=True)
class InterleavedKernel:
    """What one compiled direct kernel is for where channels lie side by side, in source and result.

    The register tile is ``rows`` pixels by up to ``vectors`` registers of result channels. Elements are
    computed as they are stored.
    """

    element: ElementType
    rows: int
    vectors: int

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, target."""
        return f"{self.element.name}_interleaved_{self.rows}x{self.vectors}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import interleaved  # noqa: PLC0415  # Most programs compile nothing.

        return interleaved.build(self, target)


@dataclass(frozen=True)
class PlanarKernel:
    """What one compiled direct kernel is for where planes are read and written, but registers hold channels.

    The register tile is ``rows`` pixels by up to ``vectors`` registers of result channels.
    """

    element: ElementType
    rows: int
    vectors: int
    phases: bool
    """Whether result channels are those of all stride phases."""

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, target."""
        technique = "phases" if self.phases else "planar"
        return f"{self.element.name}_{technique}_{self.rows}x{self.vectors}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import planar  # noqa: PLC0415  # Most programs compile nothing.

        return planar.build(self, target)


@dataclass(frozen=True)
class GradWeightKernel:
    """What one compiled grad-weight kernel is for.

    ``dot`` chooses the tile: of ``rows`` (channel, tap) pairs by ``vectors`` registers of result
    channels, or, as dot products, of ``vectors`` result channels by ``rows`` pairs.
    """

    element: ElementType
    rows: int
    vectors: int
    dot: bool
    source_interleaved: bool
    second_interleaved: bool

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, layouts, target."""
        layouts = "".join("i" if flag else "p" for flag in (self.source_interleaved, self.second_interleaved))
        technique = "gradweightdot" if self.dot else "gradweight"
        return f"{self.element.name}_{technique}_{self.rows}x{self.vectors}_{layouts}_{target.name}"

    def tile_columns(self, target: Target) -> int:
        """Result channels of one register tile."""
        return self.vectors if self.dot else self.vectors * target.lanes(self.element.compute_bytes)

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import grad_weight  # noqa: PLC0415  # Most programs compile nothing.

        return grad_weight.build(self, target)


@dataclass(frozen=True)
class FullyConnectedKernel:
    """What one compiled kernel for fully connected layers is for: an element type of one part."""

    element: ElementType

    def name(self, target: Target) -> str:
        """Dtype, technique, target."""
        return f"{self.element.name}_fullyconnected_{target.name}"

    def tiles(self, target: Target) -> dict[int, int]:
        """Rows of weights for each number of images that a register tile may have.

        Sums, the registers of one step and their sources must fit the register file; a register of weights
        serves all images of a tile, and one of an image all rows.
        """
        return {1: 8, 2: 8, 4: 4} if target.registers >= 32 else {1: 8, 2: 4, 4: 2}

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import fully_connected  # noqa: PLC0415  # Most programs compile nothing.

        return fully_connected.build(self, target)


@dataclass(frozen=True)
class FullyConnectedGradientKernel:
    """What one compiled kernel for a gradient of fully connected layers is for."""

    element: ElementType
    of_weight: bool

    def name(self, target: Target) -> str:
        """Dtype, technique, target."""
        return (
            f"{self.element.name}_fullyconnectedgrad{'weight' if self.of_weight else 'input'}_{target.name}"
        )

    def tiles(self, target: Target) -> dict[int, tuple[int, ...]]:
        """Registers of a register tile, the most first, for each number of its rows."""
        return {4: (6, 3, 1), 1: (8, 4, 1)} if target.registers >= 32 else {4: (3, 1), 1: (8, 4, 1)}

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import (  # noqa: PLC0415  # Most programs compile nothing.
            fully_connected_gradients,
        )

        return fully_connected_gradients.build(self, target)


@dataclass(frozen=True)
class ChannelSumsKernel:
    """What one compiled kernel is for: an element type, and whether channels lie side by side."""

    element: ElementType
    interleaved: bool

    def name(self, target: Target) -> str:
        """Dtype, technique, layout, target."""
        return f"{self.element.name}_channelsums_{'i' if self.interleaved else 'p'}_{target.name}"

    def channels(self, target: Target) -> int:
        """Channels (parts of complex channels counted) of one task."""
        return target.lanes(self.element.compute_bytes) if self.interleaved else 1

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import channel_sums  # noqa: PLC0415  # Most programs compile nothing.

        return channel_sums.build(self, target)
