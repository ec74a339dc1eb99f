"""Kernels compiled for a GPU that is not here, with the arguments that they would be launched with."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from tatamu.gpu.lowering.common import Launch

_CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"


@dataclass(frozen=True)
class Compiled:
    """What the compilers made of a kernel.

    Attributes:
        registers: of one thread. spilled: instructions that put one aside, in memory.
        shared: bytes of shared memory of a program.
    """

    ptx: str
    registers: int
    spilled: int
    shared: int

    @property
    def multiplies(self) -> str:
        """'wgmma', 'mma' or 'fma': the instruction that products are made of."""
        for name in ("wgmma", "mma"):
            if f"{name}.mma_async" in self.ptx or f"{name}.sync.aligned.m" in self.ptx:
                return name
        return "fma"

    @property
    def copies_asynchronously(self) -> bool:
        """Whether tiles come from memory while others are multiplied."""
        return "cp.async" in self.ptx


class _Driver:
    """Stands in for a GPU's driver, as far as compiling asks for it."""

    def __init__(self, capability: int) -> None:
        self._target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return self._target.arch  # Kernels are kept by device.

    def get_current_stream(self, _device: int) -> int:
        return 0


@contextmanager
def target(capability: int) -> Iterator[None]:
    """Compile for GPUs of this capability: 80 is A100, 90 is H100."""
    before = driver._active
    driver.set_active(_Driver(capability))
    try:
        yield
    finally:
        driver._active = before


def compiled(it: Launch) -> Compiled:
    """Compile one launch, whose tensors may be on 'meta', for the `target` that is set."""
    kernel: Any = it.kernel.warmup(*it.arguments, **it.constants, **it.options, grid=(it.programs,))
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        command = [str(_CUOBJDUMP), "--dump-resource-usage", file.name]
        usage = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        command = [str(_CUOBJDUMP), "--dump-sass", file.name]
        needs_stack = "STACK:0 " not in usage
        code = (
            subprocess.run(command, check=True, capture_output=True, text=True).stdout if needs_stack else ""
        )
    # The kernel's own line; functions of libraries that it calls may have others.
    found = re.findall(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", usage)
    assert found, usage
    registers, *_ = map(int, found[-1])
    # A stack may also be there for functions that are called.
    return Compiled(kernel.asm["ptx"], registers, len(re.findall(r"\bSTL\b", code)), kernel.metadata.shared)
