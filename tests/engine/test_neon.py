"""AArch64: objects are linked to a small static program, which runs in an emulator."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.calls import lower, new_result, read_by, resolved
from engine.cases import PASSES, Arrangement, Case, Operands
from engine.judges import assert_right
from tatamu.engine.kernels.descriptions import GradWeightKernel
from tatamu.engine.runtime import jit
from tatamu.engine.target import neon
from tatamu.geometry import Axis, Geometry

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
MISSING = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
TARGET = neon("aarch64-unknown-linux-gnu")
DRIVER = Path(__file__).with_name("neon_driver.c")

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

DENSE = Geometry(2, 6, 18, 2, Axis(9, 3, 2, 1, 2, 0), Axis(21, 3, 1, 2, 1, 3), "reflect")
DEPTHWISE = Geometry(1, 5, 5, 5, Axis(8, 5, 1, 1, 2, 2), Axis(19, 3, 1, 1, 1, 1))
GROUPED = Geometry(1, 6, 6, 3, Axis(8, 3, 1, 1, 1, 1), Axis(9, 3, 2, 1, 1, 1))
FULLY_CONNECTED = Geometry(7, 9, 11, 1, Axis(3, 3), Axis(2, 2))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The programs linked so far, by the name of their kernel."""
    return {"": tmp_path_factory.mktemp("neon")}


def program(programs: dict[str, Path], kernel: jit.Kernel) -> Path:
    """The program that runs one kernel."""
    name = kernel.name(TARGET)
    if name not in programs:
        path, object_files = programs[""] / name, []
        for number, code in enumerate(jit.emit_objects(kernel, TARGET)):
            object_files.append(programs[""] / f"{name}.{number}.o")
            object_files[-1].write_bytes(code)
        command = [
            COMPILER,
            "-static",
            "-O1",
            f"-DENTRY={name}",
            str(DRIVER),
            *map(str, object_files),
            "-o",
            str(path),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        programs[name] = path
    return programs[name]


def storage(tensor: Tensor | None) -> bytes:
    """The memory behind a tensor that begins where its memory does, gaps included."""
    if tensor is None:
        return b""
    parts = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    whole = parts.untyped_storage()
    return ctypes.string_at(whole.data_ptr(), whole.nbytes())


def emulated(
    which: str, operands: Operands, programs: dict[str, Path], channels_last: bool
) -> tuple[Tensor, jit.Kernel]:
    """One pass in the emulator, and the kernel that ran."""
    operands = resolved(operands)
    result = new_result(which, operands, channels_last)
    lowered = lower(which, operands, result, TARGET)
    folder = programs[""]
    (folder / "table").write_bytes(lowered.table.tobytes())
    for name, tensor in zip(("source", "second", "bias"), read_by(which, operands), strict=True):
        (folder / name).write_bytes(storage(tensor))
    workspace = lowered.shared_bytes + 2 * lowered.scratch_bytes
    command = [
        EMULATOR, str(program(programs, lowered.kernel)), str(folder), str(workspace), str(result.nbytes)
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    computed = torch.frombuffer(bytearray((folder / "result").read_bytes()), dtype=result.dtype)
    return computed.as_strided(result.shape, result.stride()), lowered.kernel


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.complex64], ids=str)
@pytest.mark.parametrize(
    ("geometry", "dot"),
    [(DENSE, False), (DEPTHWISE, True), (GROUPED, False), (FULLY_CONNECTED, False)],
    ids=["dense", "depthwise", "grouped", "fully connected"],
)
def test_every_pass_on_neon(
    geometry: Geometry, dot: bool, dtype: torch.dtype, channels_last: bool, programs: dict[str, Path]
) -> None:
    how = Arrangement("channels_last" if channels_last else "contiguous")
    it = Case(geometry, (how, how, how)).operands(dtype)
    results = {}
    for which in PASSES:
        results[which], kernel = emulated(which, it, programs, channels_last)
        if isinstance(kernel, GradWeightKernel):
            assert kernel.dot == dot
    assert_right(results, it)
