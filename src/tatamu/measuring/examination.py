"""Whether tatamu works here: what it found on this machine, and a convolution that it computes."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np
import torch

from tatamu import reference
from tatamu.engine.runtime import cache, threads
from tatamu.engine.target import Target, host
from tatamu.errors import GpuError
from tatamu.geometry import Convolution
from tatamu.gpu import availability
from tatamu.measuring.machine import processor
from tatamu.nn import Conv2d

FINE, NOTICE, BROKEN = "fine", "notice", "broken"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: `FINE`; `NOTICE` where tatamu works, but not as well as it could; `BROKEN` where it does not.
    """

    name: str
    state: str
    text: str


def examine() -> list[Finding]:
    """Everything that is worth knowing when something does not work; compiles and runs a convolution."""
    parts: dict[str, Callable[[], tuple[str, str]]] = {
        "processor": _processor,
        "vector unit": _vector_unit,
        "threads": _threads,
        "cache": _cache,
        "torch": _torch,
        "llvmlite": _llvmlite,
        "GPU": _gpu,
        "a convolution": _convolution,
    }
    return [_found(name, look) for name, look in parts.items()]


def _found(name: str, look: Callable[[], tuple[str, str]]) -> Finding:
    try:
        return Finding(name, *look())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for.
        return Finding(name, BROKEN, f"{type(error).__name__}: {error}".splitlines()[0])


def _processor() -> tuple[str, str]:
    return FINE, f"{processor()}, this process may use {_count(Target.cores, 'core')}"


def _vector_unit() -> tuple[str, str]:
    target = host()
    registers = f"{target.registers} registers of {8 * target.vector_bytes} bits"
    dots = "multiplies pairs of bf16" if target.dots else "no instruction for pairs of bf16"
    return FINE, f"{target.name}, {registers}; {dots}"


def _threads() -> tuple[str, str]:
    wanted = _count(torch.get_num_threads(), "thread")
    if threads.find_pool() is None:
        return NOTICE, f"torch uses {wanted}; no OpenMP library was found behind it: convolutions use one"
    return FINE, f"{wanted}, of torch's OpenMP library {threads.pool_library() or ''}".rstrip()


def _cache() -> tuple[str, str]:
    folder, stored, refusal = cache.directory(), cache.stored(), cache.refusal()
    size = sum(status.st_size for _, status in stored) / 1e6
    text = f"{folder}: {_count(len(stored), 'compiled kernel')}, {size:.1f} of {cache.bound() / 1e6:.1f} MB"
    if refusal is not None:
        return NOTICE, f"{text}; {refusal}: kernels are compiled anew in every process"
    return FINE, text


def _torch() -> tuple[str, str]:
    return FINE, torch.__version__


def _llvmlite() -> tuple[str, str]:
    return FINE, f"{llvmlite.__version__}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}"


def _gpu() -> tuple[str, str]:
    if not torch.cuda.is_available():
        return FINE, "torch sees none; convolutions run on the CPU"
    name = torch.cuda.get_device_name()
    try:
        availability.maps()
    except GpuError as error:
        return NOTICE, f"{name}; {error}"
    return FINE, f"{name}, Triton {importlib.metadata.version('triton')}"


def _convolution() -> tuple[str, str]:
    """A layer's output and gradients, against the definition computed in float64."""
    generator = torch.Generator().manual_seed(0)
    layer = Conv2d(6, 8, 3, stride=2, padding=1, groups=2)
    x, gy = (torch.randn(size, generator=generator) for size in ((2, 6, 13, 11), (2, 8, 7, 6)))
    x.requires_grad_()
    start = time.perf_counter()
    y = layer(x)
    y.backward(gy)
    seconds = time.perf_counter() - start
    assert layer.bias is not None
    got = (y, x.grad, layer.weight.grad, layer.bias.grad)
    wide = [_wide(it) for it in (x, layer.weight, layer.bias, gy)]
    pairs = zip(*_exact(*wide), strict=True)
    worst = np.max([_error(it, *pair) for it, pair in zip(got, pairs, strict=True)])  # NaN where one is.
    text = f"output and gradients in {seconds * 1e3:.0f} ms, off by {worst:.1e} of the largest at most"
    return (FINE, text) if worst < 1e-5 else (BROKEN, text)


def _exact(x: Any, w: Any, b: Any, gy: Any) -> tuple[list[Any], list[Any]]:
    """Output and gradients, and the same of absolute values."""
    convolution = Convolution((2, 2), ((1, 1), (1, 1)), groups=2)
    return tuple(  # type: ignore[return-value]  # Two of them.
        [
            reference.forward(x, w, b, convolution),
            reference.grad_input(gy, w, x.shape, convolution),
            reference.grad_weight(gy, x, w.shape, convolution),
            reference.grad_bias(gy),
        ]
        for x, w, b, gy in ((x, w, b, gy), (abs(x), abs(w), abs(b), abs(gy)))
    )


def _error(got: torch.Tensor | None, exact: Any, magnitude: Any) -> float:
    assert got is not None
    return float(np.max(np.abs(_wide(got) - exact)) / np.max(magnitude))


def _wide(tensor: torch.Tensor) -> Any:
    return tensor.detach().double().numpy()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
