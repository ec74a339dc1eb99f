"""The passes: which technique computes each of them."""

from __future__ import annotations

from tatamu.engine.lowering import direct, grad_weight, winograd, winograd_grad_weight
from tatamu.engine.lowering.common import Lowered, Operand
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target
from tatamu.geometry import Geometry


def lower_forward(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    weight: Operand,
    bias_stride: int | None,
    result: Operand,
) -> Lowered:
    """The forward pass. Strides in elements; ``bias_stride`` is None where there is no bias."""
    operands = source, weight, bias_stride, result
    tiled = winograd.lower_forward(geometry, element, target, *operands)
    return tiled or direct.lower_forward(geometry, element, target, *operands)


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
) -> Lowered:
    """The gradient of the input."""
    operands = grad_output, weight, result
    tiled = winograd.lower_grad_input(geometry, element, target, *operands)
    return tiled or direct.lower_grad_input(geometry, element, target, *operands)


def lower_grad_weight(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    grad_output: Operand,
    result: Operand,
) -> Lowered:
    """The gradient of the weight; ``source`` is the input."""
    operands = source, grad_output, result
    tiled = winograd_grad_weight.lower_grad_weight(geometry, element, target, *operands)
    return tiled or grad_weight.lower_grad_weight(geometry, element, target, *operands)


lower_grad_bias = grad_weight.lower_grad_bias
