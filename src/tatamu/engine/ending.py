"""What may happen to a result before it is rounded: a residual is added, an activation follows."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

BOUNDS = {"none": (-inf, inf), "relu": (0.0, inf), "relu6": (0.0, 6.0)}
"""Activations that keep a number between two bounds; 'none' is for a residual alone."""
CURVES = ("silu", "hardswish")
"""Activations that a kernel is made for."""
ACTIVATIONS = (*BOUNDS, *CURVES)


@dataclass(frozen=True)
class Ending:
    """The last steps of a kernel on each result: ``curve(sum + bias + residual)``.

    ``curve`` is one of `CURVES`, or 'clamp' between two bounds that the table gives, so that one kernel
    serves several activations. The ``residual`` has the sizes and strides of the result.
    """

    curve: str
    residual: bool

    @staticmethod
    def of(activation: str, residual: bool) -> Ending:
        """The ending with one of `ACTIVATIONS`."""
        return Ending(activation if activation in CURVES else "clamp", residual)


def suffix(ending: Ending | None) -> str:
    """The ending's part of a kernel's name."""
    if ending is None:
        return ""
    return f"_{ending.curve}{'residual' if ending.residual else ''}"
