"""The kernel that goes tap by tap, where the plan would choose another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.cases import LAYOUTS, Arrangement, Case, Integers
from tatamu.engine.lowering import depthwise, tapwise, winograd
from tatamu.engine.target import Target
from tatamu.geometry import Axis, Geometry


@contextmanager
def forced() -> Iterator[None]:
    """Wherever it is possible, whatever it costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tapwise, "_SEEN", 1)
        for least in ("_FILLED", "_CHANNELS"):
            patch.setattr(tapwise, least, 0)
        patch.setattr(depthwise, "_LEAST_FILLED", {True: 2, False: 2})
        patch.setattr(winograd, "why_not", lambda *_: "another technique is wanted")
        patch.setattr(Target, "multiplies_pairs", lambda *_: False)
        yield


def _axis(integer: Integers, most_pixels: int) -> Axis:
    """Dilation, and padding up to more than the image."""
    kernel, dilation, stride = integer(2, 4), integer(2, 6), (1, 1, 2)[integer(0, 2)]
    span = dilation * (kernel - 1) + 1
    before, after = integer(0, span), integer(0, span)
    return Axis(max(integer(1, most_pixels), span - before - after), kernel, stride, dilation, before, after)


def case(integer: Integers) -> Case:
    """A random dilated convolution whose channels leave something over at the end of blocks and registers."""
    groups = integer(1, 2)
    channels, m = groups * integer(1, 70), groups * integer(1, 70)
    axes = _axis(integer, 9), _axis(integer, 24)
    geometry = Geometry(integer(1, 3), channels, m, groups, *axes)
    last = integer(0, 1) == 1
    how = Arrangement("channels_last" if last else LAYOUTS[2 * integer(0, 1)])
    return Case(geometry, (how, how, how), bool(integer(0, 1)), last)
