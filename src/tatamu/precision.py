"""How exact results are to be, for the whole process."""

from __future__ import annotations

from tatamu.errors import PrecisionError

PRECISIONS = ("high", "highest")

highest = False
"""Whether each result is summed from the products of its definition. Part of the key of whatever is kept."""


def set_precision(precision: str) -> None:
    """Choose what counts more, speed or the last bits; calls from now on heed it, their gradients included.

    'high', the default, lets layers of stride 1 use Winograd's filters. They compute with fewer products and
    round a little more: in float32 no result is off by more than 5e-6 · max(|x| ⊛ |w| + |b|), the largest
    sum of absolute products in the output.

    'highest' computes every result from the products of its definition; rounding is that of a sum.

    Raises:
        PrecisionError: another name.
    """
    global highest  # noqa: PLW0603  # One for the process, as torch's own precision is.
    if precision not in PRECISIONS:
        raise PrecisionError.of(precision, PRECISIONS)
    highest = precision == "highest"


def get_precision() -> str:
    """'high' or 'highest'."""
    return PRECISIONS[highest]
