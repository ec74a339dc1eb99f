"""A model's forward pass on tensors that have sizes and no memory: its steps, and where it fails.

`walk` is the one thing to call. Nothing is computed; the model that is given is neither changed nor are its
weights copied. What follows from a walk (receptive fields, rows of a table, mends) is worked out afterwards
from `Walk.steps`, `Walk.calls` and `Walk.failure`, whose parts are described in `tracing.steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Module
from torch.utils._pytree import tree_map

from tatamu.tracing.copies import copied, is_lazy, weightless
from tatamu.tracing.recorder import Recorder
from tatamu.tracing.sizes import Size, SizeArgument, sizes
from tatamu.tracing.steps import Call, Failure, Step, Value, setter


@dataclass(frozen=True)
class Walk:
    """What a model did with inputs of some sizes.

    Attributes:
        sizes: of the inputs, each with its batch.
        inputs: the inputs, as values.
        steps: every operation, in order.
        parameters: path and number of elements of every parameter; one that is used twice is there once.
        calls: every call of a module, in order of their beginnings; the first is the model's own.
        output: what the model returned, with values in place of tensors; None where it failed.
        failure: where and why it failed; None where it did not.
    """

    sizes: tuple[Size, ...]
    inputs: tuple[Value, ...]
    steps: tuple[Step, ...]
    calls: tuple[Call, ...]
    parameters: Mapping[str, int]
    output: Any
    failure: Failure | None

    def setter(self, value: Value) -> Step | None:
        """The last step that set a value's size: activations, normalisations and views are passed over.

        None for the model's inputs and its own tensors, and what is made of those alone.
        """
        return setter(self.steps, value)


def walk(model: Module, size: SizeArgument) -> Walk:
    """Run a model, in eval mode, on inputs of a size, without computing anything.

    Args:
        model: any module; its weights may be real or on the device 'meta'.
        size: '3x224x224' or (3, 224, 224): one image, as a batch of 1. Four counts have the batch first. A
            sequence of sizes is one for each input.

    Returns:
        What happened; a model that fails does not raise here.

    Raises:
        InputSizeError: the size is none.
        ModelError: the model cannot be copied (its structure is, without its weights).
    """
    given = sizes(size)
    if is_lazy(model):
        model = _settled(model, given)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    recorder = Recorder(mode)
    running = copied(model, recorder.imitate)
    recorder.watch(running)
    with mode:
        dtype = _dtype(model)
        inputs = tuple(torch.empty(it, dtype=dtype, device="cpu") for it in given)
    named = ["input"] if len(inputs) == 1 else [f"input {number}" for number in range(1, len(inputs) + 1)]
    values = tuple(map(recorder.introduce, inputs, named))
    output, failure = None, None
    with torch.no_grad(), mode, recorder:
        try:
            returned = running(*inputs)
        except Exception as error:  # noqa: BLE001 - whatever the model's code raises is the result.
            failure = recorder.failure(error)
        else:
            output = tree_map(lambda it: recorder.value(it) if isinstance(it, Tensor) else it, returned)
    parameters = {path: it.numel() for path, it in running.named_parameters()}
    return Walk(given, values, tuple(recorder.steps), tuple(recorder.calls), parameters, output, failure)


def _dtype(model: Module) -> torch.dtype:
    floating = (it.dtype for it in model.parameters() if it.dtype.is_floating_point)
    return next(floating, torch.get_default_dtype())


def _settled(model: Module, given: tuple[Size, ...]) -> Module:
    """A copy without weights in which lazy modules have learnt their sizes, as far as the model runs."""
    copy = weightless(model)
    dtype = _dtype(model)
    with torch.no_grad(), torch.device("meta"):
        try:
            copy(*(torch.empty(it, dtype=dtype) for it in given))
        except Exception:  # noqa: BLE001 - the walk meets it again, and says where.
            return copy
    return copy
