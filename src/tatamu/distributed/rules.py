"""What DTensor does with the operators: how each operand has to lie, the computation of a part, the result.

torch.library has a place for this, a rule for an operator and a subclass of tensors. (DTensor's own table of
strategies does not do: it knows no operator that takes sizes, or that exchanges rows.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.tensor import DTensor

from tatamu import errors, validate
from tatamu.autograd.schema import (
    CONVOLUTION,
    GRAD_BIAS,
    GRAD_INPUT,
    GRAD_WEIGHT,
    library,
    plain,
    resolved,
    size_of,
    tensor_of,
)
from tatamu.distributed.halo import Halo
from tatamu.distributed.rows import Window, windows
from tatamu.distributed.splitting import Split, split
from tatamu.geometry import Convolution, Geometry
from tatamu.layout import memory_format, suggest_channels_last

_Operands = Sequence[DTensor | None]


def register() -> None:
    """Give torch the rules."""
    for operator, rule in (
        (CONVOLUTION, _convolution),
        (GRAD_INPUT, _grad_input),
        (GRAD_WEIGHT, _grad_weight),
        (GRAD_BIAS, _grad_bias),
    ):
        torch.library.register_torch_dispatch(
            operator._name, DTensor, partial(_dispatched, rule), lib=library
        )


def _dispatched(
    rule: Callable[..., DTensor], _class: Any, _operator: Any, _types: Any, arguments: Any, _named: Any
) -> DTensor:
    # Differentiation is a level further up, in terms of these operators.
    with torch.no_grad():
        return rule(*arguments)


def _convolution(input: DTensor, weight: DTensor, bias: DTensor | None, *values: Any) -> DTensor:
    _check(input=input, weight=weight, bias=bias)
    whole = _checked(input.shape, weight.shape, None if bias is None else bias.shape, values)
    geometry = Geometry.of(size_of(input.shape), size_of(weight.shape), whole)
    found = _split("convolution", (input, weight, bias), whole.groups)
    x, w, b = _parts((input, weight, bias), found)
    assert x is not None
    assert w is not None
    here = _here(whole, found)
    if found.rows is not None:
        halo, window, group = _halo(geometry, input, found.rows)
        x, here = halo.gather(x, group), _within(here, window)
        if not window.reads:
            part = x.new_empty(x.shape[0], w.shape[0], 0, geometry.output_size[3])
            return _result(part, geometry.output_size, input, found, suggest_channels_last(input, weight))
    if w.shape[0] == 0:  # More processes than output channels.
        part = x.new_empty(x.shape[0], 0, *geometry.output_size[2:])
    else:
        part = tensor_of(CONVOLUTION(x, w, b, *plain(here)))
    return _result(part, geometry.output_size, input, found, suggest_channels_last(input, weight))


def _grad_input(grad_output: DTensor, weight: DTensor, input_size: Sequence[int], *rest: Any) -> DTensor:
    *values, channels_last = rest
    _check(grad_output=grad_output, weight=weight)
    whole = _checked(input_size, weight.shape, None, values)
    geometry = Geometry.of(size_of(input_size), size_of(weight.shape), whole)
    _check_grad_output(grad_output, geometry)
    found = _split("grad_input", (grad_output, weight), whole.groups)
    gy, w = _parts((grad_output, weight), found)
    assert gy is not None
    assert w is not None
    here = _here(whole, found)
    size = [gy.shape[0], input_size[1] // found.group_parts, *input_size[2:]]
    halo = group = None
    if found.rows is not None:
        halo, window, group = _halo(geometry, grad_output, found.rows)
        here, size[2] = _within(here, window), len(window.reads)
    if w.shape[0] == 0 or gy.shape[2] == 0:
        part = gy.new_zeros(size)
    else:
        part = tensor_of(GRAD_INPUT(gy, w, size, *plain(here), channels_last))
    if halo is not None and group is not None:
        part = halo.scatter(part, group)
    return _result(part, input_size, grad_output, found, channels_last)


def _grad_weight(grad_output: DTensor, input: DTensor, weight_size: Sequence[int], *rest: Any) -> DTensor:
    *values, channels_last = rest
    _check(grad_output=grad_output, input=input)
    whole = _checked(input.shape, weight_size, None, values)
    geometry = Geometry.of(size_of(input.shape), size_of(weight_size), whole)
    _check_grad_output(grad_output, geometry)
    found = _split("grad_weight", (grad_output, input), whole.groups)
    gy, x = _parts((grad_output, input), found)
    assert gy is not None
    assert x is not None
    here = _here(whole, found)
    size = [gy.shape[1], *weight_size[1:]]
    if found.rows is not None:
        halo, window, group = _halo(geometry, input, found.rows)
        x, here = halo.gather(x, group), _within(here, window)
    if gy.shape[1] == 0 or gy.shape[2] == 0:
        part = gy.new_zeros(size)
    else:
        part = tensor_of(GRAD_WEIGHT(gy, x, size, *plain(here), channels_last))
    return _result(part, weight_size, grad_output, found, channels_last)


def _grad_bias(grad_output: DTensor) -> DTensor:
    found = _split("grad_bias", (grad_output,), 1)
    (gy,) = _parts((grad_output,), found)
    return _result(tensor_of(GRAD_BIAS(gy)), grad_output.shape[1:2], grad_output, found, False)


# ---- What the rules share.


def _check(**operands: object) -> None:
    """Check that all operands are DTensors, on one mesh.

    Raises:
        DistributedOperandsError: they are not.
    """
    given = {name: it for name, it in operands.items() if it is not None}
    for name, it in given.items():
        if not isinstance(it, DTensor):
            raise errors.DistributedOperandsError.of_mixture(name, tuple(given))
    meshes = {name: it.device_mesh for name, it in given.items() if isinstance(it, DTensor)}
    (first, mesh), *others = meshes.items()
    for name, other in others:
        if other != mesh:
            raise errors.DistributedOperandsError.of_meshes(first, f"{mesh}", name, f"{other}")


def _checked(
    input_size: Sequence[int],
    weight_size: Sequence[int],
    bias_size: Sequence[int] | None,
    values: Sequence[Any],
) -> Convolution:
    given = resolved(*values)
    return validate.resolve(
        tuple(input_size), tuple(weight_size), bias_size, given.stride, given.padding, given.dilation,
        given.groups, given.padding_mode,
    )  # fmt: skip


def _check_grad_output(grad_output: DTensor, geometry: Geometry) -> None:
    if tuple(grad_output.shape) != geometry.output_size:
        raise errors.GradOutputSizeError.of(grad_output.shape, geometry.output_size)


def _split(name: str, operands: _Operands, groups: int) -> Split:
    given = [it for it in operands if it is not None]
    mesh = given[0].device_mesh
    sizes = tuple(mesh.size(dimension) for dimension in range(mesh.ndim))
    return split(name, [it.placements for it in given], sizes, groups)


def _parts(operands: _Operands, found: Split) -> list[Tensor | None]:
    """This process's part of each operand, once they lie as the split wants them."""
    parts: list[Tensor | None] = []
    for operand, placements in zip(operands, found.operands, strict=False):  # There may be no bias.
        if operand is None:
            parts.append(None)
            continue
        part = operand.redistribute(placements=placements).to_local()
        parts.append(part.wait() if isinstance(part, AsyncCollectiveTensor) else part)
    return parts + [None] * (len(operands) - len(parts))


def _here(whole: Convolution, found: Split) -> Convolution:
    """The convolution of a part: of fewer groups, where they are divided."""
    return Convolution(
        whole.stride, whole.padding, whole.dilation, whole.groups // found.group_parts, whole.padding_mode
    )


def _within(here: Convolution, window: Window) -> Convolution:
    """The convolution of the rows of a window."""
    padding = (window.before, window.after), here.padding[1]
    return Convolution(here.stride, padding, here.dilation, here.groups, here.padding_mode)


def _halo(geometry: Geometry, operand: DTensor, dimension: int) -> tuple[Halo, Window, ProcessGroup]:
    """The exchange of rows along a dimension of the mesh, this process's window, and the processes."""
    group = operand.device_mesh.get_group(dimension)
    return *_planned(geometry, group.size(), group.rank()), group


@lru_cache(maxsize=256)
def _planned(geometry: Geometry, parts: int, rank: int) -> tuple[Halo, Window]:
    every = windows(geometry.rows, geometry.padding_mode, parts)
    return Halo(geometry.rows.size, every, rank), every[rank]


def _result(part: Tensor, size: Sequence[int], like: DTensor, found: Split, channels_last: bool) -> DTensor:
    if part.dim() == 4:
        part = part.contiguous(memory_format=memory_format(channels_last))
    stride = torch.empty(
        tuple(size), device="meta", memory_format=memory_format(channels_last and len(size) == 4)
    ).stride()
    return DTensor.from_local(
        part, like.device_mesh, found.result, run_check=False, shape=torch.Size(size), stride=stride
    )
