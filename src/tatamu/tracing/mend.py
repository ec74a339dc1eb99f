"""Mends for a model whose sizes do not fit: each has been tried, on tensors without memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import inf

import torch
from torch.nn import Module
from torch.nn.modules.module import register_module_forward_pre_hook

from tatamu.tracing.candidates import Candidate, candidates, edit, fitted
from tatamu.tracing.changes import BEFORE, Change, Mend, remade, replaced
from tatamu.tracing.copies import weightless
from tatamu.tracing.meeting import Meeting
from tatamu.tracing.repeated import repeated
from tatamu.tracing.sizes import Size
from tatamu.tracing.walk import Walk, walk

__all__ = ["mends"]

_MOST = 3
_TRIALS = 400
_TRIALS_AFTER = 16
"""How many more candidates are tried once one has been found, where images may be of another size."""
_TRIALS_AFTER_CHANNELS = 5
"""The same where channels alone are at odds: the layer before may give others, and there is little else."""
_WORSE = 4
"""How much farther-fetched than the first mend another may be."""
_NEAR = 3.0
"""The cost up to which candidates are tried before several layers are changed."""
_FOLLOWED, _FOLLOWED_FAR = 12, 40
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
    trials = Trials(model, failed)
    meeting = Meeting(trials.model, failed, failed.failure)
    ordered = candidates(meeting)
    near = [it for it in ordered if it.cost <= _NEAR]
    search = _Search(trials, _TRIALS_AFTER if meeting.differ[1] else _TRIALS_AFTER_CHANNELS)
    search.alone(near)
    if not search.found:
        search.together(near[:_FOLLOWED])
    if not search.found:
        search.alone(ordered[len(near) :])
    if not search.found:
        search.together(ordered[:_FOLLOWED_FAR])
    elif search.single:
        search.alone(ordered[len(near) :])
    return search.ranked


class _Search:
    """Candidates that have proven themselves; one for each layer, and one for the input."""

    def __init__(self, trials: Trials, more: int) -> None:
        self.found: dict[str, _Found] = {}
        self._more = more
        self._trials = trials
        self._dead: set[object] = set()
        self._left = _TRIALS

    @property
    def single(self) -> bool:
        """Whether one layer is enough."""
        return all(it.layers == 1 for it in self.found.values())

    @property
    def ranked(self) -> tuple[Mend, ...]:
        """What was found, the plainest first."""
        ordered = sorted(
            self.found.values(), key=lambda it: (it.layers, it.cost + 0.1 * min(it.disturbed, 10))
        )
        return tuple(it.mend for it in ordered)

    def alone(self, ordered: list[Candidate]) -> None:
        """Try candidates one by one, until there are enough or the next are too far-fetched."""
        for candidate in ordered:
            worst = min((it.cost for it in self.found.values()), default=inf) + _WORSE
            if self._left == 0 or len(self.found) == _MOST or candidate.cost > worst:
                return
            place = candidate.mend.path if candidate.mend.changes else "input"
            if place in self.found or candidate.same in self._dead:
                continue
            self._left -= 1
            proven = self._trials.proven(candidate)
            if proven is None:
                self._dead.add(candidate.same)
            else:
                self.found[place] = proven
                self._left = min(self._left, self._more)

    def together(self, ordered: list[Candidate]) -> None:
        """Try candidates together with the layers that have to follow them."""
        for candidate in ordered:
            proven = self._trials.followed(candidate)
            if proven is None:
                continue
            if any(set(it.mend.changes) <= set(proven.mend.changes) for it in self.found.values()):
                continue
            if len(self.found) == _MOST or any(proven.layers > it.layers for it in self.found.values()):
                return
            self.found.setdefault(proven.mend.path, proven)


class Trials:
    """Runs a model with changes, on a copy without weights.

    Attributes:
        model: the copy.
        are_quick: whether the copy can be run without a walk, which takes a quarter of the time.
    """

    def __init__(self, model: Module, failed: Walk) -> None:
        self.model = weightless(model)
        self._failed = failed
        # Without a walk, on the device 'meta' alone, a trial is sooner done; it counts where the model gets
        # as far as in the walk, and no farther.
        self.are_quick = self._calls() == len(failed.calls)

    def _calls(self) -> int:
        """How many modules are called before the model fails on the device 'meta'; -1 if it does not."""
        called: list[Module] = []
        hook = register_module_forward_pre_hook(lambda module, _: called.append(module))
        try:
            return -1 if self._runs(self._failed.sizes, self.model) else len(called)
        finally:
            hook.remove()

    def _runs(self, sizes: tuple[Size, ...], model: Module) -> bool:
        dtype = next((it.dtype for it in self.model.parameters() if it.is_floating_point()), None)
        with torch.no_grad(), torch.device("meta"):
            try:
                model(*(torch.empty(it, dtype=dtype) for it in sizes))
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
                new = remade(old, [it for it in mend.changes if it.path == path], torch.device("meta"))
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
        """The candidate, if the model runs with it: in one place, or wherever its line is repeated."""
        found = self._proven(candidate.mend, candidate.cost)
        if found is None and (everywhere := repeated(self.model, candidate.mend)) is not None:
            found = self._proven(everywhere, candidate.cost)
        return found

    def _proven(self, mend: Mend, cost: float) -> _Found | None:
        try:
            with self._changed(mend) as model:
                if self.are_quick and not self._runs(mend.sizes or self._failed.sizes, model):
                    return None
        except Exception:  # noqa: BLE001 - torch refuses the arguments.
            return None
        return self._verified(mend, cost)

    def _verified(self, mend: Mend, cost: float) -> _Found | None:
        walked = self.walked(mend)
        if walked is None or walked.failure is not None:
            return None
        count = max(1, len(mend.edits))
        disturbed = self._disturbed(walked) if mend.changes else 0
        return _Found(replace(mend, gives=_gives(mend, walked)), count, disturbed, cost)

    def _disturbed(self, walked: Walk) -> int:
        """How many layers that ran before have outputs of another size now."""
        before = {it.path: [value.shape for value in it.outputs] for it in self._failed.calls if it.outputs}
        after = {it.path: [value.shape for value in it.outputs] for it in walked.calls}
        return sum(after.get(path) != shapes for path, shapes in before.items())

    def followed(self, candidate: Candidate) -> _Found | None:
        """The candidate, and what makes the layers after it take what they are given then, if that runs."""
        mend = candidate.mend
        for _ in range(_FURTHER):
            walked = self.walked(mend)
            if walked is None:
                return None
            if walked.failure is None:
                return self._verified(mend, candidate.cost)
            with self._changed(mend) as model:
                more = _following(Meeting(model, walked, walked.failure))
            if not more or more[0].path in {it.path for it in mend.changes}:
                return None
            mend = replace(mend, changes=(*mend.changes, *more))
        return None


def _following(meeting: Meeting) -> tuple[Change, ...]:
    """What makes the running layer take what it was given."""
    needs = meeting.needs()
    if needs is None or needs[0] == needs[1]:
        return ()
    return edit(meeting.failure.path, meeting.layer, **fitted(meeting.layer, needs[1]))


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
