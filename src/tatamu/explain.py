"""How a layer would be computed, in words."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from torch import Tensor
from torch.nn import Module

from tatamu import freezing, launch, validate
from tatamu.autograd import operands
from tatamu.engine.lowering.common import Lowered
from tatamu.fused import FusedConv2d
from tatamu.geometry import Convolution, Geometry
from tatamu.gpu import availability
from tatamu.nn import Conv2d

__all__ = ["explain"]

_PASSES = {
    "forward": "forward",
    "grad_input": "gradient of the input",
    "grad_weight": "gradient of the weight",
}


def explain(layer: Module, input: Tensor | None = None) -> str:
    """Say how a layer computes an input, and its gradients; nothing is computed or measured.

    Of a model that `tatamu.freeze` returned, without an input: what was fused with each layer, and what was
    not and why.

    For each pass: the technique with its tiles and blocks; those that were passed over, each with its reason;
    multiply-adds, the least bytes that must be moved, and their ratio (the intensity: above the ratio of a
    machine's arithmetic to its memory's speed, arithmetic is the limit); memory beyond the result. On a GPU:
    the kernel, its tile and how many programs run.

    Args:
        layer: a `Conv2d`; without an input, a frozen model.
        input: (N, C, H, W) or (C, H, W); its sizes, strides and dtype count, its numbers do not.

    Returns:
        Several lines, to be printed.

    Raises:
        TatamuError: what the layer would raise for such an input.
    """
    if input is None or not isinstance(layer, Conv2d):
        return freezing.report(layer)
    weight, bias = layer.weight, layer.bias
    operands.check_kind(input, weight, bias)
    convolution = validate.resolve(
        input.shape,
        weight.shape,
        None if bias is None else bias.shape,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        layer.padding_mode,
    )
    operands.check_dtypes(input, weight, bias)
    batch = input if input.dim() == 4 else input.unsqueeze(0)
    geometry = Geometry.of(batch.shape, weight.shape, convolution)  # type: ignore[arg-type]  # Four each.
    if 0 in (batch.numel(), weight.numel()):
        return "Sums over nothing: the output is zero, and no kernel runs."
    lines = [f"{layer}", f"{_size(geometry.input_size)} → {_size(geometry.output_size)}, {input.dtype}"]
    if input.device.type == "cuda":
        return "\n".join([*lines, *_on_gpu(batch, weight, convolution)])
    item, has_bias = input.element_size(), bias is not None
    for name, lowered in launch.plans(batch, weight, bias, convolution).items():
        lines += ["", f"{_PASSES[name]}: {lowered.reason}"]
        if name == "forward" and isinstance(layer, FusedConv2d) and (fused := layer.fused()):
            lines += [f"  in the same kernel: {', '.join(fused)}"]
        lines += [f"  passed over: {reason}" for reason in lowered.passed_over]
        lines += [f"  {_work(lowered, geometry.bytes_moved(item, has_bias and name == 'forward'))}"]
        lines += [f"  {_memory(lowered, prod(geometry.weight_size) * item)}"]
    return "\n".join(lines)


def _on_gpu(batch: Tensor, weight: Tensor, convolution: Convolution) -> Iterator[str]:
    availability.maps()  # Says what is missing.
    from tatamu.gpu import plans  # Imports Triton, which takes a while.  # noqa: PLC0415

    for name, words in plans.plans(batch, weight, convolution).items():
        yield f"\n{_PASSES[name]}: {words}"


def _size(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def _work(lowered: Lowered, moved: int) -> str:
    flops = 2 * lowered.operations
    return (
        f"{lowered.operations / 1e6:,.3g} million multiply-adds; at least {_bytes(moved)} moved; "
        f"{flops / moved:.3g} operations a byte"
    )


def _memory(lowered: Lowered, weight: int) -> str:
    memory = f"memory: {_bytes(lowered.scratch_bytes)} for each thread"
    if not lowered.shared_bytes:
        return memory
    if lowered.packing is None:
        return f"{memory}; {_bytes(lowered.shared_bytes)} for all"
    times = lowered.shared_bytes / weight
    return f"{memory}; transformed weights {_bytes(lowered.shared_bytes)}, {times:.1f} times the weight"


def _bytes(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{count / (1 << 10):.1f} KiB"
