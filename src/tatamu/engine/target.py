"""The machine that kernels are generated for: vector width, registers, caches."""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm

from tatamu.engine.spec import ElementType


@dataclass(frozen=True)
class Target:
    """One instruction set with the figures that tiles and blocks are cut by.

    ``vector_bytes`` is the width of a vector register, ``registers`` how many there are, ``masks``
    whether loads and stores of any element width take a mask. Cache sizes are in bytes, per core.
    ``wide_units`` multiply whole 512-bit registers: one, which may be two halves of half the width, or two.
    """

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    masks: bool
    l1_bytes: int
    l2_bytes: int
    wide_units: int = 1
    dots: bool = False
    """Whether an instruction multiplies pairs of bf16 and adds both products to a float32."""
    cores: int = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    """That this process may run on: work is cut to be shared evenly by so many threads."""

    def lanes(self, item_bytes: int) -> int:
        """How many elements of ``item_bytes`` bytes one register holds."""
        return self.vector_bytes // item_bytes

    def multiplies_pairs(self, element: ElementType) -> bool:
        """Whether two products are added in each lane by one instruction."""
        return self.dots and element.kind == "bfloat"


def _cache_bytes(level: int, default: int) -> int:
    """The size of the data or unified cache of ``level``, as Linux reports it."""
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            if (
                int((index / "level").read_text()) != level
                or (index / "type").read_text().strip() == "Instruction"
            ):
                continue
            return int((index / "size").read_text().strip().removesuffix("K")) * 1024
        except (OSError, ValueError):
            continue
    return default


_AVX512 = ("avx512f", "avx512bw", "avx512vl", "avx512dq")
_AVX2 = ("avx2", "fma", "f16c")
_TWO_WIDE_UNITS = frozenset({
    *("znver5", "skylake-avx512", "cascadelake", "cooperlake", "icelake-server", "sapphirerapids"),
    *("emeraldrapids", "graniterapids", "graniterapids-d", "diamondrapids"),
})  # fmt: skip
"""LLVM's names of processors that begin two 512-bit multiply-adds a cycle."""


def avx512(cpu: str, features: str, triple: str) -> Target:
    """512-bit x86-64: 32 registers, a mask for every load and store."""
    l1, l2 = _cache_bytes(1, 32 << 10), _cache_bytes(2, 1 << 20)
    dots = "+avx512bf16" in features.split(",")
    return Target("avx512", triple, cpu, features, 64, 32, True, l1, l2, 1 + (cpu in _TWO_WIDE_UNITS), dots)


def avx2(triple: str) -> Target:
    """256-bit x86-64 with FMA and F16C: what every x86-64 machine since 2013 has."""
    features = "+avx2,+fma,+f16c,+bmi,+bmi2,+popcnt,+lzcnt,+movbe"
    return Target(
        "avx2",
        triple,
        "x86-64",
        features,
        32,
        16,
        False,
        _cache_bytes(1, 32 << 10),
        _cache_bytes(2, 256 << 10),
    )


def neon(triple: str, cpu: str = "generic") -> Target:
    """128-bit AArch64: 32 registers."""
    return Target(
        "neon",
        triple,
        cpu,
        "+neon,+fullfp16" if cpu == "apple-m1" else "+neon",
        16,
        32,
        False,
        _cache_bytes(1, 64 << 10),
        _cache_bytes(2, 1 << 20),
    )


@functools.lru_cache(maxsize=1)
def host() -> Target:
    """The widest target that this machine runs.

    Raises:
        RuntimeError: neither AVX2 with FMA and F16C nor AArch64.
    """
    triple = llvm.get_process_triple()
    if platform.machine() in {"aarch64", "arm64"}:
        return neon(triple)
    available = llvm.get_host_cpu_features()
    if all(available.get(feature) for feature in _AVX512):
        return avx512(llvm.get_host_cpu_name(), available.flatten(), triple)
    if all(available.get(feature) for feature in _AVX2):
        return avx2(triple)
    raise RuntimeError(
        f"this machine is {platform.machine()} ({llvm.get_host_cpu_name()}), but tatamu generates code"
        " for AArch64 and for x86-64 with AVX2, FMA and F16C: run it on one of those"
    )


def host_as_avx2() -> Target:
    """This x86-64 machine with its 512-bit instructions left unused."""
    return avx2(llvm.get_process_triple())
