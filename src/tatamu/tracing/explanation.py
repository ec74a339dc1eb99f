"""Where a network breaks, in words."""

from __future__ import annotations

from tatamu.errors.tracing import described
from tatamu.tracing import writing
from tatamu.tracing.steps import Failure, Step, Value
from tatamu.tracing.walk import Walk


def explained(walk: Walk) -> tuple[str, ...]:
    """Where and why a model fails, a fact a line: the layer, the sizes that met, who set them, the rule.

    Empty where it does not fail.
    """
    failure = walk.failure
    if failure is None:
        return ()
    lines = [f"{_place(walk, failure)} does not fit."]
    for value, setter in zip(failure.values, failure.set_by, strict=True):
        lines.append(f"  {writing.size(value.shape)}: {_origin(walk, value, setter)}")
    return (*lines, f"  {described(failure.error)}")


def _place(walk: Walk, failure: Failure) -> str:
    call = None if failure.call is None else walk.calls[failure.call]
    layer = "the model" if call is None else writing.module(call)
    where = f"{failure.path}, {layer}" if failure.path else layer
    if call is None or (call.is_leaf and call.from_torch) or not failure.function:
        return where
    return f"{failure.function} in {where}"


def _origin(walk: Walk, value: Value, setter: Step | None) -> str:
    if value.name:
        return (
            value.name if value.is_parameter or value.name.startswith("input") else f"given as {value.name}"
        )
    if setter is None:
        return _own(walk, value)
    call = walk.calls[setter.call] if setter.call >= 0 else None
    if call is None:
        return f"set by {setter.function}"
    layer = writing.module(call)
    if call.is_leaf and call.from_torch:
        return f"set by {setter.path}, {layer}" if setter.path else f"set by {layer}"
    return f"set by {writing.function(setter)} in {setter.path or 'the model'}"


def _own(walk: Walk, value: Value) -> str:
    """Of what nothing on the way has set the size: the input, or a tensor of the model's own."""
    while value.source is not None:
        given = walk.steps[value.source].inputs
        if not given:
            break
        value = next((it for it in given if not it.is_parameter), given[0])
    return value.name or "the model's own"
