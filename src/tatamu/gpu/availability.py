"""Whether this program can compute on a GPU, and what is missing where it cannot: said without Triton."""

from __future__ import annotations

import importlib.metadata
from functools import lru_cache
from typing import Protocol, cast

import torch
from torch import Tensor

from tatamu.errors import GpuError
from tatamu.geometry import Convolution

Size = tuple[int, int, int, int]
_LEAST_TRITON = (3, 6)
_PACKAGES = ("triton", "triton-windows")


class Maps(Protocol):
    """The four maps on tensors of one kind of device: `tatamu.launch`, or `tatamu.gpu.launch`."""

    def forward(self, input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> Tensor:
        """The output."""

    def grad_input(
        self,
        grad_output: Tensor,
        weight: Tensor,
        input_size: Size,
        convolution: Convolution,
        channels_last: bool,
    ) -> Tensor:
        """The gradient of the input."""

    def grad_weight(
        self,
        grad_output: Tensor,
        input: Tensor,
        weight_size: Size,
        convolution: Convolution,
        channels_last: bool,
    ) -> Tensor:
        """The gradient of the weight."""

    def grad_bias(self, grad_output: Tensor) -> Tensor:
        """The gradient of the bias."""


@lru_cache(maxsize=1)
def maps() -> Maps:
    """Those on a GPU, whose kernels are written in Triton.

    Raises:
        GpuError: Triton is missing or too old, or torch's GPUs are not NVIDIA's.
    """
    if torch.version.hip is not None:
        raise GpuError.of_vendor(f"ROCm {torch.version.hip}")
    version = _triton()
    if version is None:
        raise GpuError.of_missing(_least())
    if _numbers(version) < _LEAST_TRITON:
        raise GpuError.of_old(version, _least())
    from tatamu.gpu import launch  # Imports Triton, which takes a while.  # noqa: PLC0415

    return cast(Maps, launch)


def _triton() -> str | None:
    """Triton's version."""
    for package in _PACKAGES:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # noqa: PERF203  # Two of them.
            continue
    return None


def _least() -> str:
    return ".".join(map(str, _LEAST_TRITON))


def _numbers(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)
