"""The roles of the operands in a direct pass."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.lowering.common import Strides


@dataclass(frozen=True)
class Side:
    """What is gathered, what is written, and how the weight is walked."""

    source: Strides
    target: Strides
    channels: int
    m: int
    weight_g: int
    weight_m: int
    weight_c: int
    source_conjugated: bool
    weight_conjugated: bool
    bias_stride: int | None
