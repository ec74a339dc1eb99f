"""Which kernels there are: what each is for, and its name. IR is imported when something is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tatamu.engine.ending import Ending, suffix
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

if TYPE_CHECKING:
    from tatamu.engine.kernels import llvm_text as ir

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
    dots: bool = False
    """Whether channels are multiplied in pairs; weights are then packed before all else, for all tasks.

    Steps of weights that are not packed count pairs.
    """
    ending: Ending | None = None

    def lanes(self, target: Target) -> int:
        """Elements of a register."""
        return target.lanes(self.element.compute_bytes)

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, layouts, target."""
        layouts = "".join("i" if flag else "p" for flag in (self.source_interleaved, self.target_interleaved))
        layouts += "p" if self.packs_weights else ""
        technique = "dots" if self.dots else "direct"
        tile = f"{self.rows}x{self.vectors}_{layouts}{suffix(self.ending)}"
        return f"{self.element.name}_{technique}_{tile}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import direct  # noqa: PLC0415  # Most programs compile nothing.

        return direct.build(self, target)


@dataclass(frozen=True)
class InterleavedKernel:
    """What one compiled direct kernel is for where channels lie side by side, in source and result.

    The register tile is ``rows`` pixels by up to ``vectors`` registers of result channels. Elements are
    computed as they are stored, or multiplied in pairs of channels (``dots``).
    """

    element: ElementType
    rows: int
    vectors: int
    packs_before: bool = False
    """Whether weights are packed before all else, for all tasks, and may outlive the call; else by each."""
    dots: bool = False
    """Whether channels are multiplied in pairs; weights are then packed before."""
    ending: Ending | None = None

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, ending, target."""
        technique = "interleaveddots" if self.dots else "interleaved"
        tile = f"{self.rows}x{self.vectors}{'_packed' if self.packs_before else ''}{suffix(self.ending)}"
        return f"{self.element.name}_{technique}_{tile}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import interleaved  # noqa: PLC0415  # Most programs compile nothing.

        return interleaved.build(self, target)


PLANAR_CHUNK = 64
"""Pixels whose sums stay in the first cache until they are written; a multiple of all registers and tiles."""
REST, REST_ROWS = 4, 2
"""So many pixels at most that are left over are multiplied in tiles of so few."""
PLANAR_OVERRUN = 8
"""Places that are listed at a time: a list may be overrun by as many, less one."""
PLANAR_PACK_CHANNELS = 64
"""Channels of a register of result channels that one task packs."""


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
    ending: Ending | None = None

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, target."""
        technique = "phases" if self.phases else "planar"
        tile = f"{self.rows}x{self.vectors}{suffix(self.ending)}"
        return f"{self.element.name}_{technique}_{tile}_{target.name}"

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


def depthwise_tiles(target: Target) -> tuple[tuple[int, int], ...]:
    """Results of a register tile of channel lanes, and from how many left on it is taken; surplus is dropped.

    Beside the sums, registers hold the weights of some taps, a pixel, and the order of its lanes.
    """
    return ((14, 12) if target.registers >= 32 else (10, 8), (7, 5), (4, 3), (2, 1))


@dataclass(frozen=True)
class DepthwiseKernel:
    """What one compiled kernel is for whose lanes are channels: forward and grad input.

    ``stride`` is that of the columns, or 0 for one that the table gives. ``taps`` is how many column taps
    each phase has. Where it is empty the table says it: ``chunk`` of them are multiplied at a time, each
    pixel being read once for all of them; what is left, one by one. ``grouped``: the channels of a group are
    summed over. ``in_place`` pixels are read where they lie, through a table of their addresses; others are
    copied to a slab.
    """

    element: ElementType
    stride: int
    taps: tuple[int, ...]
    chunk: int
    grouped: bool
    in_place: bool
    source_interleaved: bool
    target_interleaved: bool
    ending: Ending | None = None

    def name(self, target: Target) -> str:
        """Dtype, technique, stride, taps, layouts, target."""
        layouts = "".join("i" if flag else "p" for flag in (self.source_interleaved, self.target_interleaved))
        taps = "x".join(map(str, self.taps)) if self.taps else f"n{self.chunk}"
        technique = "grouped" if self.grouped else "depthwiseinplace" if self.in_place else "depthwise"
        layouts += suffix(self.ending)
        return f"{self.element.name}_{technique}_s{self.stride or 'n'}_{taps}_{layouts}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import depthwise  # noqa: PLC0415  # Most programs compile nothing.

        return depthwise.build(self, target)


@dataclass(frozen=True)
class DepthwiseWeightKernel:
    """What one compiled grad-weight kernel is for whose lanes are channels.

    The register tile is ``rows`` by ``taps`` of the weight's taps, the first of each pair; the second is what
    is left over at the end of an axis. Where several channels of grad output meet one of the input, the tile
    is of ``channels`` of them, likewise; (0, 0) where they meet one by one. ``side_by_side`` taps read pixels
    that follow one another. ``interleaved`` are input and grad output; ``in_place`` both are read where they
    lie, the input by the addresses of its pixels.
    """

    element: ElementType
    rows: tuple[int, int]
    taps: tuple[int, int]
    channels: tuple[int, int]
    side_by_side: bool
    interleaved: tuple[bool, bool]
    in_place: bool

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, layouts, target."""
        layouts = "".join("i" if flag else "p" for flag in self.interleaved) + "n" * self.in_place
        grouped = any(self.channels)
        axes = (self.channels, self.rows, self.taps) if grouped else (self.rows, self.taps)
        tile = "x".join(f"{most}r{rest}" for most, rest in axes)
        step = "" if self.side_by_side else "apart_"
        technique = "groupedweight" if grouped else "depthwiseweight"
        return f"{self.element.name}_{technique}_{tile}_{step}{layouts}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import depthwise_weight  # noqa: PLC0415  # Most programs compile nothing.

        return depthwise_weight.build(self, target)


@dataclass(frozen=True)
class StreamedGradWeightKernel:
    """What one compiled grad-weight kernel is for that reads the rows of its product as streams.

    The register tile is ``rows`` streams by up to ``vectors`` registers of channels of the second operand.
    ``gathered`` streams are read from a padded copy of the source, others where they lie.
    """

    element: ElementType
    rows: int
    vectors: int
    gathered: bool
    source_interleaved: bool
    second_interleaved: bool

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, layouts, target."""
        layouts = "".join("i" if flag else "p" for flag in (self.source_interleaved, self.second_interleaved))
        technique = "gradweightgathered" if self.gathered else "gradweightstreamed"
        return f"{self.element.name}_{technique}_{self.rows}x{self.vectors}_{layouts}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import (  # noqa: PLC0415  # Most programs compile nothing.
            streamed_grad_weight,
        )

        return streamed_grad_weight.build(self, target)


@dataclass(frozen=True)
class FullyConnectedKernel:
    """What one compiled kernel for fully connected layers is for: an element type of one part."""

    element: ElementType
    ending: Ending | None = None

    def name(self, target: Target) -> str:
        """Dtype, technique, ending, target."""
        return f"{self.element.name}_fullyconnected{suffix(self.ending)}_{target.name}"

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


COMPARED_BYTES = 1 << 16
"""Bytes that a task compares."""


@dataclass(frozen=True)
class ComparisonKernel:
    """The kernel that looks whether two stretches of memory hold the same bytes."""

    def name(self, target: Target) -> str:
        """What it does, target."""
        return f"comparison_{target.name}"

    def least_bytes(self, target: Target) -> int:
        """The shortest stretches that it compares: one step of its loop."""
        return 4 * target.vector_bytes

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels import comparison  # noqa: PLC0415  # Most programs compile nothing.

        return comparison.build(self, target)


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
