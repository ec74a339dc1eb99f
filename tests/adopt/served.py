"""What both sides of a comparison compute, and who computed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import tatamu

TORCHS = ("mkldnn", "slow_conv", "thnn_conv", "conv_depthwise", "nogroup", "nnpack_spatial", "im2col", "bmm")
"""Parts of the names of what torch convolves with on the CPU."""


def by_torch(compute: Callable[[], Any]) -> Any:
    """What torch by itself gives."""
    tatamu.disable()
    return compute()


def by_tatamu(compute: Callable[[], Any]) -> Any:
    """What the same code gives with tatamu underneath."""
    with tatamu.enabled():
        return compute()


@contextmanager
def counted(forward: int, backward: int = 0, passed_on: int = 0) -> Iterator[None]:
    """Check how many calls the block makes, of each kind."""
    before = tatamu.status()
    yield
    after = tatamu.status()
    assert (
        after.forward - before.forward,
        after.backward - before.backward,
        sum(after.passed_on.values()) - sum(before.passed_on.values()),
    ) == (forward, backward, passed_on)


def torchs_kernels(compute: Callable[[], object]) -> set[str]:
    """The names of torch's own convolutions that run."""
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        compute()
    names = {event.name for event in trace.events()}
    assert any("conv" in name.lower() for name in names), "else nothing was traced"
    return {name for name in names if any(part in name for part in TORCHS)}


def assert_lies_as(actual: Tensor, expected: Tensor) -> None:
    """The same order in memory; how far apart a single one lies from the next means nothing."""
    assert actual.shape == expected.shape
    for size, ours, theirs in zip(actual.shape, actual.stride(), expected.stride(), strict=True):
        assert size == 1 or ours == theirs


def assert_same(actual: Any, expected: Any) -> None:
    """The same numbers, but for rounding, in the same order in memory."""
    for ours, theirs in zip(actual, expected, strict=True):
        if theirs is None:
            assert ours is None
            continue
        torch.testing.assert_close(ours, theirs)
        assert_lies_as(ours, theirs)
