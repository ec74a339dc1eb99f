"""A mend: what is changed in a model, or in the size of its input, and how it is done to a copy."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass, field

import torch
from torch.nn import Module, Sequential

from tatamu.tracing import layers
from tatamu.tracing.sizes import Size

LAYER = "layer"
BEFORE = "before"


@dataclass(frozen=True)
class Change:
    """One thing in one layer.

    Attributes:
        path: of the layer in the model; empty where it is the model itself.
        argument: of the layer's constructor; 'layer' for the layer itself, 'before' for one in front of it.
        old, new: its values; modules for 'layer' and 'before' (`old` is None for the last).
    """

    path: str
    argument: str
    old: layers.Value | Module
    new: layers.Value | Module

    def __str__(self) -> str:
        where = self.path or "the model"
        if isinstance(self.new, Module):
            return f"{_written(self.new)} {'before' if self.argument == BEFORE else 'as'} {where}"
        return f"{self.argument}={self.new!r} in {where}"


def _written(layer: Module) -> str:
    """How one would write it: nn.Conv2d(16, 32, kernel_size=1, stride=2)."""
    usual = {
        name: it.default
        for name, it in inspect.signature(type(layer).__init__).parameters.items()
        if name != "self"
    }
    given = [(name, it) for name, it in layers.arguments(layer).items() if it != usual[name]]
    plain = [f"{it!r}" if name in ("in_channels", "out_channels") else f"{name}={it!r}" for name, it in given]
    return f"nn.{type(layer).__name__}({', '.join(plain)})"


@dataclass(frozen=True)
class Mend:
    """What makes a model run that did not: changes of layers, or inputs of another size.

    Attributes:
        changes: of layers; empty where the model stays as it is.
        sizes: of the inputs, where they are to change.
        axes: where `sizes` are the inputs' own in another order: those axes, as `permute` takes them.
        gives: what comes out where it was mended, such as '56 × 56'.
    """

    changes: tuple[Change, ...] = ()
    sizes: tuple[Size, ...] | None = None
    axes: tuple[int, ...] | None = None
    gives: str = field(default="", compare=False)

    @property
    def path(self) -> str:
        """The first layer that is changed; empty where it is the input."""
        return self.changes[0].path if self.changes else ""

    @property
    def argument(self) -> str:
        """The first argument that is changed; 'input' where it is the input."""
        return self.changes[0].argument if self.changes else "input"

    @property
    def old(self) -> layers.Value | Module:
        """What that argument was; None for the input."""
        return self.changes[0].old if self.changes else None

    @property
    def new(self) -> layers.Value | Module | tuple[Size, ...]:
        """What it is to be; for the input its sizes."""
        return self.changes[0].new if self.changes else self.sizes

    @property
    def edits(self) -> dict[tuple[str, ...], list[Change]]:
        """What one would do to the code: the same changes of several layers are one, by the layers' paths."""
        of_paths = {
            path: [it for it in self.changes if it.path == path]
            for path in dict.fromkeys(it.path for it in self.changes)
        }
        made: dict[tuple[object, ...], list[str]] = {}
        for path, here in of_paths.items():
            # Modules are not compared: each is put in on its own.
            what = tuple(
                (it.argument, id(it.new) if isinstance(it.new, Module) else it.new, repr(it.old))
                for it in here
            )
            made.setdefault((path.rpartition(".")[2], what), []).append(path)
        return {tuple(paths): of_paths[paths[0]] for paths in made.values()}

    @property
    def sentence(self) -> str:
        """Such as 'padding=1 in backbone.block3.conv2 gives 56 × 56'."""
        parts = []
        for paths, here in self.edits.items():
            inner = ", ".join(f"{it.argument}={it.new!r}" for it in here[:-1])
            parts.append(f"{inner}, {here[-1]}" if inner else str(here[-1]))
            if len(paths) > 1:
                others = f"{paths[1]}" if len(paths) == 2 else f"{len(paths) - 1} others of its name"
                parts[-1] += f", and in {others},"
        text = " and ".join(parts)
        if self.sizes is not None:
            size = " and ".join("×".join(map(str, it)) for it in self.sizes)
            text = f"input.permute{self.axes}, {size}," if self.axes else f"an input of {size}"
        verb = "give" if len(parts) > 1 else "gives"
        return f"{text} {verb} {self.gives}" if self.gives else text

    def __str__(self) -> str:
        return self.sentence


def apply(model: Module, mend: Mend) -> Module:
    """A copy of `model` with the changes of a mend. Layers that changed have new parameters."""
    copied = copy.deepcopy(model)
    device = next((it.device for it in model.parameters()), torch.device("cpu"))
    for change in mend.changes:
        copied = replaced(copied, change.path, remade(copied.get_submodule(change.path), [change], device))
    return copied


def remade(layer: Module, changes: list[Change], device: torch.device) -> Module:
    """`layer` with all of its changes; it stays as it is itself. A layer that is put in is on `device`.

    Raises:
        Exception: what torch raises for arguments that do not go together.
    """
    arguments = {it.argument: it.new for it in changes if not isinstance(it.new, Module)}
    made = layers.changed(layer, **arguments) if arguments else layer  # type: ignore[arg-type]  # No modules.
    for change in changes:
        if isinstance(change.new, Module):
            new = change.new if layers.kind(change.new) is None else layers.changed(change.new, device)
            new = new.train(layer.training)
            made = new if change.argument == LAYER else Sequential(new, made)
    return made


def replaced(model: Module, path: str, layer: Module) -> Module:
    """`model` itself, with `layer` wherever the one at `path` was; `layer` where that was the model."""
    old = model.get_submodule(path)
    if old is model:
        return layer
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if child is old:
                module._modules[name] = layer
    return model
