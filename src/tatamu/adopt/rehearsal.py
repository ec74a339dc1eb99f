"""A model run on tensors without numbers, and what it asks of convolutions on the way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeCopyMode,
    FakeTensorMode,
)
from torch.nn import Module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from tatamu.errors import RehearsalError
from tatamu.fused import FusedConv2d
from tatamu.layout import memory_format

Request = tuple[Any, tuple[Any, ...]]
"""An operator of torch's or ours, or a `FusedConv2d`, and its arguments: operands on their own device."""


def requests(model: Module, size: Sequence[int], operators: Sequence[object]) -> Iterator[Request]:
    """What a model asks of these operators and of fused layers for an input of a size, each thing once.

    With gradients if it is in training mode. The model, its buffers and gradients and the random numbers stay
    as they are. Operands are parameters of the model, or memory that lies as theirs would.

    Raises:
        RehearsalError: what the model does depends on the numbers.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    # Also for fakes in inference mode composite operators would be seen, and not what they are made of.
    with torch.inference_mode(False):
        with FakeCopyMode(mode):
            fake = copy.deepcopy(model)
        names = dict(model.named_modules())
        recorder = _Recorder(
            operators, dict(zip(map(id, fake.parameters()), model.parameters(), strict=True))
        )
        with mode, recorder, _listening(fake, lambda name, *given: recorder.note(names[name], given)):
            try:
                _run(fake, _input(model, size))
            except (DataDependentOutputException, DynamicOutputShapeException) as error:
                raise RehearsalError.of(model, error) from error
    return iter(recorder.found.values())


def _input(model: Module, size: Sequence[int]) -> Tensor:
    """As its parameters are: of their dtype and memory format, on their device."""
    like = next((it for it in model.parameters() if it.is_floating_point()), torch.empty(0))
    last = any(it.dim() == 4 and not it.is_contiguous() for it in model.parameters())
    form = memory_format(last and len(size) == 4)
    return torch.empty(tuple(size), dtype=like.dtype, device=like.device, memory_format=form)


def _run(model: Module, input: Tensor) -> None:
    with torch.set_grad_enabled(model.training):
        outputs = [it for it in tree_leaves(model(input)) if isinstance(it, Tensor) and it.requires_grad]
        if outputs:
            torch.autograd.backward(outputs, [torch.empty_like(it) for it in outputs])


@contextmanager
def _listening(model: Module, note: Callable[..., None]) -> Iterator[None]:
    """Tell what fused layers are given: it is no operator that computes them."""
    handles = [
        layer.register_forward_pre_hook(lambda _, given, name=name: note(name, *given))
        for name, layer in model.named_modules()
        if isinstance(layer, FusedConv2d)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's.
    def __init__(self, operators: Sequence[object], originals: dict[int, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's.
        self.found: dict[Hashable, Request] = {}
        self._operators, self._originals = operators, originals

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in self._operators:
            self.note(func, args)
        return func(*args, **(kwargs or {}))

    def note(self, what: Any, given: tuple[Any, ...]) -> None:
        """Keep a request, unless there is one like it."""
        key = what, repr(tree_map_only(Tensor, self._described, given))
        if key not in self.found:
            self.found[key] = what, tree_map_only(Tensor, self._operand, given)

    def _described(self, tensor: Tensor) -> Hashable:
        return self._place(tensor), tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device

    def _place(self, tensor: Tensor) -> int | None:
        """Which of the model's parameters it is: whether one is frozen depends on where it lies."""
        found = self._originals.get(id(tensor))
        return None if found is None else id(found)

    def _operand(self, tensor: Tensor) -> Tensor:
        found = self._originals.get(id(tensor))
        return tensor if found is None else found
