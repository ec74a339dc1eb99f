"""A graph of torch.fx in which convolutions and what follows them become one node each."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.fx import Graph, Node
from torch.nn import Module

from tatamu.freezing import folding
from tatamu.freezing.hooks import has_hooks
from tatamu.fused import FusedConv2d
from tatamu.nn import Conv2d

_functional = torch.nn.functional
_ACTIVATION_MODULES = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.SiLU: "silu", nn.Hardswish: "hardswish"}
_ACTIVATION_FUNCTIONS: dict[object, str] = {
    torch.relu: "relu",
    torch.relu_: "relu",
    _functional.relu: "relu",
    _functional.relu_: "relu",
    _functional.relu6: "relu6",
    _functional.silu: "silu",
    _functional.hardswish: "hardswish",
}
_ACTIVATION_METHODS = {"relu": "relu", "relu_": "relu"}
_ADDITIONS = (operator.add, operator.iadd, torch.add)
_ADDITION_METHODS = ("add", "add_")
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)
"""Modules that do nothing in eval mode."""
_PURE_FUNCTIONS = (torch.cat, _functional.max_pool2d, _functional.avg_pool2d, _functional.interpolate)
_PURE = (Conv2d, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, *_NOTHING)
"""Modules that write to none of their operands."""


def fuse_graph(graph: Graph, modules: dict[str, Module]) -> list[tuple[str, FusedConv2d | None, str]]:
    """Rewrite a graph; for each layer: its name, what is to take its place (or None), what was done in words.

    ``modules`` are those that the graph names.
    """
    uses = Counter(node.target for node in graph.nodes if node.op == "call_module")
    read = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    order = {node: number for number, node in enumerate(graph.nodes)}
    chains = [
        _Chain(node, modules, order)
        for node in graph.nodes
        if node.op == "call_module" and isinstance(modules[node.target], Conv2d)
    ]
    # A sum of two convolutions is the last one's: then the other's result is there.
    taken: set[Node] = set()
    for chain in reversed(chains):
        obstacle = chain.obstacle(uses, read)
        if obstacle:
            chain.stop(obstacle)
        else:
            chain.follow(taken)
    done: list[tuple[str, FusedConv2d | None, str]] = []
    for chain in chains:
        layer = chain.fused()
        if layer is not None:
            _replace(graph, chain)
        done.append((chain.name, layer, chain.sentence(layer)))
    return done


@dataclass
class _Chain:
    """A convolution and the nodes after it that its kernel can compute."""

    node: Node
    modules: dict[str, Module]
    order: dict[Node, int]
    nodes: list[Node] = field(default_factory=list)
    """Those after the convolution, in order."""
    activation: str = "none"
    sum: Node | None = None
    """The addition of a residual."""
    reason: str = ""
    """Why nothing more is fused."""
    _folded: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def name(self) -> str:
        return str(self.node.target)

    @property
    def layer(self) -> Conv2d:
        layer = self.modules[self.name]
        assert isinstance(layer, Conv2d)
        return layer

    def stop(self, reason: str) -> None:
        self.reason = reason

    def obstacle(self, uses: Counter[object], read: Iterable[str]) -> str:
        """Why the layer cannot be one with what follows it; empty where it can."""
        kind = type(self.layer)
        obstacles = (
            (kind is FusedConv2d, "frozen before"),
            (kind is not Conv2d, f"it is a {kind.__name__}"),
            (has_hooks(self.layer), "it has hooks"),
            (uses[self.node.target] > 1, "it is used more than once"),
            (any(name.startswith(f"{self.name}.") for name in read), "its weight is read elsewhere too"),
            (len(self.node.args) != 1 or bool(self.node.kwargs), "it is called with more than a tensor"),
        )
        return next((reason for holds, reason in obstacles if holds), "")

    def follow(self, taken: set[Node]) -> None:
        """Take in what follows, as far as it goes; what is ``taken`` belongs to another layer."""
        at = self._next(self.node)
        if at is not None and self._folds(at):
            self._take(at)
            at = self._next(at)
        at = self._skip(at)
        if at is not None and at not in taken and self._adds(at):
            taken.add(at)
            self._take(at)
            at = self._skip(self._next(at))
        if at is not None:
            activation = self._activation(at)
            if activation:
                self.activation, self.reason = activation, ""
                self._take(at)
            elif not self.reason:
                self.reason = f"{self._described(at)} follows"
        # Modules that do nothing are no reason to make a layer of its own.
        while self.nodes and self._does_nothing(self.nodes[-1]):
            self.nodes.pop()

    def fused(self) -> FusedConv2d | None:
        """The layer that takes the place of all; None where nothing follows that could be fused."""
        if not self.nodes:
            return None
        weight, bias = self._folded or (self.layer.weight, self.layer.bias)
        return FusedConv2d(
            self.layer,
            weight,
            bias,
            folded=self._folded is not None,
            activation=self.activation,
            adds_residual=self.sum is not None,
        )

    def sentence(self, layer: FusedConv2d | None) -> str:
        """What was done, in words."""
        fused = layer or self.layer
        done = ", ".join(fused.fused()) if isinstance(fused, FusedConv2d) else "nothing fused"
        return f"{done}; {self.reason}" if self.reason else done

    def _take(self, node: Node) -> None:
        self.nodes.append(node)

    def _next(self, node: Node) -> Node | None:
        """The only node that uses a result."""
        if len(node.users) == 1:
            return next(iter(node.users))
        if len(node.users) > 1:
            self.reason = "its output is used in several places"
        return None

    def _skip(self, node: Node | None) -> Node | None:
        while node is not None and self._does_nothing(node):
            self._take(node)
            node = self._next(node)
        return node

    def _module(self, node: Node) -> Module | None:
        if node.op != "call_module" or len(node.args) != 1 or node.kwargs:
            return None
        module = self.modules[str(node.target)]
        if has_hooks(module):
            self.reason = f"{type(module).__name__} follows, which has hooks"
            return None
        return module

    def _does_nothing(self, node: Node) -> bool:
        module = self._module(node)
        return type(module) in _NOTHING and module is not None and not module.training

    def _folds(self, node: Node) -> bool:
        norm = self._module(node)
        if type(norm) is not nn.BatchNorm2d:
            return False
        reason = folding.obstacle(self.layer, norm)
        if not reason:
            self._folded = folding.fold(self.layer, norm)
            reason = "" if self._folded else "the weights would not be finite"
        if reason:
            self.reason = f"BatchNorm2d is not folded: {reason}"
        return not reason

    def _adds(self, node: Node) -> bool:
        if node.op == "call_function":
            adds = node.target in _ADDITIONS
        else:
            adds = node.op == "call_method" and node.target in _ADDITION_METHODS
        if not adds or len(node.args) != 2 or node.kwargs:
            return False
        before = self.nodes[-1] if self.nodes else self.node
        first, second = node.args
        other = second if first is before else first
        if not isinstance(other, Node) or other is before:
            return False
        in_place = node.target is operator.iadd or node.target == "add_"
        if in_place and first is not before and not self._is_fresh(other):
            self.reason = "its sum is written into another tensor"
            return False
        if self._is_written_between(self.node, node):
            self.reason = "a tensor may be written to before the sum"
            return False
        self.sum = node
        return True

    def _is_fresh(self, node: Node) -> bool:
        """Whether a tensor is a layer's result that nothing but the sum uses."""
        if len(node.users) > 1 or node.op != "call_module":
            return False
        module = self.modules[str(node.target)]
        return isinstance(module, Conv2d) or type(module) is nn.BatchNorm2d

    def _is_written_between(self, first: Node, last: Node) -> bool:
        begin, end = self.order[first], self.order[last]
        between = (node for node, number in self.order.items() if begin < number < end)
        return any(self._may_write(node) for node in between if node not in self.nodes)

    def _may_write(self, node: Node) -> bool:
        """Whether a node may write to its operands, as far as its name tells."""
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            if type(module) in _ACTIVATION_MODULES:
                return bool(getattr(module, "inplace", False))
            return not isinstance(module, _PURE)
        if node.op in ("placeholder", "get_attr", "output"):
            return False
        if node.op == "call_function" and node.target in (*_ADDITIONS, *_PURE_FUNCTIONS):
            return node.target is operator.iadd
        return True

    def _activation(self, node: Node) -> str:
        if node.op == "call_module":
            module = self._module(node)
            return _ACTIVATION_MODULES.get(type(module), "")  # type: ignore[arg-type]
        if len(node.args) < 1 or not isinstance(node.args[0], Node) or set(node.kwargs) - {"inplace"}:
            return ""
        if node.op == "call_method" and len(node.args) == 1:
            return _ACTIVATION_METHODS.get(str(node.target), "")
        if node.op == "call_function":
            return _ACTIVATION_FUNCTIONS.get(node.target, "")
        return ""

    def _described(self, node: Node) -> str:
        if node.op == "call_module":
            return type(self.modules[str(node.target)]).__name__
        if node.op == "output":
            return "the end of what torch.fx traced"
        return str(getattr(node.target, "__name__", node.target))


def _replace(graph: Graph, chain: _Chain) -> None:
    """One call in place of a chain."""
    arguments, place, last = chain.node.args, chain.node, chain.nodes[-1]
    if chain.sum is not None:
        own = {chain.node, *chain.nodes}
        arguments = (*arguments, *(it for it in chain.sum.args if it not in own))
        place = last
    with graph.inserting_before(place):
        call = graph.call_module(chain.name, arguments)
    last.replace_all_uses_with(call)
    for node in reversed((chain.node, *chain.nodes)):
        graph.erase_node(node)
