"""A module → its graph, whose nodes are layers and operations on tensors."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, Node, Proxy, Tracer
from torch.nn import Module

from tatamu.freezing.hooks import has_hooks
from tatamu.nn import Conv2d


def untraceable(module: Module) -> str:
    """Why a module is not to be traced; empty where it may be."""
    parameters = inspect.signature(module.forward).parameters.values()
    if any(it.kind in (it.VAR_POSITIONAL, it.VAR_KEYWORD) or it.default is not it.empty for it in parameters):
        # torch.fx would take each for a tensor that is given.
        return "its forward has optional arguments"
    return ""


def trace(module: Module) -> Graph:
    """The graph of a module. Raises whatever its code raises when it meets what are no tensors."""
    graph = _Tracer().trace(module)
    for node in graph.nodes:
        node.type = None  # An annotation that is a string cannot be pickled.
    return graph


def is_whole(module: Module) -> bool:
    """Whether a part stands in the graph as it is; of others, what their forward methods do."""
    if isinstance(module, Conv2d | torch.jit.ScriptModule) or has_hooks(module):
        return True
    return type(module).__module__.startswith("torch.nn.") and not isinstance(module, nn.Sequential)


def _in_place(operation: Callable[[Any, Any], Any]) -> Callable[[Proxy, object], Proxy]:
    def apply(self: Proxy, other: object) -> Proxy:
        return self.tracer.create_proxy("call_function", operation, (self, other), {})

    return apply


class _InPlaceProxy(Proxy):
    """torch.fx's own takes ``x += y`` for ``x = x + y``, though others may hold x."""

    __iadd__, __isub__ = _in_place(operator.iadd), _in_place(operator.isub)
    __imul__, __itruediv__ = _in_place(operator.imul), _in_place(operator.itruediv)


class _Tracer(Tracer):
    def is_leaf_module(self, m: Module, _: str) -> bool:
        return is_whole(m)

    def proxy(self, node: Node) -> Proxy:
        return _InPlaceProxy(node, self)
