"""What a walk writes down: calls of modules, steps (single operations of torch), and the values between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tatamu.geometry import Geometry


@dataclass(frozen=True)
class Value:
    """A tensor at one moment: an operation that writes into a tensor makes another value of it.

    Attributes:
        number: its own, in the walk.
        source: index of the step that made it; None for inputs and the model's own tensors.
        name: 'input' (or 'input 1', 'input 2', …) of what the model was given; path of a parameter or
            buffer; empty for what a step made, and for tensors the model holds elsewhere.
    """

    number: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    source: int | None = None
    name: str = ""
    is_parameter: bool = False


Views = tuple[tuple[int, int], ...]
"""From a tensor to a view of it: for each step its index, and which of its outputs."""


@dataclass(frozen=True)
class Write:
    """What writing into a tensor does to those that share its memory.

    Attributes:
        before, after: the whole tensor.
        views: from the whole tensor to the view that was written into.
        written: the view, after it was written into.
        others: the other views of the whole tensor, after it, each with how it views it.
    """

    before: Value
    after: Value
    views: Views
    written: Value
    others: tuple[tuple[Value, Views], ...]


@dataclass(frozen=True)
class Step:
    """One operation, as torch's dispatcher sees it.

    Attributes:
        index: its place in `Walk.steps`.
        call: index of the module call that it belongs to.
        path: that module's path in the model; empty for the model itself.
        operator: such as 'aten.convolution.default'.
        function: what the model's code called, such as 'conv2d', 'cat' or 'add'; 'conv2d' is several steps.
        function_call: equal for the steps of one such call.
        arguments: all of the operator's, by name, defaults included; tensors are values.
        outputs: the tensors that came out.
        geometry: of a 2-D convolution that is not transposed.
        keeps: whether it changes numbers or their order and no sizes of images: an activation, a
            normalisation, a view.
        is_view: whether the output is the same memory as an input.
    """

    index: int
    call: int
    path: str
    operator: str
    function: str
    function_call: int
    arguments: Mapping[str, Any]
    outputs: tuple[Value, ...]
    geometry: Geometry | None = None
    keeps: bool = False
    is_view: bool = False
    is_pointwise: bool = False
    writes: tuple[Write, ...] = ()

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values among the arguments, in order."""
        found: list[Value] = []
        for argument in self.arguments.values():
            several = argument if isinstance(argument, list | tuple) else (argument,)
            found += [it for it in several if isinstance(it, Value)]
        return tuple(found)


@dataclass
class Call:
    """One call of a module.

    Attributes:
        index: its place in `Walk.calls`.
        path: the module's path in the model; empty for the model itself.
        kind: its class's name.
        extra: its arguments, as its `repr` writes them.
        parent: index of the call that it was made in; None for the model's own.
        inputs, outputs: the tensors that went in and came out; no outputs where it failed.
        parameters: paths of the parameters that the module itself holds, as `Walk.parameters` has them.
        from_torch: whether the class is torch's or tatamu's.
    """

    index: int
    path: str
    kind: str
    extra: str
    parent: int | None
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...] = ()
    parameters: tuple[str, ...] = ()
    from_torch: bool = False
    is_leaf: bool = True


@dataclass(frozen=True)
class Failure:
    """Where and why a model does not run.

    Attributes:
        error: what was raised; for a 2-D convolution the sentence is tatamu's.
        path: the module that was running; empty for the model itself.
        call: index of its call in `Walk.calls`; None where the model was not called.
        function: what the model's code called, such as 'conv2d', 'cat' or 'add'; empty where the module's own
            code raised.
        function_arguments: of that function, by name or by place ('0', '1', …); tensors are values.
        operator: the operation inside it, such as 'aten.convolution.default', if it came so far.
        arguments: of the operation, by name, or else of the function; tensors are values.
        values: the tensors among `arguments`: those that met there, parameters too. Where the module's own
            code raised, those that the module was given.
        set_by: for each of `values` the last step that set its size, as `Walk.setter` finds it.
    """

    error: Exception
    path: str
    call: int | None
    function: str
    function_arguments: Mapping[str, Any]
    operator: str
    arguments: Mapping[str, Any]
    values: tuple[Value, ...]
    set_by: tuple[Step | None, ...]


def setter(steps: Sequence[Step], value: Value) -> Step | None:
    """The last step that set a value's size: those that keep it (`Step.keeps`) are passed over.

    None for a model's inputs and its own tensors, and what is made of those alone.
    """
    while value.source is not None:
        step = steps[value.source]
        given = [it for it in step.inputs if it.source is not None or (it.name and not it.is_parameter)]
        if not step.keeps:
            return step
        if not given:
            return None
        # Of what is broadcast, the one that has the result's size.
        value = max(given, key=lambda it: (it.shape == step.outputs[0].shape, len(it.shape)))
    return None
