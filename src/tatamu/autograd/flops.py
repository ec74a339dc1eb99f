"""What our operators cost, for `torch.utils.flop_counter`: two for each multiply-add, as it counts.

The counter itself is not imported for this: it imports Triton, which takes longer than all of tatamu. Where a
program imports it, the formulas are there.

Source: torch counts a convolution as 2·N·O·Ho·Wo·(C / groups)·kh·kw, its gradients the same each, and biases
not at all. For the gradient of a weight in groups torch multiplies that by their number, for products that
nothing computes; here it is the true count.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from math import prod
from types import ModuleType
from typing import Any

from tatamu.autograd.schema import CONVOLUTION, GRAD_INPUT, GRAD_WEIGHT

_COUNTER = "torch.utils.flop_counter"
Size = Sequence[int]


def _of_convolution(_input: Size, weight: Size, *_rest: Any, out_shape: Size, **_named: Any) -> int:
    return 2 * prod(out_shape) * prod(weight[1:])


def _of_grad_input(grad_output: Size, weight: Size, *_rest: Any, **_named: Any) -> int:
    return 2 * prod(grad_output) * prod(weight[1:])


def _of_grad_weight(grad_output: Size, _input: Size, weight: Size, *_rest: Any, **_named: Any) -> int:
    return 2 * prod(grad_output) * prod(weight[1:])


_FORMULAS = {CONVOLUTION: _of_convolution, GRAD_INPUT: _of_grad_input, GRAD_WEIGHT: _of_grad_weight}


def _register(counter: ModuleType) -> None:
    for operator, formula in _FORMULAS.items():
        counter.register_flop_formula(operator.overloadpacket)(formula)


class _Watch(importlib.abc.MetaPathFinder):
    """Finds the counter as Python would, with a loader that registers the formulas once it has loaded it."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _COUNTER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _register(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # Of this one loader of one module.
        return spec


def register() -> None:
    """Tell the counter, now or when it is imported."""
    counter = sys.modules.get(_COUNTER)
    if counter is None:
        sys.meta_path.insert(0, _Watch())
    else:
        _register(counter)
