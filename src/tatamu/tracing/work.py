"""How much a step computes, and how tatamu would compute it."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import torch

from tatamu import launch, precision
from tatamu.geometry import Geometry
from tatamu.tracing.steps import Step, Value

_PRODUCTS = {
    "mm": ("self", "mat2"),
    "addmm": ("mat1", "mat2"),
    "bmm": ("self", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "mv": ("self", "vec"),
    "addmv": ("mat", "vec"),
    "dot": ("self", "tensor"),
}
"""The factors of products of matrices and vectors."""


def multiply_adds(step: Step) -> int:
    """Multiply-adds of convolutions, products of matrices and attention; of all else, none are counted.

    They are counted as torch's FlopCounter does, which takes each for two; products with padding count.
    """
    if step.geometry is not None:
        return step.geometry.macs
    name = step.operator.removeprefix("aten.").partition(".")[0]
    shapes = {key: it.shape for key, it in step.arguments.items() if isinstance(it, Value)}
    if name == "convolution":
        x, weight = shapes["input"], shapes["weight"]
        places = x if step.arguments["transposed"] else step.outputs[0].shape
        return x[0] * prod(places[2:]) * prod(weight)
    if name in _PRODUCTS:
        left, right = _PRODUCTS[name]
        return prod(shapes[left]) * (shapes[right][-1] if len(shapes[right]) > 1 else 1)
    if name.startswith("_scaled_dot_product"):
        keys, values = shapes["key"][-2], shapes["value"][-1]
        return prod(shapes["query"][:-1]) * keys * (shapes["query"][-1] + values)
    return 0


def plan(step: Step) -> str:
    """The technique by which tatamu would compute a convolution on this machine, on tensors in NCHW order.

    Empty for steps that are no 2-D convolution, for dtypes that tatamu does not take and for empty images.
    """
    value = step.arguments.get("input")
    if step.geometry is None or value is None or 0 in (*step.geometry.input_size, *step.geometry.output_size):
        return ""
    bias = step.arguments["bias"] is not None
    return _technique(step.geometry, value.dtype, bias, precision.get_precision())


@lru_cache(maxsize=4096)
def _technique(geometry: Geometry, dtype: torch.dtype, bias: bool, _: str) -> str:
    x, weight = (
        torch.empty(size, dtype=dtype, device="meta") for size in (geometry.input_size, geometry.weight_size)
    )
    added = torch.empty(geometry.out_channels, dtype=dtype, device="meta") if bias else None
    try:
        reason = launch.plans(x, weight, added, geometry.convolution)["forward"].reason
    except KeyError:  # A dtype that is not one of ours.
        return ""
    return reason.partition(":")[0].partition(" F(")[0]
