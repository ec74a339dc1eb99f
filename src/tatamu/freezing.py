"""The user's promise that weights stay as they are."""

from __future__ import annotations

from typing import TypeVar

from torch.nn import Module

from tatamu import launch
from tatamu.errors import FrozenTrainingError
from tatamu.nn import Conv2d

__all__ = ["freeze", "thaw"]

Model = TypeVar("Model", bound=Module)


def freeze(model: Model) -> Model:
    """Promise that the weights of a model's `Conv2d` layers stay as they are: they are packed once.

    Without it a call compares a large weight with what it was, at the speed of memory.

    The promise is about the weights' memory. Whatever gives a layer other memory ends it by itself
    (``layer.weight = …``, ``layer.weight.data = …``, another dtype), and so do `thaw`, ``load_state_dict``
    and ``train()``. Writing into the memory of a frozen weight, as an optimiser does, breaks the promise:
    results may go on being those of the old numbers. Copies of the model are not frozen.

    Args:
        model: in eval mode, as far as its `Conv2d` layers go; or one such layer.

    Returns:
        The model.

    Raises:
        FrozenTrainingError: a layer is in training mode. Nothing is frozen then.
    """
    layers = _layers(model)
    for path, layer in layers:
        if layer.training:
            raise FrozenTrainingError.of(path, layer)
    for _, layer in layers:
        weight = layer._parameters.get("weight")
        if weight is not None:  # A parametrization makes another at each call.
            launch.freeze(weight)
    return model


def thaw(model: Model) -> Model:
    """Take the promise of `freeze` back: weights may change again. Returns the model."""
    for _, layer in _layers(model):
        layer._thaw()
    return model


def _layers(model: Module) -> list[tuple[str, Conv2d]]:
    return [(path, layer) for path, layer in model.named_modules() if isinstance(layer, Conv2d)]
