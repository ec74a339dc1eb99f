"""warmup: what a model will need is compiled before it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from tatamu.adopt import calls, dispatch, maps
from tatamu.adopt.arguments import Arguments, Left
from tatamu.adopt.rehearsal import Request, requests
from tatamu.autograd.schema import CONVOLUTION, GRAD_BIAS, GRAD_INPUT, GRAD_WEIGHT, resolved, size_of
from tatamu.engine.execute import Call
from tatamu.engine.lowering.comparison import lower_comparison
from tatamu.engine.target import host
from tatamu.errors import RehearsalError
from tatamu.fused import FusedConv2d

_OURS = (CONVOLUTION, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS)
_FORWARD, _BACKWARD = torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default


def warmup(model: Module, sizes: Sequence[int] | Iterable[Sequence[int]]) -> int:
    """Compile the kernels that a model will need, so that its first pass need not wait for them.

    The forward pass, and the gradients if the model is in training mode; under `torch.autocast` if that is on
    now. The model runs on tensors without numbers: nothing is computed on the CPU, and parameters, buffers,
    gradients and random numbers stay as they are. A terminal shows a bar.

    Args:
        model: with `tatamu.Conv2d` layers (see `convert`), or any while `enable` is on. It is called with one
            tensor, of its parameters' dtype, device and memory format.
        sizes: the input's, such as (8, 3, 224, 224), or several.

    Returns:
        How many different passes are ready.

    Raises:
        RehearsalError: nothing in the model is computed by tatamu, or what it does depends on the numbers
            that it is given.
    """
    given: list[Any] = list(sizes)
    operators = (*_OURS, _FORWARD, _BACKWARD) if dispatch.is_on else _OURS
    found: list[Request] = []
    for size in [given] if all(isinstance(it, int) for it in given) else given:
        found += requests(model, size, operators)
    if not found:
        raise RehearsalError.of_nothing(model)
    for request in _shown(found):
        _prepare(*request)
    if any(given[0].device.type == "cpu" for _, given in found):
        Call(lower_comparison(1 << 16), host())  # For a weight that is met again.
    return len(found)


def _shown(found: list[Request]) -> Iterable[Request]:
    """The same, under a bar where somebody looks at it."""
    from rich.console import Console  # noqa: PLC0415  # Both take a while to import.
    from rich.progress import track  # noqa: PLC0415

    console = Console(stderr=True)
    return track(found, "compiling", console=console, transient=True, disable=not console.is_terminal)


def _prepare(what: Any, given: tuple[Any, ...]) -> None:
    if isinstance(what, FusedConv2d):
        if given[0].device.type == "cpu":
            input, residual = (_memory(it) for it in (*given, None)[:2])
            assert input is not None
            what._prepared(input, residual)
        return
    given = tuple(_memory(it) if isinstance(it, Tensor) else it for it in given)
    device = given[0].device.type
    try:
        compute, operands = _ready(what, given, device)
    except Left:
        return
    if device != "cpu":  # There kernels are compiled when they first run.
        compute(*operands)


def _memory(tensor: Tensor | None) -> Tensor | None:
    """An operand on its device: a parameter, or memory as that of a tensor without numbers would be."""
    if tensor is None or not torch._subclasses.fake_tensor.is_fake(tensor):
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)


def _ready(what: Any, given: tuple[Any, ...], device: str) -> tuple[Any, tuple[Tensor | None, ...]]:
    """What computes a request, and what it takes.

    Raises:
        Left: it is torch's.
    """
    if what is _FORWARD:
        input, weight, bias, *rest = given
        return calls.forward(device, input, weight, bias, Arguments(*rest)), (input, weight, bias)
    if what is _BACKWARD:
        grad_output, input, weight, _, *rest, wanted = given
        compute = calls.backward(device, grad_output, input, weight, Arguments(*rest), wanted)
        return compute, (grad_output, input, weight)
    ours = maps.of(device)
    if what is CONVOLUTION:
        input, weight, bias, *plain = given
        return ours.prepare_forward(input, weight, bias, resolved(*plain)), (input, weight, bias)
    if what is GRAD_BIAS:
        (grad_output,) = given
        return ours.prepare_grad_bias(grad_output), (grad_output, grad_output, None)
    first, second, size, *plain, last = given
    common = first, second, size_of(size), resolved(*plain), last
    if what is GRAD_INPUT:
        return ours.prepare_grad_input(*common), (first, second, None)
    return ours.prepare_grad_weight(*common), (second, first, None)
