"""A model for inference: the user's promise that its weights stay as they are, and what that allows."""

from __future__ import annotations

from typing import TypeVar

from torch.nn import Module

from tatamu import launch
from tatamu.errors import FrozenTrainingError
from tatamu.freezing.models import REPORT, described, fused
from tatamu.nn import Conv2d

__all__ = ["freeze", "report", "thaw"]

Model = TypeVar("Model", bound=Module)


def freeze(model: Module) -> Module:
    """Make of a model in eval mode one that computes the same sooner: ``model = tatamu.freeze(model)``.

    - A BatchNorm2d after a `Conv2d` is folded into its weight and bias (in float64, then rounded).
    - A residual that is added, and a ReLU, ReLU6, SiLU or Hardswish, are left to the convolution's kernel.
    - Weights are packed once. Without freeze a call compares a large weight with what it was, at the speed of
      memory, or packs it again.

    ``print(tatamu.explain(frozen))`` says what was fused with each layer, and what was not and why. What
    follows what is found by torch.fx, in the whole model if it can trace it, else in the largest parts that
    it can. Those that change become a `torch.fx.GraphModule`, and what their forward methods decide by
    anything but tensors is decided now. Left as they are: layers with hooks, with parametrizations, of a
    subclass, or used more than once; a BatchNorm2d without running statistics or in training mode; and what
    follows an output that is used elsewhere too.

    The model that is given stays as it is, and may be trained on: folded weights are copies. All others
    belong to both models. Where nothing can be fused, it is itself what is returned.

    The promise is about the weights' memory. Whatever gives a layer other memory ends it by itself
    (``layer.weight = …``, ``layer.weight.data = …``, another dtype), and so do `thaw`, ``load_state_dict``
    and ``train()``. Writing into the memory of a frozen weight, as an optimiser does, breaks the promise:
    results may go on being those of the old numbers. Copies of a frozen model do not promise anything.

    Args:
        model: in eval mode, as far as its `Conv2d` layers go; or one such layer.

    Returns:
        The frozen model. Models and images that are channels_last are usually computed sooner.

    Raises:
        FrozenTrainingError: a layer is in training mode, and nothing is frozen; or, later, ``train()`` of a
            layer that something was fused with.
        FrozenLoadError: later, ``load_state_dict`` of a layer that a BatchNorm2d was folded into.
    """
    for path, layer in _layers(model):
        if layer.training:
            raise FrozenTrainingError.of(path, layer)
    frozen = fused(model)
    for _, layer in _layers(frozen):
        weight = layer._parameters.get("weight")
        if weight is not None:  # A parametrization makes another at each call.
            launch.freeze(weight)
    return frozen


def thaw(model: Model) -> Model:
    """Take the promise of `freeze` back: weights may change again. What was fused stays fused.

    Returns:
        The model.
    """
    for _, layer in _layers(model):
        layer._thaw()
    return model


def report(model: Module) -> str:
    """What `freeze` did with each `Conv2d` of a model that it returned, a line for each."""
    lines = getattr(model, REPORT, None)
    if lines is None:  # A copy, or a part.
        lines = [f"{path or 'the model'}: {described(layer)}" for path, layer in _layers(model)]
    return "\n".join(lines)


def _layers(model: Module) -> list[tuple[str, Conv2d]]:
    return [(path, layer) for path, layer in model.named_modules() if isinstance(layer, Conv2d)]
