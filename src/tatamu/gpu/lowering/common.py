"""What a lowered pass is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import triton.language as tl

from tatamu.gpu.tiles import Tile

SUMS = {
    torch.float32: tl.float32,
    torch.float64: tl.float64,
    torch.int32: tl.int32,
    torch.int64: tl.int64,
}


@dataclass(frozen=True)
class Launch:
    """One kernel, ready to run on the current stream of the current device.

    Attributes:
        programs: how many of them.
        constants: arguments that it is compiled for.
    """

    kernel: Any
    programs: int
    arguments: tuple[Any, ...]
    constants: Mapping[str, Any]
    warps: int = 4
    stages: int = 2

    def run(self) -> None:
        """Start it; does not wait for it."""
        self.kernel[(self.programs,)](*self.arguments, **self.constants, **self.options)

    @property
    def options(self) -> dict[str, Any]:
        """What Triton is told beside the arguments."""
        return {"num_warps": self.warps, "num_stages": self.stages, "enable_fp_fusion": True}


def launch(
    kernel: Any, programs: int, arguments: tuple[Any, ...], tile: Tile, constants: Mapping[str, Any]
) -> Launch:
    """A kernel with the warps and stages of a tile."""
    return Launch(kernel, programs, arguments, constants, tile.warps, tile.stages)


def ceil_div(number: int, divisor: int) -> int:
    """Rounded up."""
    return -(-number // divisor)


def real(tensor: torch.Tensor) -> torch.Tensor:
    """The stored numbers: those of a complex tensor as pairs, whatever a lazy conjugation says."""
    if tensor.is_conj():
        tensor = tensor.conj()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def sign(conjugated: bool) -> int:
    """What imaginary parts are multiplied by."""
    return -1 if conjugated else 1
