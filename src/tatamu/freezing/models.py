"""A model → one of the same parts, in which each part that torch.fx can trace is fused."""

from __future__ import annotations

from torch import nn
from torch.fx import Graph, GraphModule
from torch.nn import Module

from tatamu.freezing.graphs import fuse_graph
from tatamu.freezing.tracing import is_whole, trace, untraceable
from tatamu.fused import FusedConv2d
from tatamu.nn import Conv2d

REPORT = "_tatamu_report"
"""The attribute of a frozen model that holds what was done, a line for each layer."""


def fused(model: Module) -> Module:
    """The model with its layers fused; itself where there is nothing to fuse."""
    if not _holds_layers(model):
        return model
    work = _Work()
    made = work.part(model, "")
    setattr(made, REPORT, tuple(work.report))
    return made


def described(layer: Conv2d) -> str:
    """What is fused with a layer, in words."""
    return ", ".join(layer.fused()) if isinstance(layer, FusedConv2d) else "nothing fused"


class _Work:
    """What has been made of the parts of one model."""

    def __init__(self) -> None:
        self.report: list[str] = []
        self._made: dict[int, Module] = {}
        """By the part's id: a part that is used in two places stays one."""

    def part(self, module: Module, path: str) -> Module:
        """What stands for a part of the model, whose name is ``path``."""
        if id(module) not in self._made:
            self._made[id(module)] = self._of(module, path)
        return self._made[id(module)]

    def _of(self, module: Module, path: str) -> Module:
        if not _holds_layers(module):
            return module
        if isinstance(module, Conv2d):
            unseen = "" if isinstance(module, FusedConv2d) else "; torch.fx does not see what follows it"
            self.report.append(f"{path or 'the model'}: {described(module)}{unseen}")
            return module
        reason = untraceable(module)
        if not reason:
            trial = _copied(module, {})
            try:
                graph = trace(trial)
            except Exception as error:  # noqa: BLE001  # The model's own code, on what are no tensors.
                reason = f"torch.fx cannot trace it ({str(error).split(chr(10))[0]})"
            else:
                return self._rewritten(module, trial, graph, path)
        if not isinstance(module, nn.ModuleList | nn.ModuleDict):
            self.report.append(f"{path or 'the model'} ({type(module).__name__}): part by part; {reason}")
        parts = {
            name: None if child is None else self.part(child, _join(path, name))
            for name, child in module._modules.items()
        }
        if all(made is module._modules[name] for name, made in parts.items()):
            return module
        made = _shallow(module)
        made._modules.update(parts)
        return made

    def _rewritten(self, module: Module, trial: Module, graph: Graph, path: str) -> Module:
        """The part that computes a graph, once what can be fused is."""
        modules = dict(trial.named_modules())
        changed = False
        for node in graph.nodes:
            target = str(node.target)
            if node.op == "call_module" and not isinstance(modules[target], Conv2d):
                made = self.part(modules[target], _join(path, target))
                if made is not modules[target]:
                    trial.set_submodule(target, made)
                    changed = True
        for name, layer, sentence in fuse_graph(graph, modules):
            self.report.append(f"{_join(path, name)}: {sentence}")
            if layer is not None:
                trial.set_submodule(name, layer)
                changed = True
        if not changed:
            return module
        made = GraphModule(trial, graph, type(module).__name__)
        for name, value in vars(module).items():
            if "hook" in name:
                made.__dict__[name] = value.copy() if isinstance(value, dict) else value
            elif not name.startswith("_") and not hasattr(made, name):
                setattr(made, name, value)
        for part in made.modules():
            if type(part) is Module:  # GraphModule's own, for names with dots.
                part.training = module.training
        made.training = module.training
        return made


def _holds_layers(module: Module) -> bool:
    return any(isinstance(it, Conv2d) for it in module.modules())


def _shallow(module: Module) -> Module:
    """Another module of the same parts, parameters, buffers and attributes."""
    made: Module = object.__new__(type(module))
    made.__dict__ = {
        name: value.copy() if isinstance(value, dict) else value for name, value in vars(module).items()
    }
    return made


def _copied(module: Module, copies: dict[int, Module]) -> Module:
    """A copy down to the layers: attributes that are set while it is traced are not those of the model."""
    if id(module) not in copies:
        copies[id(module)] = made = _shallow(module)
        for name, child in made._modules.items():
            if child is not None and (
                not is_whole(child) or isinstance(child, nn.ModuleList | nn.ModuleDict)
            ):
                made._modules[name] = _copied(child, copies)
    return copies[id(module)]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name
