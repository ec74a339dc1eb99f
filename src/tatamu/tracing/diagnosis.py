"""Why a model does not run, in the words of one who would mend it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from torch.nn import Module

from tatamu.errors import ValueReadError
from tatamu.tracing import layers
from tatamu.tracing.changes import Mend
from tatamu.tracing.meeting import Meeting
from tatamu.tracing.mend import mends
from tatamu.tracing.rules import rule, times
from tatamu.tracing.steps import Value
from tatamu.tracing.walk import Walk

# What torch, tatamu and the code of models raise for sizes.
_OF_SIZES = (RuntimeError, ValueError, IndexError, AssertionError)


@dataclass(frozen=True)
class Setting:
    """A layer, or an operation of a model's own code, that gave a tensor another size.

    Attributes:
        path: of the layer; of the module whose code it is, where it is no layer.
        function: what was called, such as 'conv2d'.
        is_layer: whether it is a layer, and not code.
        before, after: sizes of what went in and what came out.
    """

    path: str
    function: str
    is_layer: bool
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def name(self) -> str:
        """The layer's path, or the function and where it was called."""
        return self.path if self.is_layer else f"{self.function} in {self.path or 'the model'}"


@dataclass(frozen=True)
class Met:
    """One of the tensors that met.

    Attributes:
        shape: its size.
        name: what it is if no layer has made it: 'input', or the path of a parameter.
        set_by: what made the size what it is, the last one first. What leaves sizes as they are is not there.
    """

    shape: tuple[int, ...]
    name: str
    set_by: tuple[Setting, ...]

    def __str__(self) -> str:
        if not self.set_by:
            return f"{times(self.shape)}, {self.name or 'which the model holds'}"
        last = self.set_by[0]
        return f"{times(self.shape)}, set by {last.name} ({times(last.before)} → {times(last.after)})"

    @property
    def route(self) -> str:
        """The images' height and width from layer to layer, such as '32×32 → conv1 → 28×28'."""
        images = [it for it in self.set_by[::-1] if len(it.before) == len(it.after) == 4]
        parts = [times(images[0].before[2:])] if images else []
        for setting in images:
            if setting.before[2:] != setting.after[2:]:
                parts += [setting.name, times(setting.after[2:])]
        return " → ".join(parts)


@dataclass(frozen=True)
class Diagnosis:
    """Where sizes do not fit, and what would mend it.

    Attributes:
        path: of the layer in which the shapes met; empty for the model itself.
        function: what was called there, such as 'conv2d' or 'cat'.
        met: what met there.
        rule: what must hold there, and does not.
        mends: at most three, the plainest first; each has been tried.
        is_flat: whether images were laid flat there, so that all their ways to it are of interest.
    """

    path: str
    function: str
    met: tuple[Met, ...]
    rule: str
    mends: tuple[Mend, ...]
    is_flat: bool = False

    def __str__(self) -> str:
        at = f", at {self.function}" if self.function else ""
        lines = [f"sizes do not fit in {self.path or 'the model'}{at}"]
        for met in self.met:
            lines.append(f"  {met}")
            if self.is_flat and met.route:
                lines.append(f"    {met.route}")
        lines.append(f"rule: {self.rule}")
        if not self.mends:
            lines.append("mend: none was found in one layer's arguments or the size of the input")
        lines += [f"{'mend' if place == 0 else 'or'}: {it}" for place, it in enumerate(self.mends)]
        return "\n".join(lines)


def diagnose(model: Module, failed: Walk) -> Diagnosis | None:
    """What a walk that failed has met, and mends; None where it did not fail, or not for its sizes.

    Args:
        model: as it was given to `walk`; it stays as it is.
        failed: what `walk` returned.
    """
    failure = failed.failure
    if failure is None or not failure.values or not isinstance(failure.error, _OF_SIZES):
        return None
    if isinstance(failure.error, ValueReadError):
        return None
    meeting = Meeting(model, failed, failure)
    is_flat = isinstance(meeting.layer, nn.Linear) or failure.function in ("view", "reshape")
    return Diagnosis(
        failure.path, failure.function, tuple(_met(meeting)), rule(meeting), mends(model, failed), is_flat
    )


def _met(meeting: Meeting) -> Iterator[Met]:
    values = meeting.met if meeting.inner else meeting.failure.values
    chains = [_chain(meeting, it) for it in values]
    for place, (value, (settings, origin)) in enumerate(zip(values, chains, strict=True)):
        others = {it for other in chains[:place] + chains[place + 1 :] for it in other[0]}
        yield Met(value.shape, value.name or origin, tuple(_telling(meeting, settings, others)))
    weight = getattr(meeting.layer, "weight", None) if meeting.inner else None
    if weight is not None:
        path = meeting.failure.path
        yield Met(tuple(weight.shape), f"{path}.weight" if path else "weight", ())


def _chain(meeting: Meeting, value: Value) -> tuple[list[Setting], str]:
    """All that set sizes, back from a value, by the one of most axes where several meet; and its origin."""
    found: list[Setting] = []
    while (step := meeting.walk.setter(value)) is not None:
        given = [it for it in step.inputs if not it.is_parameter and (it.source is not None or it.name)]
        if not given:
            return found, ""
        value = max(given, key=lambda it: len(it.shape))
        layer = meeting.model.get_submodule(step.path)
        found.append(
            Setting(
                step.path, step.function, layers.kind(layer) is not None, value.shape, step.outputs[0].shape
            )
        )
    return found, value.name or ("input" if value in meeting.walk.inputs else "")


def _telling(meeting: Meeting, settings: list[Setting], others: set[Setting]) -> list[Setting]:
    """Those that set the axes which are at odds, if that happened before the ways parted: any size."""
    changing = [it for it in settings if it.before[1:] != it.after[1:]]
    axes = meeting.axes
    if axes is None or any(len(it.after) != 4 for it in settings[:1]):
        return changing
    if axes == (-3,):  # A convolution sets channels, also to what they were.
        return [it for it in settings if it in changing or "pool" not in it.function]
    extents = [
        it
        for it in changing
        if len(it.before) != 4 or any(it.before[axis] != it.after[axis] for axis in axes)
    ]
    return changing if not extents or extents[0] in others else extents
