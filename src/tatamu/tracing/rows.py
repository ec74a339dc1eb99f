"""A walk's steps, gathered into one row for each layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tatamu.tracing import writing
from tatamu.tracing.fields.propagation import propagated
from tatamu.tracing.fields.queries import Window, windows
from tatamu.tracing.fields.unions import Field
from tatamu.tracing.steps import Call, Step
from tatamu.tracing.walk import Walk
from tatamu.tracing.work import multiply_adds, plan

_MOVES = frozenset(
    f"aten.{name}"
    for name in ("clone", "_to_copy", "copy_", "detach", "_unsafe_view", "lift_fresh_copy", "expand", "roll")
)
"""Operations that are no row of their own, beside views."""


@dataclass(frozen=True)
class Row:
    """One layer of a network: a module without parts, or a function that the code of a larger one calls.

    Attributes:
        path: the module's, or that of the one whose code calls the function; empty for the model itself.
        layer: with its arguments, as one writes it.
        output: size of what comes out, the batch included; of the first of several tensors.
        windows: what an element reads of the input along each axis (height, width), the receptive field; None
            where it reads nothing of it, or the input has no axes.
        is_exact: whether they are known to be no smaller.
        parameters: number of elements; those that an earlier row had are not counted again.
        macs: multiply-adds of convolutions, products of matrices and attention.
        share: of all multiply-adds, from 0 to 1.
        plan: the technique by which tatamu would compute it on this machine; empty for all but convolutions.
    """

    path: str
    layer: str
    output: tuple[int, ...]
    windows: tuple[Window, ...] | None
    is_exact: bool
    parameters: int
    macs: int
    share: float
    plan: str


def rows(walk: Walk) -> tuple[Row, ...]:
    """One row for each layer, in the order of their work."""
    fields = propagated(walk)
    axes = len(walk.inputs[0].shape) - 2
    total = sum(map(multiply_adds, walk.steps))
    seen: set[str] = set()
    found = []
    for steps, layer in _layers(walk):
        result = next(step.outputs[0] for step in reversed(steps) if step.outputs)
        named = [it.name for step in steps for it in step.inputs if it.name in walk.parameters]
        call = walk.calls[steps[0].call] if steps[0].call >= 0 else None
        if call is not None and call.is_leaf and call.path:
            named += call.parameters
            result = call.outputs[0] if call.outputs else result
        new = set(named) - seen
        seen |= new
        macs = sum(map(multiply_adds, steps))
        field: Field = fields.get(result.number, ())
        found.append(
            Row(
                steps[0].path,
                layer,
                result.shape,
                windows(field, axes) if axes > 0 else None,
                all(it.is_exact for it in field),
                sum(walk.parameters[name] for name in new),
                macs,
                macs / total if total else 0.0,
                next(filter(None, map(plan, steps)), ""),
            )
        )
    return tuple(found)


def _layers(walk: Walk) -> list[tuple[list[Step], str]]:
    """The steps of each row, and the layer they are."""
    depends = _dependent(walk)
    groups: dict[tuple[int, int], list[Step]] = {}
    pieces = Counter(step.call for step in walk.steps if multiply_adds(step))
    whole: Mapping[int, bool] = {it.index: _is_one(it, pieces[it.index]) for it in walk.calls}
    for step in walk.steps:
        if step.index in depends:
            place = -1 if whole.get(step.call) else step.function_call
            groups.setdefault((step.call, place), []).append(step)
    found = []
    for (call, place), steps in groups.items():
        if place == -1:
            found.append((steps, writing.module(walk.calls[call])))
        elif not all(_only_moves(step) for step in steps):
            main = max(steps, key=lambda it: (multiply_adds(it), it.geometry is not None))
            found.append((steps, writing.function(main)))
    return found


def _dependent(walk: Walk) -> set[int]:
    """The steps whose results depend on the input."""
    numbers = {it.number for it in walk.inputs}
    steps = set()
    for step in walk.steps:
        if any(it.number in numbers for it in step.inputs):
            steps.add(step.index)
            numbers |= {it.number for it in step.outputs}
            numbers |= {it.after.number for it in step.writes}
            numbers |= {other.number for it in step.writes for other, _ in it.others}
    return steps


def _is_one(call: Call, pieces: int) -> bool:
    """Whether a module's call is one row: it has no parts, and is torch's or does one piece of work."""
    return call.is_leaf and (call.from_torch or (bool(call.path) and pieces <= 1))


def _only_moves(step: Step) -> bool:
    return step.is_view or step.operator.rpartition(".")[0] in _MOVES or not step.outputs
