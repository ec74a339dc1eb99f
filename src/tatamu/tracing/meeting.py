"""What met where a model failed: the numbers that differ, and the layers that they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import prod

from torch import nn
from torch.nn import Module

from tatamu.tracing import layers
from tatamu.tracing.steps import Failure, Value
from tatamu.tracing.walk import Walk


@dataclass(frozen=True)
class Source:
    """A layer upstream of a failure.

    Attributes:
        call: index of its call in `Walk.calls`.
        inputs: what it was given, the first tensor.
        output: what came out.
        is_shared: whether all that met comes through it, and not one side alone.
    """

    path: str
    layer: Module
    call: int
    inputs: Value
    output: Value
    is_shared: bool


class Meeting:
    """Where `walk`, of `model`, failed."""

    def __init__(self, model: Module, walk: Walk, failure: Failure) -> None:
        self.model = model
        self.walk = walk
        self.failure = failure

    @cached_property
    def layer(self) -> Module:
        """The module that was running."""
        return self.model.get_submodule(self.failure.path)

    @cached_property
    def given(self) -> tuple[Value, ...]:
        """The tensors that met, without the model's own."""
        return tuple(it for it in self.failure.values if not it.is_parameter)

    @cached_property
    def entering(self) -> Value | None:
        """What the running module was given, where that is one of torch's layers."""
        if self.failure.call is None or layers.kind(self.layer) is None:
            return None
        if isinstance(self.layer, nn.LayerNorm) and self.given:  # Subclasses put the channels last first.
            return self.given[0]
        inputs = self.walk.calls[self.failure.call].inputs
        return inputs[0] if inputs else None

    @cached_property
    def met(self) -> tuple[Value, ...]:
        """The tensors whose history is of interest."""
        return (self.entering,) if self.entering is not None else self.given

    @property
    def inner(self) -> bool:
        """Whether one layer and what it was given are at odds, not two tensors."""
        return self.entering is not None

    def needs(self) -> tuple[int, int] | None:
        """(number that the running layer takes, number that it was given) of channels or features."""
        x = self.entering
        if x is None or not x.shape:
            return None
        given = layers.arguments(self.layer)
        axis = channel_axis(self.layer, x)
        for name in ("in_channels", "in_features", "num_features", "num_channels"):
            if name in given and axis is not None:
                return int(given[name]), x.shape[axis]  # type: ignore[arg-type]  # A count.
        if isinstance(self.layer, nn.PReLU) and given["num_parameters"] != 1 and axis is not None:
            return self.layer.num_parameters, x.shape[axis]
        if isinstance(self.layer, nn.LayerNorm):
            return self.layer.normalized_shape[-1], x.shape[-1]
        return None

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(a number that was given, what it should have been), the likeliest first."""
        found: list[tuple[int, int]] = []
        needs = self.needs()
        if needs is not None and needs[0] != needs[1]:
            found.append((needs[1], needs[0]))
        if not self.inner:
            found += self._differences()
        found += [pair for divisor in self._divisors() for pair in self._rounded(divisor)]
        return tuple(dict.fromkeys(found))

    @cached_property
    def differ(self) -> tuple[bool, bool]:
        """Whether what met may differ in channels or features, and in height or width."""
        needs = self.needs()
        if needs is not None and needs[0] != needs[1]:
            return True, isinstance(self.layer, nn.Linear | nn.LayerNorm)
        shapes = [it.shape for it in self.failure.values]
        if self.inner or len(shapes) < 2 or any(len(it) != 4 for it in shapes):
            return bool(self.pairs) or not self.inner, True
        extent = len({it[2:] for it in shapes}) > 1
        joined = self.failure.function in ("cat", "concat", "concatenate")
        return len({it[1] for it in shapes}) > 1 and not (joined and extent), extent

    @cached_property
    def axes(self) -> tuple[int, ...] | None:
        """The axes of images that are at odds, counted from the last as -1; None where it may be any."""
        channels, extent = self.differ
        if self.inner and self.met[0].shape[2:]:
            return (-1, -2, -3) if channels == extent else (-3,) if channels else (-1, -2)
        shapes = [it.shape for it in self.failure.values]
        if self.inner or len(shapes) < 2 or any(len(it) != 4 for it in shapes):
            return None
        found = {axis for pair in combinations(shapes, 2) for axis in apart(*pair)}
        return tuple(sorted(found - {-3} if extent and not channels else found))

    def _differences(self) -> Iterator[tuple[int, int]]:
        values = self.failure.values
        for one in values:
            for other in values:
                if one is other or one.is_parameter:
                    continue
                for axis in range(1, min(len(one.shape), len(other.shape)) + 1):
                    if one.shape[-axis] != other.shape[-axis]:
                        yield one.shape[-axis], other.shape[-axis]
                if len(one.shape) >= 2 and len(other.shape) >= 2 and one.shape[-1] != other.shape[-2]:
                    yield one.shape[-1], other.shape[-2]
        wanted = [it for it in self._numbers() if it > 0]
        if self.failure.function in ("view", "reshape", "unflatten") and self.given and wanted:
            got = prod(self.given[0].shape)
            open_axis = -1 in self._numbers()
            if not open_axis and got != prod(wanted):
                yield got, prod(wanted)
            elif open_axis:
                rest = prod(wanted)
                yield got, got // rest * rest
                yield got, (got // rest + 1) * rest

    def _numbers(self) -> list[int]:
        found: list[int] = []
        for value in self.failure.arguments.values():
            items = value if isinstance(value, list | tuple) else (value,)
            found += [it for it in items if isinstance(it, int) and not isinstance(it, bool)]
        return found

    def _divisors(self) -> Iterator[int]:
        given = layers.arguments(self.layer) if self.inner else {}
        for name, power in (("groups", 1), ("num_groups", 1), ("upscale_factor", 2)):
            divisor = given.get(name, 1)
            if isinstance(divisor, int) and divisor > 1:
                yield divisor**power
        if self.failure.function == "glu":
            yield 2

    def _rounded(self, divisor: int) -> Iterator[tuple[int, int]]:
        for value in self.met[:1]:
            if len(value.shape) >= 3 and value.shape[-3] % divisor:
                channels = value.shape[-3]
                yield channels, (channels // divisor + 1) * divisor
                if channels > divisor:
                    yield channels, channels // divisor * divisor

    def sources(self) -> list[Source]:
        """The layers upstream, those that only one side comes from first, then the nearest first."""
        reached = [self._calls_behind(it) for it in self.met]
        shared = set.intersection(*map(set, reached)) if len(reached) > 1 else set()
        found: dict[str, Source] = {}
        for index in sorted(set().union(*reached), reverse=True):
            call = self.walk.calls[index]
            layer = self.model.get_submodule(call.path)
            if layers.kind(layer) is None or not call.inputs or not call.outputs:
                continue
            source = Source(call.path, layer, index, call.inputs[0], call.outputs[0], index in shared)
            found.setdefault(call.path, source)
        return sorted(found.values(), key=lambda it: it.is_shared)

    def _calls_behind(self, value: Value) -> dict[int, None]:
        """The calls whose steps a value comes from."""
        found: dict[int, None] = {}
        waiting = [value.source] if value.source is not None else []
        seen = set(waiting)
        while waiting:
            step = self.walk.steps[waiting.pop()]
            found[step.call] = None
            for source in (it.source for it in step.inputs):
                if source is not None and source not in seen:
                    seen.add(source)
                    waiting.append(source)
        return {it: None for it in found if it >= 0}


def apart(one: tuple[int, ...], other: tuple[int, ...]) -> list[int]:
    """The axes, counted from the last as -1, in which two sizes do not go together."""
    count = min(len(one), len(other))
    return [-it for it in range(count, 0, -1) if one[-it] != other[-it] and 1 not in (one[-it], other[-it])]


def channel_axis(layer: Module, value: Value) -> int | None:
    """Which axis of its input a layer takes for channels or features; None where there is none."""
    count = len(value.shape)
    if isinstance(layer, nn.Linear | nn.LayerNorm):
        return -1 if count else None
    base = layers.kind(layer)
    if isinstance(layer, layers.CONVOLUTIONS + layers.TRANSPOSED) and base is not None:
        spatial = int(base.__name__[-2])
        return count - spatial - 1 if count in (spatial + 1, spatial + 2) else None
    return 1 if count >= 2 else None
