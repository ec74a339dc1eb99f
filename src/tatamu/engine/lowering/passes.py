"""The passes: which technique computes each of them.

Techniques are asked in order, and each answers with the lowered pass or says why it does not do it; the last
of them does everything, and alone sums in one order whatever the batch and the layouts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tatamu.engine.lowering import (
    depthwise,
    depthwise_weight,
    direct,
    few_channels,
    fully_connected,
    grad_weight,
    phases,
    planar,
    streamed_grad_weight,
    tapwise,
    winograd,
    winograd_grad_weight,
)
from tatamu.engine.lowering.common import Lowered, Operand
from tatamu.engine.spec import ElementType, Rounding
from tatamu.engine.target import Target
from tatamu.geometry import Geometry

_Technique = tuple[str, Callable[[], Lowered | str]]

_HIGHEST = "precision is 'highest'"
_REPEATABLE = "all others: sums are to be the same in any batch and layout"
_NOT_DEPTHWISE = "a group has several channels, or too few channels to fill a register, or complex ones"
_NOT_SHARED = "a group does not fit a register, or groups fill too little of it"
_FEW = "input channels fill a quarter of a register at most"
_NOT_STREAMED = "not float32 or float64, padding other than zeros, or few result channels"
_NOT_TAPWISE = "no dilation that puts many taps into the padding, or few channels"
_NO_PHASES = "no stride whose phases side by side fill registers"
_NOT_PLANAR = "few products or result channels, which leave registers half empty, or no planes"
_NOT_FEW = "a group of many channels, or which do not lie side by side in both input and output"
_NOT_FULLY_CONNECTED = "the kernel is not as large as the image, or they differ in memory order"


def _first(*techniques: _Technique) -> Lowered:
    passed_over: list[str] = []
    for name, lower in techniques:
        answer = lower()
        if not isinstance(answer, str):
            return replace(answer, passed_over=tuple(passed_over))
        passed_over.append(f"{name}: {answer}")
    raise AssertionError("the last technique does everything")


def _padded_by_zeros(geometry: Geometry) -> Geometry:
    """The same convolution. A mode that pads nothing is none: gradients are gathered with zeros around."""
    if geometry.padding_mode == "zeros" or any(map(any, geometry.padding)):
        return geometry
    return replace(geometry, padding_mode="zeros")


def _grouped(
    geometry: Geometry, element: ElementType, target: Target, serves: bool, lower: Callable[[], Lowered]
) -> tuple[list[_Technique], list[_Technique]]:
    """Groups of few channels: what is asked before Winograd's filters, and what after them.

    Where a register holds several groups, the filters' transforms have too few channels to pay for.
    """
    if geometry.groups == 1:
        return [], []
    technique: _Technique = "grouped", lambda: lower() if serves else _NOT_SHARED
    first = serves and depthwise.shares_registers(geometry, element, target)
    return ([technique], []) if first else ([], [technique])


def lower_forward(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    weight: Operand,
    bias_stride: int | None,
    result: Operand,
    *,
    rounding: Rounding = "high",
    frozen: bool = False,
) -> Lowered:
    """The forward pass. Strides in elements; ``bias_stride`` is None where there is no bias.

    ``frozen`` weights are packed beforehand where each task would pack its own; no bit depends on it.
    """
    geometry = _padded_by_zeros(geometry)
    operands = geometry, element, target, source, weight, bias_stride, result
    if rounding == "repeatable":
        return replace(direct.lower_forward(*operands, gathers=True), passed_over=(_REPEATABLE,))
    fits = fully_connected.fits(geometry, element, source, weight)
    alone = depthwise.serves(geometry, element, target)
    serves = depthwise.serves_groups(geometry, element, target, source, result)
    shared, whole = _grouped(geometry, element, target, serves, lambda: depthwise.lower_forward(*operands))
    return _first(
        ("depthwise", lambda: depthwise.lower_forward(*operands) if alone else _NOT_DEPTHWISE),
        *shared,
        (
            "fully connected",
            lambda: fully_connected.lower_forward(*operands) if fits else _NOT_FULLY_CONNECTED,
        ),
        ("winograd", lambda: _HIGHEST if rounding != "high" else winograd.lower_forward(*operands)),
        *whole,
        ("tap by tap", lambda: tapwise.lower_forward(*operands) or _NOT_TAPWISE),
        ("planar", lambda: planar.lower_forward(*operands) or _NOT_PLANAR),
        ("planar, of scalars", lambda: few_channels.lower_forward(*operands) or _NOT_FEW),
        ("direct", lambda: direct.lower_forward(*operands, frozen=frozen)),
    )


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
    *,
    rounding: Rounding = "high",
) -> Lowered:
    """The gradient of the input."""
    geometry = _padded_by_zeros(geometry)
    operands = geometry, element, target, grad_output, weight, result
    if rounding == "repeatable":
        return replace(direct.lower_grad_input(*operands, gathers=True), passed_over=(_REPEATABLE,))
    fits = fully_connected.gradient_fits(geometry, element, weight, result)
    alone = depthwise.serves_grad_input(geometry, element, target)
    serves = geometry.padding_mode == "zeros"
    serves = serves and depthwise.serves_groups_gradients(geometry, element, target, grad_output, result)
    shared, whole = _grouped(geometry, element, target, serves, lambda: depthwise.lower_grad_input(*operands))
    return _first(
        ("depthwise", lambda: depthwise.lower_grad_input(*operands) if alone else _NOT_DEPTHWISE),
        *shared,
        (
            "fully connected",
            lambda: fully_connected.lower_grad_input(*operands) if fits else _NOT_FULLY_CONNECTED,
        ),
        ("winograd", lambda: _HIGHEST if rounding != "high" else winograd.lower_grad_input(*operands)),
        *whole,
        ("tap by tap", lambda: tapwise.lower_grad_input(*operands) or _NOT_TAPWISE),
        ("phases", lambda: phases.lower_grad_input(*operands) or _NO_PHASES),
        ("planar", lambda: planar.lower_grad_input(*operands) or _NOT_PLANAR),
        ("direct", lambda: direct.lower_grad_input(*operands)),
    )


def lower_grad_weight(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    grad_output: Operand,
    result: Operand,
    *,
    rounding: Rounding = "high",
) -> Lowered:
    """The gradient of the weight; ``source`` is the input."""
    geometry = _padded_by_zeros(geometry)
    operands = geometry, element, target, source, grad_output, result
    fits = fully_connected.gradient_fits(geometry, element, source, result)
    alone = depthwise.serves(geometry, element, target)
    serves = depthwise.serves_groups_gradients(geometry, element, target, grad_output, source)
    shared, whole = _grouped(
        geometry, element, target, serves, lambda: depthwise_weight.lower_grad_weight(*operands)
    )
    few = _FEW if streamed_grad_weight.has_few_channels(geometry, element, target) else ""
    return _first(
        ("depthwise", lambda: depthwise_weight.lower_grad_weight(*operands) if alone else _NOT_DEPTHWISE),
        *shared,
        (
            "fully connected",
            lambda: fully_connected.lower_grad_weight(*operands) if fits else _NOT_FULLY_CONNECTED,
        ),
        (
            "winograd",
            lambda: (
                _HIGHEST if rounding != "high" else few or winograd_grad_weight.lower_grad_weight(*operands)
            ),
        ),
        *whole,
        ("streamed", lambda: streamed_grad_weight.lower_grad_weight(*operands) or _NOT_STREAMED),
        ("direct", lambda: grad_weight.lower_grad_weight(*operands)),
    )


lower_grad_bias = grad_weight.lower_grad_bias
