"""A forward pass → the same with a residual and an activation at its end."""

from __future__ import annotations

import struct
from dataclasses import replace
from math import inf

from tatamu.engine.ending import BOUNDS, Ending
from tatamu.engine.kernels.job import Header
from tatamu.engine.lowering.common import Lowered
from tatamu.engine.spec import ElementType


def takes_ending(lowered: Lowered, element: ElementType) -> bool:
    """Whether a pass can end in more than its bias: real floats, by a technique whose kernel has endings."""
    return not element.is_integer and element.parts == 1 and hasattr(lowered.kernel, "ending")


def with_ending(lowered: Lowered, element: ElementType, activation: str, residual: bool) -> Lowered:
    """The pass with one of `ACTIVATIONS` after it, where it `takes_ending`; its table is written to."""
    low, high = BOUNDS.get(activation, (-inf, inf))
    kind = "<f" if element.compute_bits == 32 else "<d"
    for word, bound in ((Header.LOW, low), (Header.HIGH, high)):
        lowered.table[word] = int.from_bytes(struct.pack(kind, bound), "little", signed=True)
    ending = Ending.of(activation, residual)
    return replace(lowered, kernel=replace(lowered.kernel, ending=ending))  # type: ignore[type-var]  # Each is one.
