"""The passes: which technique computes each of them.

With ``highest`` precision each result is a sum of the products of its definition.
"""

from __future__ import annotations

from tatamu.engine.lowering import (
    direct,
    fully_connected,
    grad_weight,
    phases,
    planar,
    winograd,
    winograd_grad_weight,
)
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
    *,
    highest: bool = False,
) -> Lowered:
    """The forward pass. Strides in elements; ``bias_stride`` is None where there is no bias."""
    if fully_connected.fits(geometry, element, source, weight):
        return fully_connected.lower_forward(geometry, element, target, source, weight, bias_stride, result)
    operands = source, weight, bias_stride, result
    tiled = None if highest else winograd.lower_forward(geometry, element, target, *operands)
    tiled = tiled or planar.lower_forward(geometry, element, target, *operands)
    return tiled or direct.lower_forward(geometry, element, target, *operands)


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
    *,
    highest: bool = False,
) -> Lowered:
    """The gradient of the input."""
    if fully_connected.gradient_fits(geometry, element, weight, result):
        return fully_connected.lower_grad_input(geometry, element, target, grad_output, weight, result)
    operands = grad_output, weight, result
    tiled = None if highest else winograd.lower_grad_input(geometry, element, target, *operands)
    tiled = tiled or phases.lower_grad_input(geometry, element, target, *operands)
    tiled = tiled or planar.lower_grad_input(geometry, element, target, *operands)
    return tiled or direct.lower_grad_input(geometry, element, target, *operands)


def lower_grad_weight(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    grad_output: Operand,
    result: Operand,
    *,
    highest: bool = False,
) -> Lowered:
    """The gradient of the weight; ``source`` is the input."""
    if fully_connected.gradient_fits(geometry, element, source, result):
        return fully_connected.lower_grad_weight(geometry, element, target, source, grad_output, result)
    operands = source, grad_output, result
    tiled = None if highest else winograd_grad_weight.lower_grad_weight(geometry, element, target, *operands)
    return tiled or grad_weight.lower_grad_weight(geometry, element, target, *operands)


lower_grad_bias = grad_weight.lower_grad_bias
