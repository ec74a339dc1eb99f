"""What a Winograd kernel is for, and its name. IR is imported when something is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tatamu.engine.ending import Ending, suffix
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target
from tatamu.engine.winograd_forms import Form

if TYPE_CHECKING:
    from tatamu.engine.cook_toom import Filtering
    from tatamu.engine.kernels import llvm_text as ir

WEIGHT_CHANNELS = 16
"""Channels whose weights one task transforms."""


@dataclass(frozen=True)
class WinogradKernel:
    """What one compiled kernel is for: tiles of a form.

    The register tile is one of ``rows`` tiles (the largest number that fits first) by ``vectors`` registers
    of result channels.
    """

    element: ElementType
    form: Form
    rows: tuple[int, ...]
    vectors: int
    source_interleaved: bool
    target_interleaved: bool
    dilated: bool
    """Whether the columns of a tile may lie apart."""
    ending: Ending | None = None

    def name(self, target: Target) -> str:
        """Dtype, technique, tiles, layouts, target."""
        layouts = "".join("i" if flag else "p" for flag in (self.source_interleaved, self.target_interleaved))
        tile = f"{self.rows[0]}x{self.vectors}_{layouts}{suffix(self.ending)}"
        form = f"{self.form.name}{'d' if self.dilated else ''}"
        return f"{self.element.name}_winograd{form}_{tile}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels.winograd import convolution  # noqa: PLC0415  # Most programs compile nothing.

        return convolution.build(self, target)


@dataclass(frozen=True)
class WinogradGradWeightKernel:
    """What one compiled grad-weight kernel is for: tiles of gradients of the output on ``taps``.

    Both operands lie the same way. The register tile is one of ``rows`` input channels by ``vectors``
    registers of result channels.
    """

    element: ElementType
    tile: tuple[int, int]
    taps: tuple[int, int]
    rows: tuple[int, ...]
    vectors: int
    interleaved: bool
    dilated: bool
    """Whether the columns of a tile may lie apart."""

    @property
    def filters(self) -> tuple[Filtering, Filtering]:
        """Of the rows and of the columns: gradients take the weight's place, taps that of the results."""
        from tatamu.engine.cook_toom import filtering  # noqa: PLC0415  # Most programs compile nothing.

        (a, b), (r, s) = self.tile, self.taps
        return filtering(r, a), filtering(s, b)

    @property
    def products(self) -> int:
        """Products of a tile for each pair of channels."""
        return (self.tile[0] + self.taps[0] - 1) * (self.tile[1] + self.taps[1] - 1)

    def name(self, target: Target) -> str:
        """Dtype, technique, tiles, layout, target."""
        (a, b), (r, s) = self.tile, self.taps
        size = f"{self.rows[0]}x{self.vectors}_{'i' if self.interleaved else 'p'}"
        taps = f"{r}x{s}{'d' if self.dilated else ''}"
        return f"{self.element.name}_winogradgradweight{a}x{b}k{taps}_{size}_{target.name}"

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""
        from tatamu.engine.kernels.winograd import grad_weight  # noqa: PLC0415  # Most programs compile nothing.

        return grad_weight.build(self, target)
