"""Where the GPU's kernels are tested: on a GPU if there is one, else in Triton's interpreter, if that is on.

Triton decides between the two when a kernel's file is imported, so `make test` runs this folder twice: as the
rest, and with TRITON_INTERPRET=1.
"""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    collect_ignore_glob = [
        "test_adopt.py",
        "test_device.py",
        "test_launch.py",
        "test_ahead.py",
        "test_operators.py",
        "test_plans.py",
        "test_tuning.py",
    ]

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

if INTERPRETED:  # Triton is there.
    from gpu.interpreted import mend

    mend()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here, and say why."""
    for item in items:
        if item.get_closest_marker("kernels") and not (INTERPRETED or torch.cuda.is_available()):
            item.add_marker(pytest.mark.skip(reason="no GPU; with TRITON_INTERPRET=1 these run on the CPU"))
        if item.get_closest_marker("on_gpu") and (INTERPRETED or not torch.cuda.is_available()):
            item.add_marker(pytest.mark.skip(reason="no GPU"))
        if item.get_closest_marker("compiled") and INTERPRETED:
            item.add_marker(pytest.mark.skip(reason="nothing is compiled in the interpreter"))
