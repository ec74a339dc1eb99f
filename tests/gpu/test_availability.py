"""What a program without a GPU, or without Triton, notices of the GPU's kernels."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

import pytest
import torch

import children
import tatamu
from tatamu import errors
from tatamu.gpu import availability


@pytest.fixture(autouse=True)
def _found_out_anew() -> Iterator[None]:
    availability.maps.cache_clear()
    yield
    availability.maps.cache_clear()


def test_importing_and_computing_on_the_cpu_imports_no_triton() -> None:
    children.run("""
        import sys, torch, tatamu
        tatamu.Conv2d(2, 3, 3)(torch.ones(1, 2, 4, 4)).sum().backward()
        assert not [name for name in sys.modules if name.startswith("tatamu.gpu.") and "avail" not in name]
    """)


def version(monkeypatch: pytest.MonkeyPatch, installed: str | None) -> None:
    def of(package: str) -> str:
        if installed is None or package != "triton":
            raise importlib.metadata.PackageNotFoundError(package)
        return installed

    monkeypatch.setattr(importlib.metadata, "version", of)


def test_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    version(monkeypatch, None)
    with pytest.raises(errors.GpuError, match=r"Triton, which is not installed: pip install 'triton>=3\.6'"):
        availability.maps()


def test_with_an_old_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    version(monkeypatch, "3.5.1")
    with pytest.raises(errors.GpuError, match=r"take Triton 3\.6 or newer, and Triton 3\.5\.1 is installed"):
        availability.maps()


def test_on_gpus_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "7.0")
    with pytest.raises(errors.GpuError, match=r"NVIDIA's GPUs, and this torch is for ROCm 7\.0"):
        availability.maps()


def test_sizes_and_strides_are_known_without_a_gpu() -> None:
    with torch._subclasses.FakeTensorMode():  # type: ignore[no-untyped-call]  # torch's.
        x = torch.empty(2, 4, 5, 6, device="cuda", memory_format=torch.channels_last)
        y = tatamu.conv2d(x, torch.empty(8, 4, 3, 3, device="cuda"), stride=2)
        assert (y.shape, y.device.type) == ((2, 8, 2, 2), "cuda")
        assert y.is_contiguous(memory_format=torch.channels_last)
