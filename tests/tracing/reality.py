"""A real pass of stock torch in float64, and what of it shows which elements read a pixel.

NaN is put into one pixel of the input: whatever reads it becomes NaN, for 0 · NaN is NaN, and poolings,
activations and softmax hand NaN on. (Comparisons, `argmax` and `where` do not: no model here computes its output
by them. Of what comes out, numbers alone can be NaN, indices cannot.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils._pytree import tree_leaves

from tatamu.tracing.fields.propagation import propagated
from tatamu.tracing.fields.queries import readers
from tatamu.tracing.walk import Walk, walk

Pixel = tuple[int, ...]


@dataclass
class Seen:
    """One call of a module: its path, and for each tensor that came out its shape and where it is NaN."""

    path: str
    shapes: list[tuple[int, ...]]
    nan: list[Tensor]


@contextmanager
def watched(model: Module) -> Iterator[list[Seen]]:
    """The calls of a model's modules, in order of their beginnings."""
    calls: list[Seen] = []
    stack: list[Seen] = []
    handles = []

    def hook(module: Module, path: str) -> None:
        def begin(*_: Any) -> None:
            stack.append(Seen(path, [], []))
            calls.append(stack[-1])

        def end(_: Module, __: Any, output: Any) -> None:
            seen = stack.pop()
            for it in tree_leaves(output):
                if isinstance(it, Tensor):
                    seen.shapes.append(tuple(it.shape))
                    seen.nan.append(it.isnan())

        handles.append(module.register_forward_pre_hook(begin))
        handles.append(module.register_forward_hook(end))

    for path, module in model.named_modules():
        hook(module, path)
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def image(size: Sequence[int], pixel: Pixel | None = None) -> Tensor:
    """Random numbers in float64, with NaN in one pixel of every sample and channel."""
    x = torch.randn(tuple(size), dtype=torch.float64)
    if pixel is not None:
        x[(slice(None), slice(None), *pixel)] = float("nan")
    return x


def pixels(size: Sequence[int]) -> list[Pixel]:
    """The corners of an image, and two pixels inside."""
    height, width = size[-2:]
    inside = [(height // 2, width // 3), (min(3, height - 1), max(width - 2, 0))]
    return [(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), *inside]


def assert_real(model: Module, size: Sequence[int]) -> Walk:
    """Shapes of every module's output are those of a real pass, and those read a pixel that become NaN."""
    model = model.double().eval()
    walked = walk(model, tuple(size))
    assert walked.failure is None, walked.failure
    fields = propagated(walked)
    for pixel in pixels(size):
        with torch.no_grad(), watched(model) as calls:
            model(image(size, pixel))
        assert [it.path for it in calls] == [it.path for it in walked.calls]
        for seen, call in zip(calls, walked.calls, strict=True):
            assert seen.shapes == [it.shape for it in call.outputs], call.path
            for nan, value in zip(seen.nan, call.outputs, strict=True):
                read = readers(fields.get(value.number, ()), value.shape, pixel)
                wrong = int((read != nan).sum()) if value.dtype.is_floating_point else 0
                assert wrong == 0, f"{call.path}, {call.kind}: {wrong} of {nan.numel()} elements, {pixel}"
    return walked
