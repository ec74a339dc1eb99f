"""Compiled kernels: what they need from outside, and that those of one target outlive those of another."""

from __future__ import annotations

import struct

import pytest
import torch

from engine import calls
from engine.cases import Case, Operands
from tatamu.engine.kernels import descriptions, lane_descriptions
from tatamu.engine.kernels.descriptions import ChannelSumsKernel, ComparisonKernel
from tatamu.engine.kernels.winograd import descriptions as winograd
from tatamu.engine.lowering.common import Lowered
from tatamu.engine.runtime import jit
from tatamu.engine.target import Target, avx2, host, host_as_avx2, neon
from tatamu.geometry import Axis, Geometry

ALLOWED = {"GOMP_parallel", "memcpy", "memset"}
TARGETS = {
    target.name: target
    for target in (host(), avx2("x86_64-unknown-linux-gnu"), neon("aarch64-unknown-linux-gnu"))
}

DENSE = Geometry(1, 9, 33, 1, Axis(9, 3), Axis(9, 3))
GEOMETRIES = (
    DENSE,
    Geometry(1, 64, 64, 1, Axis(28, 3, 1, 1, 1, 1), Axis(28, 3, 1, 1, 1, 1)),  # Winograd
    Geometry(1, 64, 64, 64, Axis(9, 3), Axis(9, 3)),  # depthwise
    Geometry(1, 9, 33, 1, Axis(3, 3), Axis(3, 3)),  # fully connected
    Geometry(1, 64, 64, 1, Axis(14, 1, 2), Axis(14, 1, 2)),
    Geometry(1, 3, 96, 1, Axis(16, 4, 4), Axis(16, 4, 4)),  # patches
    Geometry(1, 64, 64, 1, Axis(16, 3, 1, 12, 12, 12), Axis(16, 3, 1, 12, 12, 12)),  # tap by tap
    Geometry(1, 8, 8, 1, Axis(9, 3, 1, 1, 1, 1), Axis(9, 3, 1, 1, 1, 1), "reflect"),
)
KERNELS = {
    kind
    for module in (descriptions, lane_descriptions, winograd)
    for kind in vars(module).values()
    if isinstance(kind, type) and hasattr(kind, "build")
}


def imported(kernel: jit.Kernel, target: Target) -> set[str]:
    """Names that a kernel's objects leave to others."""
    found = [symbols(code) for code in jit.emit_objects(kernel, target)]
    return set().union(*(names for names, _ in found)) - set().union(*(names for _, names in found))


def symbols(code: bytes) -> tuple[set[str], set[str]]:
    """Names that an ELF64 relocatable object needs, and that it has (System V ABI, chapters 4 and 5)."""
    assert code[:6] == b"\x7fELF\x02\x01", "a little-endian 64-bit ELF file"
    (sections_at,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, sections_at + size * n) for n in range(count)]
    needed, defined = set(), set()
    for _, kind, _, _, at, length, link, _, _, entry in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        names = sections[link][4]
        for place in range(at + entry, at + length, entry):  # The first symbol is nobody's.
            name, _, _, section = struct.unpack_from("<IBBH", code, place)
            of = needed if section == 0 else defined  # SHN_UNDEF
            of.add(code[names + name : code.index(b"\0", names + name)].decode())
    return needed, defined


def lowered(
    which: str, geometry: Geometry, dtype: torch.dtype, target: Target, channels_last: bool
) -> Lowered:
    it = Case(geometry).operands(dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    it = Operands(
        geometry,
        it.input.contiguous(memory_format=layout),
        it.weight.contiguous(memory_format=layout),
        it.bias,
        it.grad_output.contiguous(memory_format=layout),
    )
    return calls.lower(which, it, calls.new_result(which, it, channels_last), target)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize(
    ("dtype", "channels_last"),
    [
        (torch.float32, False),
        (torch.float16, True),
        (torch.bfloat16, False),
        (torch.float64, True),
        (torch.complex32, False),
    ],
    ids=str,
)
def test_kernels_import_nothing_but_openmp_and_two_memory_functions(
    dtype: torch.dtype, channels_last: bool, target: Target
) -> None:
    kernels = {
        lowered(which, geometry, dtype, target, channels_last).kernel
        for which in ("forward", "grad_input", "grad_weight", "grad_bias")
        for geometry in GEOMETRIES
    }
    for kernel in kernels:
        assert imported(kernel, target) <= ALLOWED, kernel.name(target)


def test_kernels_of_every_kind_were_looked_at() -> None:
    found = {
        type(lowered(which, geometry, dtype, host(), channels_last).kernel)
        for which in ("forward", "grad_input", "grad_weight", "grad_bias")
        for geometry in GEOMETRIES
        for dtype, channels_last in ((torch.float32, False), (torch.float64, True), (torch.complex32, False))
    }
    # Weights are compared by a kernel that belongs to no pass.
    assert imported(ComparisonKernel(), host()) <= ALLOWED
    assert found | {ComparisonKernel} == KERNELS


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64], ids=str)
def test_integer_kernels_import_nothing_else_either(dtype: torch.dtype, target: Target) -> None:
    for channels_last in (False, True):
        kernel = lowered("forward", DENSE, dtype, target, channels_last).kernel
        assert imported(kernel, target) <= ALLOWED, kernel.name(target)


def test_an_import_would_be_seen() -> None:
    kernel = ChannelSumsKernel(calls.element_type(torch.float32), interleaved=False)
    assert imported(kernel, host()) == {"GOMP_parallel"}


@pytest.mark.skipif(host().name == "neon", reason="one target is all that this machine runs")
def test_kernels_of_two_targets_live_side_by_side() -> None:
    """Code that was linked stays mapped when another target's is linked after it."""
    it = Case(DENSE).operands(torch.float32)
    before = calls.run("forward", it, host())
    calls.run("forward", it, host_as_avx2())
    assert torch.equal(calls.run("forward", it, host()), before)
