"""The arguments that a layer of torch's was made with, and the layer made anew with others."""

from __future__ import annotations

import copy
import inspect
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import Module, Parameter

from tatamu.nn import Conv2d

Value = int | float | bool | str | None | tuple[Any, ...]
Layer = TypeVar("Layer", bound=Module)

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
MAX_POOLINGS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVERAGE_POOLINGS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
POOLINGS = MAX_POOLINGS + AVERAGE_POOLINGS
ADAPTIVE = (
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
SHUFFLES = (nn.PixelShuffle, nn.PixelUnshuffle)
UPSAMPLINGS = (nn.Upsample,)
PADDINGS = (nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d)
SPATIAL = CONVOLUTIONS + TRANSPOSED + POOLINGS + UPSAMPLINGS + PADDINGS + SHUFFLES
"""Layers whose arguments decide the height and width of their output."""

_KNOWN: tuple[type[Module], ...] = (
    Conv2d, *CONVOLUTIONS, *TRANSPOSED, *POOLINGS, *ADAPTIVE, *BATCH_NORMS, *INSTANCE_NORMS, *SHUFFLES,
    *UPSAMPLINGS, *PADDINGS, nn.Linear, nn.GroupNorm, nn.LayerNorm, nn.PReLU, nn.Unflatten,
)  # fmt: skip
_NOT_THE_LAYERS = {"self", "device", "dtype", "kwargs"}


def kind(layer: Module) -> type[Module] | None:
    """The class of torch's (or `tatamu.Conv2d`) that `layer` is of, or None where it cannot be made anew.

    The last are layers of another kind, and layers whose parameters something else has taken over, such as a
    weight norm.
    """
    for base in type(layer).__mro__:
        if base in _KNOWN:
            parametrized = (
                not set(layer._parameters) <= {"weight", "bias"} or "parametrizations" in layer._modules
            )
            return None if parametrized else base
    return None


def arguments(layer: Module) -> dict[str, Value]:
    """What `layer` was made with, by name, as one would write it: (3, 3) is 3. Empty where `kind` is None."""
    base = kind(layer)
    return {} if base is None else {name: _plain(_argument(layer, name)) for name in _names(base)}


def changed(layer: Layer, device: torch.device | None = None, **new: Value) -> Layer:
    """A layer like `layer`, made with other arguments; it has parameters of its own, as from its constructor.

    Type, mode and hooks are those of `layer`, and so is the device unless another is given. `layer` itself
    stays as it is.

    Raises:
        Exception: what torch raises for arguments that do not go together.
    """
    base = kind(layer)
    if base is None:
        raise TypeError(f"{type(layer).__name__} is no layer that can be made anew")
    given = {name: _argument(layer, name) for name in _names(base)} | new
    tensors = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
    with device or (tensors[0].device if tensors else torch.device("meta")):
        fresh = base(**given)
    floating = next((it.dtype for it in tensors if it.is_floating_point()), None)
    fresh.to(dtype=floating)
    made = copy.copy(layer)
    # A subclass may have a constructor of its own: what its base has set is replaced, all else is kept.
    kept = {"training", "_modules"} | {name for name in fresh.__dict__ if name.endswith("hooks")}
    made.__dict__.update({name: it for name, it in fresh.__dict__.items() if name not in kept})
    for name, parameter in made._parameters.items():
        old = layer._parameters.get(name)
        if parameter is not None and old is not None:
            made._parameters[name] = Parameter(parameter.detach(), requires_grad=old.requires_grad)
    return made


def _names(base: type[Module]) -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(base.__init__).parameters if name not in _NOT_THE_LAYERS)


def _argument(layer: Module, name: str) -> Any:
    if name == "bias":
        return layer._parameters.get("bias") is not None
    return getattr(layer, name)


def _plain(value: Any) -> Value:
    if isinstance(value, tuple | list):
        items = tuple(map(_plain, value))
        return items[0] if items and all(it == items[0] for it in items) else items
    return value  # type: ignore[no-any-return]  # Whatever the constructor takes.
