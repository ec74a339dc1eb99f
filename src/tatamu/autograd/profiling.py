"""Names in a profile for the short way to the kernels.

Operators have theirs from torch's dispatcher, which is not asked on that way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor
from torch._C._profiler import _RecordFunctionFast
from torch.autograd import profiler

Pass = Callable[..., Tensor]


def named(name: str, compute: Pass, *operands: Any) -> Tensor:
    """What ``compute`` makes of its operands, in a profile under the operator's name, with their sizes."""
    if not profiler._is_profiler_enabled:
        return compute(*operands)
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    with _RecordFunctionFast(f"tatamu::{name}", tensors):
        return compute(*operands)


def gradients(passes: tuple[Pass | None, Pass | None, Pass | None]) -> tuple[Pass | None, ...]:
    """Those that compute the gradients of input, weight and bias, each under its operator's name."""
    names = "grad_input", "grad_weight", "grad_bias"
    return tuple(
        None if compute is None else partial(named, name, compute)
        for name, compute in zip(names, passes, strict=True)
    )
