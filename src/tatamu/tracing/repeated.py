"""The same line of code in several places: a change of one layer, made in all that are written as it is."""

from __future__ import annotations

from dataclasses import replace

from torch.nn import Module, ModuleDict, ModuleList, Sequential

from tatamu.tracing import layers
from tatamu.tracing.changes import Mend

_PLAIN = (Sequential, ModuleList, ModuleDict)
"""Holders of modules, whose own code says nothing of what they hold."""


def repeated(model: Module, mend: Mend) -> Mend | None:
    """The mend of one layer for every layer that the same class makes by the same name; None if it is alone.

    A mistake in a block's class is in all of its blocks. The nearest module around the layer that is no plain
    holder, and of which there are others, tells: their layers of that name that have the changed arguments'
    old values are changed too.
    """
    paths = {it.path for it in mend.changes}
    if len(paths) != 1 or any(isinstance(it.new, Module) for it in mend.changes):
        return None
    (path,) = paths
    steps = path.split(".")
    for cut in range(len(steps) - 1, 0, -1):
        around = model.get_submodule(".".join(steps[:cut]))
        if isinstance(around, _PLAIN):
            continue
        inner = ".".join(steps[cut:])
        others = [
            f"{name}.{inner}"
            for name, it in model.named_modules()
            if name and type(it) is type(around) and _is_alike(it, inner, mend)
        ]
        if len(others) > 1:
            changes = (replace(it, path=other) for other in others for it in mend.changes)
            return replace(mend, changes=tuple(changes))
    return None


def _is_alike(around: Module, inner: str, mend: Mend) -> bool:
    """Whether the layer of that name has what is changed."""
    try:
        given = layers.arguments(around.get_submodule(inner))
    except (AttributeError, KeyError, TypeError):
        return False
    return all(it.argument in given and given[it.argument] == it.old for it in mend.changes)
