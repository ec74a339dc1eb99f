"""What each pass should give: by the reference and by torch, both in float64, and how far off it may be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.cases import Operands
from tatamu import reference
from tatamu.geometry import Geometry
from tolerance import assert_within, bound

Results = dict[str, Tensor]


def exact(tensor: Tensor) -> Tensor:
    """The stored numbers in the judges' precision, lazy conjugates and signs carried out."""
    plain = tensor.resolve_conj().resolve_neg()
    if plain.is_complex():
        return plain.to(torch.complex128)
    return plain.to(torch.float64 if plain.is_floating_point() else torch.int64)


def bits(tensor: Tensor) -> Tensor:
    """The bytes of a tensor, in the order of its elements."""
    parts = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return parts.clone(memory_format=torch.contiguous_format).view(torch.uint8)


def padded(x: Tensor, geometry: Geometry) -> Tensor:
    """The input as torch pads it (integers as NumPy does: torch does not pad them in every mode)."""
    (top, bottom), (left, right) = geometry.padding
    mode = geometry.padding_mode
    if x.dtype is torch.int64:
        name = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
        widths = ((0, 0), (0, 0), (top, bottom), (left, right))
        return torch.from_numpy(np.pad(x.numpy(), widths, mode=name))  # type: ignore[call-overload]  # A mode by name.
    return functional.pad(x, (left, right, top, bottom), mode="constant" if mode == "zeros" else mode)


def torch_forward(geometry: Geometry, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """torch's own convolution, of an input that was padded before."""
    how = geometry.convolution
    return functional.conv2d(padded(x, geometry), w, b, how.stride, 0, how.dilation, how.groups)


def torch_results(geometry: Geometry, x: Tensor, w: Tensor, b: Tensor | None, gy: Tensor) -> Results:
    """All four passes by torch, in the dtype of the operands."""
    # Contiguous, because torch's own backward refuses some permuted weights.
    x, w = (t.clone(memory_format=torch.contiguous_format).requires_grad_() for t in (x, w))
    y = torch_forward(geometry, x, w, b)
    gx, gw = torch.autograd.grad(y, (x, w), gy)
    return {"forward": y.detach(), "grad_input": gx, "grad_weight": gw, "grad_bias": gy.sum((0, 2, 3))}


def reference_results(geometry: Geometry, x: Tensor, w: Tensor, b: Tensor | None, gy: Tensor) -> Results:
    """All four passes by the reference, in the dtype of the operands."""
    how = geometry.convolution
    return {
        "forward": torch.from_numpy(
            reference.forward(x.numpy(), w.numpy(), None if b is None else b.numpy(), how)
        ),
        "grad_input": torch.from_numpy(reference.grad_input(gy.numpy(), w.numpy(), geometry.input_size, how)),
        "grad_weight": torch.from_numpy(
            reference.grad_weight(gy.numpy(), x.numpy(), geometry.weight_size, how)
        ),
        "grad_bias": torch.from_numpy(reference.grad_bias(gy.numpy())),
    }


def limits(operands: Operands, expected: Results) -> Results:
    """The largest error of each element of each pass, from arithmetic alone (see `tolerance`)."""
    geometry, dtype = operands.geometry, operands.input.dtype
    numbers = [
        None if t is None else exact(t).abs()
        for t in (operands.input, operands.weight, operands.bias, operands.grad_output)
    ]
    ones = [None if t is None else torch.ones_like(t) for t in numbers]
    magnitudes = torch_results(geometry, *numbers)  # type: ignore[arg-type]  # The bias alone may be None.
    counts = torch_results(geometry, *ones)  # type: ignore[arg-type]  # The bias alone may be None.
    return {
        name: bound(dtype, int(counts[name].max()), magnitude, expected[name])
        for name, magnitude in magnitudes.items()
    }


def judgements(operands: Operands, *, with_reference: bool = True) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(pass, expected, limit), by each judge; `with_reference=False` spares its loops where they are long."""
    geometry = operands.geometry
    numbers = [
        None if t is None else exact(t)
        for t in (operands.input, operands.weight, operands.bias, operands.grad_output)
    ]
    by_torch = torch_results(geometry, *numbers)  # type: ignore[arg-type]  # The bias alone may be None.
    allowed = limits(operands, by_torch)
    judges = [by_torch]
    if with_reference:
        judges.append(reference_results(geometry, *numbers))  # type: ignore[arg-type]  # The bias alone may be None.
    for expected in judges:
        yield from ((name, expected[name], allowed[name]) for name in expected)


def assert_right(results: Results, operands: Operands, *, with_reference: bool = True) -> None:
    """Every result is within the limits of both judges."""
    for name, expected, limit in judgements(operands, with_reference=with_reference):
        if name in results:
            try:
                assert_within(exact(results[name]), expected, limit)
            except AssertionError as error:
                raise AssertionError(f"{name} of {operands.geometry}: {error}") from error
