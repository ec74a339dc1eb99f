"""convert and revert: the layers of a model, in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn
from torch.jit import ScriptModule
from torch.nn import Module
from torch.nn.utils import parametrize

from tatamu.fused import FusedConv2d
from tatamu.nn import Conv2d, LazyConv2d

_OURS: dict[type[Module], type[Module]] = {nn.Conv2d: Conv2d, nn.LazyConv2d: LazyConv2d}
_TORCHS = {ours: theirs for theirs, ours in _OURS.items()}
_DEVICES = ("cpu", "cuda", "meta")
_OTHERS = {
    nn.Conv1d: "in one dimension",
    nn.Conv3d: "in three dimensions",
    nn.ConvTranspose2d: "transposed: tatamu has no such layer, but tatamu.enable() serves it",
    nn.ConvTranspose1d: "in one dimension",
    nn.ConvTranspose3d: "in three dimensions",
}


@dataclass(frozen=True, repr=False)
class Conversion:
    """What became of the convolutions of a model; print it. Layers are named by their paths in the model."""

    changed: tuple[str, ...]
    """Those that another class computes now."""
    left: Mapping[str, str]
    """Those that are as they were, with the reason."""

    def __repr__(self) -> str:
        count = len(self.changed)
        lines = [f"{count} layer{'' if count == 1 else 's'} changed"]
        lines += [f"{path or 'the model'}: changed" for path in self.changed]
        lines += [f"{path or 'the model'}: left, {reason}" for path, reason in self.left.items()]
        return "\n".join(lines)


def convert(model: Module) -> Conversion:
    """Make every `torch.nn.Conv2d` in a model a `tatamu.Conv2d`, in place, and every LazyConv2d likewise.

    Each layer stays the object it is, with its parameters, buffers, hooks and attributes; only its class is
    another. So optimisers, references to it, keys of the state_dict, tied weights, parametrizations, weight
    and spectral norm and pruning stay as they are. `revert` takes it back.

    Left as they are, and named with the reason: layers of subclasses (their code may compute anything),
    quantised ones, those that torch.jit has compiled, and convolutions that are not two-dimensional.

    Args:
        model: any module, or a single layer. It is changed; nothing else is to be used in its place.

    Returns:
        What was changed and what was not; ``print(tatamu.convert(model))`` shows it.
    """
    return _change(model, _OURS, _why_not_ours)


def revert(model: Module) -> Conversion:
    """Make every `tatamu.Conv2d` in a model a `torch.nn.Conv2d` again, in place: the inverse of `convert`.

    Layers that were made as `tatamu.Conv2d` are changed as well, unless they pad as torch's cannot. The
    promise of `tatamu.freeze` ends.

    Returns:
        What was changed and what was not, and why.
    """
    return _change(model, _TORCHS, _why_not_torchs)


def _change(
    model: Module, classes: Mapping[type[Module], type[Module]], why_not: Callable[[Module], str]
) -> Conversion:
    changed, left = [], {}
    for path, layer in model.named_modules():
        base = parametrize.type_before_parametrizations(layer)
        reason = why_not(layer)
        if reason:
            left[path] = reason
        elif base in classes:
            if isinstance(layer, Conv2d):
                layer._thaw()
            layer.__class__ = _reclassed(type(layer), base, classes[base])
            changed.append(path)
    return Conversion(tuple(changed), left)


def _reclassed(now: type[Module], base: type[Module], other: type[Module]) -> type[Module]:
    """The class of a layer, on another base: a parametrization gives a layer a class of its own."""
    if now is base:
        return other
    own = {name: value for name, value in vars(now).items() if name not in ("__dict__", "__weakref__")}
    return type(now.__name__, (other,), own)


def _why_not_ours(layer: Module) -> str:
    """Why `convert` leaves a convolution as it is; empty for others, and where it does not."""
    base = parametrize.type_before_parametrizations(layer)
    name = f"{base.__module__}.{base.__qualname__}"
    reason = next((reason for other, reason in _OTHERS.items() if isinstance(layer, other)), "")
    if isinstance(layer, ScriptModule):
        reason = "compiled by torch.jit" if "Conv" in layer.original_name else ""
    elif isinstance(layer, Conv2d):
        reason = "it is tatamu's already"
    elif base in _OURS:
        device = layer.weight.device.type
        reason = "" if device in _DEVICES else f"on {device}, for which tatamu has no kernels"
    elif ".quantized" in base.__module__ and "Conv" in base.__name__:
        reason = f"quantised ({name})"
    elif isinstance(layer, nn.Conv2d):
        reason = f"of a subclass ({name}) that may compute anything; tatamu.enable() serves what it calls"
    return reason


def _why_not_torchs(layer: Module) -> str:
    """Why `revert` leaves one of our layers as it is."""
    if isinstance(layer, FusedConv2d):
        return "made by tatamu.freeze(), which has no inverse: use the model that was given to it"
    if not isinstance(layer, Conv2d):
        return ""
    base = parametrize.type_before_parametrizations(layer)
    if base not in _TORCHS:
        return f"of a subclass ({base.__module__}.{base.__qualname__})"
    padding = layer.padding
    if isinstance(padding, str) and padding not in ("valid", "same"):
        return f"it pads {padding!r}, which torch cannot"
    if isinstance(padding, tuple) and any(isinstance(side, tuple | list) for side in padding):
        return f"it pads {padding}, which torch cannot"
    return ""
