"""How exact and how repeatable results are to be, for the whole process."""

from __future__ import annotations

import torch

from tatamu.engine.spec import Rounding
from tatamu.errors import PrecisionError

PRECISIONS: tuple[Rounding, Rounding] = ("high", "highest")

_chosen: Rounding = "high"
_is_deterministic = torch._C._get_deterministic_algorithms
"""What `torch.are_deterministic_algorithms_enabled` returns, at half the cost: it is asked at each call."""


def rounding() -> Rounding:
    """What calls are to heed now: part of the key of whatever is kept."""
    return "repeatable" if _is_deterministic() else _chosen


def set_precision(precision: str) -> None:
    """Choose what counts more, speed or the last bits; calls from now on heed it, their gradients included.

    'high', the default, lets layers of stride 1 use Winograd's filters. They compute with fewer products and
    round a little more: in float32 no result is off by more than 5e-6 · max(|x| ⊛ |w| + |b|), the largest
    sum of absolute products in the output.

    'highest' computes every result from the products of its definition; rounding is that of a sum.

    Either way the same call gives the same bits each time, on any number of threads. Under
    ``torch.use_deterministic_algorithms(True)`` results are summed as with 'highest', and on the CPU
    outputs and gradients of the input have the same bits for an image alone, in any batch and in any memory
    format. That is slower.

    Raises:
        PrecisionError: another name.
    """
    global _chosen  # noqa: PLW0603  # One for the process, as torch's own precision is.
    if precision not in PRECISIONS:
        raise PrecisionError.of(precision, PRECISIONS)
    _chosen = "highest" if precision == "highest" else "high"


def get_precision() -> str:
    """'high' or 'highest'."""
    return _chosen
