"""A call of torch's → what computes it, ready to run on any operands that lie in memory as these do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from tatamu.adopt import arguments, maps
from tatamu.adopt.arguments import Arguments, Asked, Left, Size
from tatamu.adopt.maps import Maps
from tatamu.launch import Pass
from tatamu.layout import memory_format, suggest_channels_last

Forward = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]
"""The output, of input, weight and bias."""
Gradients = tuple["Tensor | None", "Tensor | None", "Tensor | None"]
Backward = Callable[[Tensor, Tensor, Tensor], Gradients]
"""The gradients of input, weight and bias, of grad_output, input and weight; None where none is wanted."""


def forward(device: str, input: Tensor, weight: Tensor, bias: Tensor | None, given: Arguments) -> Forward:
    """What computes the output.

    Raises:
        Left: it is torch's.
    """
    arguments.check(input, weight, () if bias is None else (bias,), device)
    asked = arguments.resolve(input, weight, None if bias is None else bias.shape, given)
    ours = maps.of(device)
    if not asked.transposed:
        return _there(ours.prepare_forward(input, weight, bias, asked.convolution))
    last = suggest_channels_last(input, weight)
    compute = _there(ours.prepare_grad_input(input, weight, asked.output_size, asked.convolution, last))

    def transposed(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        output = compute(input, weight, None)
        return output if bias is None else output.add_(bias[:, None, None])

    return transposed


def backward(
    device: str,
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    given: Arguments,
    wanted: Sequence[bool],
) -> Backward:
    """What computes the gradients that are wanted: those of input, weight and bias.

    Raises:
        Left: they are torch's.
    """
    arguments.check(input, weight, (grad_output,), device)
    asked = arguments.resolve(input, weight, None, given)
    if tuple(grad_output.shape) != asked.output_size:
        raise Left(arguments.REFUSED)
    ours = maps.of(device)
    of_input, of_weight = (
        prepare(ours, grad_output, input, weight, asked) if needed else None
        for prepare, needed in zip((_of_input, _of_weight), wanted, strict=False)
    )
    of_bias = _there(ours.prepare_grad_bias(grad_output)) if wanted[2] else None

    def gradients(grad_output: Tensor, input: Tensor, weight: Tensor) -> Gradients:
        return (
            None if of_input is None else of_input(grad_output, weight, None),
            None if of_weight is None else of_weight(grad_output, input, None),
            None if of_bias is None else of_bias(grad_output, grad_output, None),
        )

    return gradients


def _of_input(ours: Maps, grad_output: Tensor, input: Tensor, weight: Tensor, asked: Asked) -> Pass:
    """The gradient of the input, of grad_output and weight."""
    last, convolution = suggest_channels_last(input, weight), asked.convolution
    if not asked.transposed:
        return _there(ours.prepare_grad_input(grad_output, weight, _size(input), convolution, last))
    compute = _there(ours.prepare_forward(grad_output, weight, None, convolution))
    if last == suggest_channels_last(grad_output, weight):
        return compute
    form = memory_format(last)
    return lambda grad_output, weight, _: compute(grad_output, weight, None).contiguous(memory_format=form)


def _of_weight(ours: Maps, grad_output: Tensor, input: Tensor, weight: Tensor, asked: Asked) -> Pass:
    """The gradient of the weight, of grad_output and input."""
    last, size, convolution = suggest_channels_last(input, weight), _size(weight), asked.convolution
    if asked.transposed:
        return _there(ours.prepare_grad_weight(input, grad_output, size, convolution, last))
    compute = _there(ours.prepare_grad_weight(grad_output, input, size, convolution, last))
    return lambda grad_output, source, _: compute(source, grad_output, None)


def _there(prepared: Pass | None) -> Pass:
    assert prepared is not None  # Operands have elements.
    return prepared


def _size(tensor: Tensor) -> Size:
    n, c, h, w = tensor.shape
    return n, c, h, w
