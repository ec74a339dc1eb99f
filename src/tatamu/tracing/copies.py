"""Copies of a model that have no weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from tatamu.errors import ModelError


def weightless(model: Module) -> Module:
    """A copy of a model in eval mode whose tensors have sizes and no memory (device 'meta').

    The model stays as it is.

    Raises:
        ModelError: the model cannot be copied.
    """
    return copied(model, lambda tensor: torch.empty_like(tensor, device="meta"))


def copied(model: Module, make: Callable[[Tensor], Tensor]) -> Module:
    """A copy of a model in eval mode, with `make` of each of its tensors in that tensor's place.

    Raises:
        ModelError: the model cannot be copied.
    """
    memo: dict[int, object] = {}
    with torch.no_grad():
        for tensor in _tensors(model):
            if id(tensor) not in memo:
                memo[id(tensor)] = _made(tensor, make)
    try:
        result = copy.deepcopy(model, memo)
    except Exception as error:
        raise ModelError.of_copy(error) from error
    for module in result.modules():
        module.training = False
    return result


def is_lazy(model: Module) -> bool:
    """Whether some of the model's sizes follow from its first input."""
    return any(isinstance(it, UninitializedParameter | UninitializedBuffer) for it in _tensors(model))


def _tensors(model: Module) -> Iterator[Tensor]:
    for module in model.modules():
        for held in (module._parameters, module._buffers, module.__dict__):
            yield from (it for it in held.values() if isinstance(it, Tensor))


def _made(tensor: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
    if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
        return type(tensor)(device="meta", dtype=tensor.dtype)  # type: ignore[call-arg]  # Typed without.
    made = make(tensor)
    return Parameter(made, tensor.requires_grad) if isinstance(tensor, Parameter) else made
