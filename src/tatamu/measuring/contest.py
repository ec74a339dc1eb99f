"""torch against tatamu on one pass of a layer: both judged, then timed side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tatamu.functional import convolution
from tatamu.geometry import Geometry
from tatamu.measuring.passes import by_torch, operands, prepare
from tatamu.measuring.timing import Timing, measure
from tatamu.measuring.verify import expected, verify

SECONDS = 0.4
"""About how long each of the two is measured on a pass; a slow one is measured three times anyway."""
_SEED = 0


@dataclass(frozen=True)
class LayerPass:
    """One pass of a layer without bias, in float32.

    Attributes:
        name: the layer, as an error names it.
        direction: one of `passes.PASSES`.
    """

    name: str
    geometry: Geometry
    direction: str

    def __str__(self) -> str:
        return f"{self.name}, {self.direction}"

    @property
    def dtype(self) -> torch.dtype:
        """Of all operands and of the result."""
        return torch.float32

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What torch's conv2d takes after input and weight; the padding is that of the top and the left."""
        it = self.geometry.convolution
        (top, _), (left, _) = it.padding
        return None, it.stride, (top, left), it.dilation, it.groups


@dataclass(frozen=True)
class Times:
    """Both on one pass."""

    torch: Timing
    tatamu: Timing

    @property
    def ratio(self) -> float:
        """How many times as fast as torch tatamu is."""
        return self.torch.median / self.tatamu.median


def contest(it: LayerPass, seconds: float = SECONDS) -> Times:
    """Judge both against float64, then time them in blocks, in turn.

    Raises:
        WrongResultError: one of them is wrong; nothing was timed.
    """
    given = operands(it, _SEED)
    judge = expected(it, given)
    calls = []
    for name, conv2d in (("torch", by_torch(it.geometry)), ("tatamu", _by_tatamu(it.geometry))):
        call = prepare(it, conv2d, given.input, given.weight, given.grad_output)
        verify(it, name, call, judge)
        calls.append(call)
    del judge, given
    theirs, ours = measure(calls, seconds)
    return Times(theirs, ours)


def _by_tatamu(geometry: Geometry) -> Any:
    it = geometry.convolution

    def convolved(x: Tensor, w: Tensor, *_: Any) -> Tensor:
        return convolution(x, w, None, it.stride, it.padding, it.dilation, it.groups, it.padding_mode)

    return convolved


def threads() -> int:
    """How many threads both use."""
    return torch.get_num_threads()
