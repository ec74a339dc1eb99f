"""Values of small tensors that do not depend on a model's input, for models that read them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils._pytree import tree_leaves, tree_map

_MOST = 1 << 16
"""Elements of a tensor whose values are followed."""


class Constants:
    """Which fake tensors have which values. Nobody else's tensors are written into."""

    def __init__(self) -> None:
        self._held: dict[int, Tensor] = {}
        self._known: dict[int, Tensor] = {}

    def hold(self, fake: Tensor, real: Tensor) -> None:
        """A fake tensor stands for one of the model's."""
        if real.device.type != "meta" and real.layout is torch.strided and real.numel() <= _MOST:
            self._held[id(fake)] = real

    def real(self, fake: Tensor) -> Tensor | None:
        """The values of a fake tensor; None where they are not known."""
        key = id(fake)
        if key not in self._known and key in self._held:
            self._known[key] = _outside(lambda: self._held[key].detach().cpu().clone())
        return self._known.get(key)

    def computed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What an operation gives where all that it takes is known; None elsewhere."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            return None
        known = {id(it): self.real(it) for it in tree_leaves((args, kwargs)) if isinstance(it, Tensor)}
        if any(it is None for it in known.values()):
            return None
        args, kwargs = tree_map(lambda it: known[id(it)] if isinstance(it, Tensor) else it, (args, kwargs))
        try:
            return _outside(lambda: func(*args, **kwargs))
        except Exception:  # noqa: BLE001 - then it is not known; the operation on fakes says what is wrong.
            return None

    def follow(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Note the values of an operation's outputs, where they can be known and are few."""
        outputs = [it for it in tree_leaves(output) if isinstance(it, Tensor)]
        small = all(it.numel() <= _MOST for it in outputs)
        found = self.computed(func, args, kwargs) if small and outputs else None
        reals = [it for it in tree_leaves(found) if isinstance(it, Tensor)]
        if len(reals) != len(outputs):
            reals = []
        for index, it in enumerate(outputs):
            self._held.pop(id(it), None)
            self._known.pop(id(it), None)
            if reals:
                self._known[id(it)] = reals[index]


def _outside(compute: Any) -> Any:
    """What is computed outside of modes."""
    with unset_fake_temporarily(), torch._C.DisableTorchFunction():
        return compute()
