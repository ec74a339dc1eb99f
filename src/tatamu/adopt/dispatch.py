"""torch's dispatcher: the kernels of 2-D convolutions on CPU and CUDA are ours while `is_on`.

`aten::convolution` of torch calls `aten::_convolution`, and so do traced programs; its derivative is
`aten::convolution_backward`. Both are ours from the first `tatamu.enable()` on, for good: another thread may
be on its way into a kernel at any time, and none may be taken away under it. Off, they hand every call on.
"""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import Library

from tatamu import launch, precision
from tatamu.adopt import calls, counting
from tatamu.adopt.arguments import Arguments, Left
from tatamu.adopt.locks import lock
from tatamu.autograd import eager
from tatamu.engine import reuse

_MOST_FOUND = 4096

_rounding = precision.rounding
_keys = eager.tensor_keys
_frozen, _seems_frozen = reuse.frozen, launch.seems_frozen

is_on = False
"""Whether calls are served. Read at each call; set by `adopt.switch` alone."""
devices: list[str] = []
"""Where the kernels are ours."""

_lock = lock()
_libraries: list[Library] = []


def install() -> None:
    """Make the kernels ours, once for the process."""
    with _lock:
        if _libraries:
            return
        library = Library("aten", "IMPL")  # type: ignore[no-untyped-call]  # torch's.
        _libraries.append(library)
        with warnings.catch_warnings():
            # torch warns that a kernel of its own is replaced, which is what is wanted.
            warnings.filterwarnings("ignore", "(?s).*overrid", UserWarning)
            for device in ("cpu",) if torch.version.cuda is None else ("cpu", "cuda"):
                _install(library, device)
                devices.append(device)


def _install(library: Library, device: str) -> None:
    key = device.upper()
    for name, make in (("_convolution", _forward), ("convolution_backward", _backward)):
        kernel = make(device, _torchs(f"aten::{name}", key))
        library.impl(name, kernel, key, allow_override=True)  # type: ignore[no-untyped-call]  # torch's.


def _torchs(name: str, key: str) -> Callable[..., Any]:
    """The kernel that torch has had so far."""
    call = torch.library.get_kernel(name, key).call_boxed
    keys = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))
    return functools.partial(call, keys)


# Each kernel finds by one look-up what computes a call like one before. All that it depends on is in the key:
# sizes, strides, dtypes, what the dispatcher knows of the tensors, their devices, all other arguments.


def _forward(device: str, torchs: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel of aten::_convolution; what follows the groups concerns cuDNN."""
    found: dict[object, calls.Forward | str] = {}

    def convolution(input: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Any:
        if not is_on:
            return torchs(input, weight, bias, *rest)
        stride, padding, dilation, transposed, output_padding, groups = rest[:6]
        key = (
            input.shape, input.stride(), input.dtype, _keys(input).raw_repr(), input.device,
            weight.shape, weight.stride(), weight.dtype, _keys(weight).raw_repr(), weight.device,
            None if bias is None else (
                bias.shape, bias.stride(), bias.dtype, _keys(bias).raw_repr(), bias.device
            ),
            tuple(stride), tuple(padding), tuple(dilation), transposed, tuple(output_padding), groups,
            _rounding(), _seems_frozen(weight) if _frozen else False,
        )  # fmt: skip
        compute = found.get(key)
        if compute is None:
            try:
                compute = calls.forward(device, input, weight, bias, Arguments(*rest[:6]))
            except Left as reason:
                compute = str(reason)
            _keep(found, key, compute)
        if isinstance(compute, str):
            counting.pass_on(compute)
            return torchs(input, weight, bias, *rest)
        counting.serve(counting.FORWARD)
        if counting.measuring is None:
            return compute(input, weight, bias)
        begin = time.perf_counter()
        output = compute(input, weight, bias)
        _measured(begin, counting.FORWARD, input, weight, rest)
        return output

    return convolution


def _backward(device: str, torchs: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel of aten::convolution_backward."""
    found: dict[object, calls.Backward | str] = {}

    def convolution_backward(
        grad_output: Tensor, input: Tensor, weight: Tensor, bias_sizes: Sequence[int] | None, *rest: Any
    ) -> Any:
        if not is_on:
            return torchs(grad_output, input, weight, bias_sizes, *rest)
        stride, padding, dilation, transposed, output_padding, groups, wanted = rest
        key = (
            input.shape, input.stride(), input.dtype, _keys(input).raw_repr(), input.device,
            weight.shape, weight.stride(), weight.dtype, _keys(weight).raw_repr(), weight.device,
            grad_output.shape, grad_output.stride(), grad_output.dtype, _keys(grad_output).raw_repr(),
            grad_output.device,
            tuple(stride), tuple(padding), tuple(dilation), transposed, tuple(output_padding), groups,
            tuple(wanted), _rounding(),
        )  # fmt: skip
        compute = found.get(key)
        if compute is None:
            try:
                compute = calls.backward(device, grad_output, input, weight, Arguments(*rest[:6]), wanted)
            except Left as reason:
                compute = str(reason)
            _keep(found, key, compute)
        if isinstance(compute, str):
            counting.pass_on(compute)
            return torchs(grad_output, input, weight, bias_sizes, *rest)
        counting.serve(counting.BACKWARD)
        if counting.measuring is None:
            return compute(grad_output, input, weight)
        begin = time.perf_counter()
        gradients = compute(grad_output, input, weight)
        _measured(begin, counting.BACKWARD, input, weight, rest)
        return gradients

    return convolution_backward


def _keep(found: dict[object, Any], key: object, compute: object) -> None:
    if len(found) >= _MOST_FOUND:
        found.clear()
    found[key] = compute


def _measured(begin: float, kind: str, input: Tensor, weight: Tensor, rest: Sequence[Any]) -> None:
    seconds = time.perf_counter() - begin
    stride, _, dilation, transposed, _, groups = rest[:6]
    case = counting.Case(
        kind, transposed, tuple(input.shape), tuple(weight.shape), tuple(stride), tuple(dilation), groups,
        str(input.dtype).removeprefix("torch."), input.device.type,
    )  # fmt: skip
    if counting.measuring is not None:
        counting.measuring.add(case, seconds)
