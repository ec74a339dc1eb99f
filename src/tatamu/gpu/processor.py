"""The GPU that a plan is for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch


@dataclass(frozen=True)
class Processor:
    """What tiles depend on.

    Attributes:
        name: as its driver has it.
        multiprocessors: how many programs run at the same time, at least.
    """

    name: str
    multiprocessors: int


NOMINAL = Processor("none", 132)
"""Planned for where a tensor is on no GPU: Triton's interpreter runs kernels on the CPU."""


@lru_cache(maxsize=64)
def processor_of(device: torch.device) -> Processor:
    """That of a device."""
    if device.type != "cuda":
        return NOMINAL
    properties = torch.cuda.get_device_properties(device)
    return Processor(properties.name, properties.multi_processor_count)
