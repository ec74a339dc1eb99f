"""torch's dispatcher: the kernels of 2-D convolutions on CPU and CUDA are ours while `switch` is on.

`aten::convolution` of torch calls `aten::_convolution`, and so do traced programs; its derivative is
`aten::convolution_backward`. Both are ours from the first `tatamu.enable()` on, for good: another thread may
be on its way into a kernel at any time, and none may be taken away under it. Off, they hand every call on.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import Library

from tatamu import launch, precision
from tatamu.adopt import calls, counting, maps
from tatamu.adopt.arguments import Arguments, Left
from tatamu.autograd import eager
from tatamu.engine import reuse
from tatamu.errors import GpuError

_MOST_FOUND = 4096

_rounding = precision.rounding
_keys = eager.tensor_keys
_frozen, _seems_frozen = reuse.frozen, launch.seems_frozen

is_on = False
"""Whether calls are served. Read at each call; set by `adopt.switch` alone."""

_lock = threading.Lock()
_libraries: list[Library] = []
devices: dict[str, str] = {}
"""'cpu' and 'cuda', where ours are installed: empty, or why all calls there are torch's nevertheless."""


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
            _install(library, "cpu", "CPU")
            if torch.version.cuda is not None:
                _install(library, "cuda", "CUDA")


def _install(library: Library, device: str, key: str) -> None:
    obstacle = ""
    try:
        ours = maps.of(device)
    except GpuError as error:
        obstacle = str(error)
    else:
        for name, make in (("_convolution", _forward), ("convolution_backward", _backward)):
            kernel = make(device, ours, _torchs(f"aten::{name}", key))
            library.impl(name, kernel, key, allow_override=True)  # type: ignore[no-untyped-call]  # torch's.
    devices[device] = obstacle


def _torchs(name: str, key: str) -> Callable[..., Any]:
    """The kernel that torch has had so far."""
    found = torch.library.get_kernel(name, key)
    keys = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))
    return lambda *given: found.call_boxed(keys, *given)


def _forward(device: str, ours: maps.Maps, torchs: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel of aten::_convolution; what follows the groups concerns cuDNN."""
    found: dict[object, calls.Forward | str] = {}

    def convolution(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        transposed: bool,
        output_padding: Sequence[int],
        groups: int,
        *cudnn: bool,
    ) -> Any:
        given = stride, padding, dilation, transposed, output_padding, groups
        if not is_on:
            return torchs(input, weight, bias, *given, *cudnn)
        # All that a kernel depends on: sizes, strides, dtypes, and what the dispatcher knows of the tensors.
        key = (
            input.shape, input.stride(), input.dtype, _keys(input).raw_repr(), input.device,
            weight.shape, weight.stride(), weight.dtype, _keys(weight).raw_repr(), weight.device,
            None if bias is None else (
                bias.shape, bias.stride(), bias.dtype, _keys(bias).raw_repr(), bias.device
            ),
            *stride, *padding, *dilation, *output_padding, transposed, groups, len(stride), len(padding),
            len(dilation), _rounding(), _seems_frozen(weight) if _frozen else False,
        )  # fmt: skip
        compute = found.get(key)
        if compute is None:
            if len(found) >= _MOST_FOUND:
                found.clear()
            try:
                compute = calls.forward(ours, device, input, weight, bias, Arguments(*given))
            except Left as reason:
                compute = str(reason)
            found[key] = compute
        if isinstance(compute, str):
            counting.pass_on(compute)
            return torchs(input, weight, bias, *given, *cudnn)
        counting.serve(counting.FORWARD)
        costs = counting.measuring
        if costs is None:
            return compute(input, weight, bias)
        begin = time.perf_counter()
        output = compute(input, weight, bias)
        costs.add(_case(counting.FORWARD, input, weight, given), time.perf_counter() - begin)
        return output

    return convolution


def _backward(device: str, ours: maps.Maps, torchs: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel of aten::convolution_backward."""
    found: dict[object, calls.Backward | str] = {}

    def convolution_backward(
        grad_output: Tensor,
        input: Tensor,
        weight: Tensor,
        bias_sizes: Sequence[int] | None,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        transposed: bool,
        output_padding: Sequence[int],
        groups: int,
        wanted: Sequence[bool],
    ) -> Any:
        given = stride, padding, dilation, transposed, output_padding, groups
        if not is_on:
            return torchs(grad_output, input, weight, bias_sizes, *given, wanted)
        key = (
            input.shape, input.stride(), input.dtype, _keys(input).raw_repr(), input.device,
            weight.shape, weight.stride(), weight.dtype, _keys(weight).raw_repr(), weight.device,
            grad_output.shape, grad_output.stride(), grad_output.dtype, _keys(grad_output).raw_repr(),
            grad_output.device,
            *stride, *padding, *dilation, *output_padding, *wanted, transposed, groups, len(stride),
            len(padding), len(dilation), _rounding(),
        )  # fmt: skip
        compute = found.get(key)
        if compute is None:
            if len(found) >= _MOST_FOUND:
                found.clear()
            try:
                compute = calls.backward(ours, device, grad_output, input, weight, Arguments(*given), wanted)
            except Left as reason:
                compute = str(reason)
            found[key] = compute
        if isinstance(compute, str):
            counting.pass_on(compute)
            return torchs(grad_output, input, weight, bias_sizes, *given, wanted)
        counting.serve(counting.BACKWARD)
        costs = counting.measuring
        if costs is None:
            return compute(grad_output, input, weight)
        begin = time.perf_counter()
        gradients = compute(grad_output, input, weight)
        costs.add(_case(counting.BACKWARD, input, weight, given), time.perf_counter() - begin)
        return gradients

    return convolution_backward


def _case(kind: str, input: Tensor, weight: Tensor, given: tuple[Any, ...]) -> counting.Case:
    stride, _, dilation, transposed, _, groups = given
    return counting.Case(
        kind, transposed, tuple(input.shape), tuple(weight.shape), tuple(stride), tuple(dilation), groups,
        str(input.dtype).removeprefix("torch."), input.device.type,
    )  # fmt: skip
