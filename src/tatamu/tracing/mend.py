"""Mends for a model whose sizes do not fit: each has been tried, on tensors without memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import nn
from torch.nn import Module

from tatamu.tracing import layers
from tatamu.tracing.candidates import Candidate, candidates, edit, fitted
from tatamu.tracing.changes import BEFORE, Change, Mend, remade, replaced
from tatamu.tracing.copies import weightless
from tatamu.tracing.meeting import Meeting, channel_axis
from tatamu.tracing.sizes import Size
from tatamu.tracing.walk import Walk, walk

__all__ = ["mends"]

_MOST = 3
_TRIALS = 400
_TRIALS_AFTER = 24
"""How many more candidates are tried once one has been found."""
_WORSE = 2.5
"""How much farther-fetched than the first mend another may be."""
_FURTHER = 4
"""How many layers may have to follow a change."""


@dataclass(frozen=True)
class _Found:
    mend: Mend
    layers: int
    disturbed: int
    cost: float


def mends(model: Module, failed: Walk) -> tuple[Mend, ...]:
    """What makes a model run that did not, at most three, the plainest first.

    Each has been applied to a copy without weights, and that copy has run to its end. The model stays as it
    is. They are found among single arguments of the layers upstream of the failure, a projection or a Flatten
    that is missing, and the inputs' order of axes and size; where other layers have to follow, such as a
    normalisation whose channels change, they are part of the mend.

    Args:
        model: as it was given to `walk`.
        failed: what `walk` returned. Empty where that did not fail.
    """
    if failed.failure is None:
        return ()
    trials = _Trials(model, failed)
    meeting = Meeting(trials.model, failed, failed.failure)
    ordered = candidates(meeting)
    found: dict[object, _Found] = {}
    dead: set[object] = set()
    left, worst = _TRIALS, inf
    for candidate in ordered:
        place = candidate.mend.path if candidate.mend.changes else "input"
        if place in found or candidate.same in dead:
            continue
        if left == 0 or len(found) == _MOST or candidate.cost > worst:
            break
        left -= 1
        proven = trials.proven(candidate)
        if proven is None:
            dead.add(candidate.same)
        else:
            found[place] = proven
            left, worst = min(left, _TRIALS_AFTER), min(worst, candidate.cost + _WORSE)
    if not found:
        for proven in trials.followed(ordered):
            if any(set(it.mend.changes) <= set(proven.mend.changes) for it in found.values()):
                continue
            if any(proven.layers > it.layers for it in found.values()):
                break
            found.setdefault(proven.mend.path, proven)
            if len(found) == _MOST:
                break
    ranked = sorted(found.values(), key=lambda it: (it.layers, it.cost + 0.1 * it.disturbed))
    return tuple(it.mend for it in ranked)


class _Trials:
    """Runs a model with changes, on a copy without weights."""

    def __init__(self, model: Module, failed: Walk) -> None:
        self.model = weightless(model)
        self._failed = failed
        # What runs on the device 'meta' alone is sooner tried; where it fails in another way, walks decide.
        self._quick = not self._runs(failed.sizes)

    def _runs(self, sizes: tuple[Size, ...], model: Module | None = None) -> bool:
        dtype = next((it.dtype for it in self.model.parameters() if it.is_floating_point()), None)
        with torch.no_grad(), torch.device("meta"):
            try:
                (model or self.model)(*(torch.empty(it, dtype=dtype) for it in sizes))
            except Exception:  # noqa: BLE001 - whatever the model's code raises, it does not run.
                return False
        return True

    @contextmanager
    def _changed(self, mend: Mend) -> Iterator[Module]:
        """The copy with the changes of a mend, until the end of the block."""
        model, undo = self.model, []
        try:
            for path in dict.fromkeys(it.path for it in mend.changes):
                old = model.get_submodule(path)
                new = remade(old, [it for it in mend.changes if it.path == path])
                model = replaced(model, path, new)
                undo.append((path, old))
            yield model
        finally:
            for path, old in reversed(undo):
                if path:
                    replaced(self.model, path, old)

    def walked(self, mend: Mend) -> Walk | None:
        """A walk of the changed model; None where torch refuses the changes."""
        with suppress(Exception), self._changed(mend) as model:
            return walk(model, mend.sizes or self._failed.sizes)
        return None

    def proven(self, candidate: Candidate) -> _Found | None:
        """The candidate, if the model runs with it."""
        mend = candidate.mend
        try:
            with self._changed(mend) as model:
                if self._quick and not self._runs(mend.sizes or self._failed.sizes, model):
                    return None
        except Exception:  # noqa: BLE001 - torch refuses the arguments.
            return None
        return self._verified(mend, candidate.cost)

    def _verified(self, mend: Mend, cost: float) -> _Found | None:
        walked = self.walked(mend)
        if walked is None or walked.failure is not None:
            return None
        count = max(1, len({it.path for it in mend.changes}))
        return _Found(replace(mend, gives=_gives(mend, walked)), count, self._disturbed(mend, walked), cost)

    def _disturbed(self, mend: Mend, walked: Walk) -> int:
        """How many layers that ran before have outputs of another size now."""
        before = {it.path: [value.shape for value in it.outputs] for it in self._failed.calls if it.outputs}
        after = {it.path: [value.shape for value in it.outputs] for it in walked.calls}
        return sum(after.get(path) != shapes for path, shapes in before.items())

    def followed(self, ordered: list[Candidate]) -> Iterator[_Found]:
        """Candidates after which other layers have to follow, together with those."""
        for candidate in ordered[:40]:
            mend = candidate.mend
            for _ in range(_FURTHER):
                walked = self.walked(mend)
                if walked is None:
                    break
                if walked.failure is None:
                    proven = self._verified(mend, candidate.cost)
                    if proven is not None:
                        yield proven
                    break
                with self._changed(mend) as model:
                    more = _following(Meeting(model, walked, walked.failure))
                if not more or any(
                    (it.path, it.argument) == (a.path, a.argument) for it in more for a in mend.changes
                ):
                    break
                mend = replace(mend, changes=(*mend.changes, *more))


def _following(meeting: Meeting) -> tuple[Change, ...]:
    needs = meeting.needs()
    if needs is None or needs[0] == needs[1]:
        return ()
    return next(
        (edit(meeting.failure.path, meeting.layer, **it) for it in fitted(meeting.layer, needs[1])), ()
    )


def _gives(mend: Mend, walked: Walk) -> str:
    """What comes out of the layer that was changed, in the terms in which it was changed."""
    if not mend.changes:
        shapes = [it.shape for it in walked.calls[0].outputs]
        return "an output of " + " and ".join("×".join(map(str, it)) for it in shapes)
    change = mend.changes[0]
    call = next((it for it in walked.calls if it.path == change.path), None)
    if call is None or not call.outputs:
        return ""
    shape = call.outputs[0].shape
    if change.argument.startswith(("in_", "num_", "normalized")) or change.argument == BEFORE:
        return ""
    if change.argument in ("out_channels", "groups"):
        return f"{shape[-3] if len(shape) > 2 else shape[-1]} channels"
    if change.argument == "out_features":
        return f"{shape[-1]} features"
    return " × ".join(map(str, shape[2:] if len(shape) > 2 else shape))
