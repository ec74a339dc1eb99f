"""The planar kernel where the plan would choose another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.cases import Arrangement, Case, Integers, axis
from tatamu.engine.lowering import planar, tapwise, winograd
from tatamu.engine.target import Target
from tatamu.geometry import PADDING_MODES, Axis, Geometry


@contextmanager
def forced() -> Iterator[None]:
    """Wherever it is possible, whatever it costs."""
    with pytest.MonkeyPatch.context() as patch:
        for least in ("_FILLED", "_FILLED_STRIDED", "_PRODUCTS"):
            patch.setattr(planar, least, 0)
        patch.setattr(tapwise, "_SEEN", -1)
        patch.setattr(winograd, "why_not", lambda *_: "another technique is wanted")
        patch.setattr(Target, "multiplies_pairs", lambda *_: False)
        yield


def geometry(integer: Integers) -> Geometry:
    """Registers of result channels that are nearly full, on one side at least; or patches of few channels."""
    mode = PADDING_MODES[integer(0, 3)]
    groups = integer(1, 2)
    if integer(0, 2) == 0:
        stride = integer(2, 6)
        kernel, padding = integer(stride, stride + 2), integer(0, 2)
        axes = [Axis(integer(9, 30), kernel, stride, 1, padding, padding) for _ in range(2)]
        return Geometry(integer(1, 3), groups * integer(1, 4), groups * 16, groups, axes[0], axes[1])
    channels, m = groups * integer(1, 70), groups * integer(13, 70)
    return Geometry(
        integer(1, 3), channels, m, groups, axis(integer, mode, 9, 5), axis(integer, mode, 20, 5), mode
    )


def case(integer: Integers) -> Case:
    """A random convolution of planes, or of images whose channels lie side by side."""
    last = integer(0, 3) == 0
    how = Arrangement("channels_last" if last else "contiguous")
    return Case(geometry(integer), (how, how, how), bool(integer(0, 1)), last)
