"""The passes: which technique computes each of them."""

from __future__ import annotations

from tatamu.engine.lowering import depthwise, depthwise_weight, direct, grad_weight
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
    if depthwise.serves(geometry, element, target):
        return depthwise.lower_forward(geometry, element, target, source, weight, bias_stride, result)
    return direct.lower_forward(geometry, element, target, source, weight, bias_stride, result)


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
) -> Lowered:
    """The gradient of the input."""
    if depthwise.serves_grad_input(geometry, element, target):
        return depthwise.lower_grad_input(geometry, element, target, grad_output, weight, result)
    return direct.lower_grad_input(geometry, element, target, grad_output, weight, result)


def lower_grad_weight(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    grad_output: Operand,
    result: Operand,
) -> Lowered:
    """The gradient of the weight; ``source`` is the input."""
    if depthwise.serves(geometry, element, target):
        return depthwise_weight.lower_grad_weight(geometry, element, target, source, grad_output, result)
    return grad_weight.lower_grad_weight(geometry, element, target, source, grad_output, result)


lower_grad_bias = grad_weight.lower_grad_bias
