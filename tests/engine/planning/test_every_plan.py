"""Properties of every plan, seen where they matter: in the table and the workspace that kernels get."""

from __future__ import annotations

import random

import pytest
import torch

from engine.calls import lower
from engine.cases import FLOATS, PASSES, Case, Operands, case
from tatamu.engine.kernels.descriptions import DirectKernel, InterleavedKernel
from tatamu.engine.kernels.job import Header, Word
from tatamu.engine.lowering.common import Lowered
from tatamu.engine.planning.common import tiles
from tatamu.engine.target import Target, avx2, host, neon
from tatamu.geometry import Axis, Geometry

TARGETS = [host(), avx2("x86_64-unknown-linux-gnu"), neon("aarch64-unknown-linux-gnu")]
SCRATCH_BOUND = 8 << 20
"""Bytes of workspace that a thread may need, whatever the layer."""

LARGE = {
    "8192 channels": Geometry(1, 8192, 8192, 1, Axis(14, 3, 1, 1, 1, 1), Axis(14, 3, 1, 1, 1, 1)),
    "8192 channels pointwise": Geometry(16, 8192, 8192, 1, Axis(7, 1), Axis(7, 1)),
    "31x31 dense": Geometry(1, 256, 256, 1, Axis(56, 31, 1, 1, 15, 15), Axis(56, 31, 1, 1, 15, 15)),
    "31x31 depthwise": Geometry(1, 256, 256, 256, Axis(56, 31, 1, 1, 15, 15), Axis(56, 31, 1, 1, 15, 15)),
    "a wide image": Geometry(1, 64, 64, 1, Axis(8, 3, 1, 1, 1, 1), Axis(100000, 3, 1, 1, 1, 1)),
    "a large image": Geometry(1, 3, 64, 1, Axis(4000, 7, 2, 1, 3, 3), Axis(4000, 7, 2, 1, 3, 3)),
    "wide dilation": Geometry(1, 2048, 2048, 1, Axis(33, 3, 1, 12, 12, 12), Axis(33, 3, 1, 12, 12, 12)),
    "more padding than image": Geometry(1, 64, 64, 1, Axis(64, 3, 1, 20, 20, 20), Axis(64, 3, 1, 20, 20, 20)),
    "fully connected": Geometry(32, 512, 4096, 1, Axis(7, 7), Axis(7, 7)),
}


def planned(
    geometry: Geometry, dtype: torch.dtype, target: Target, which: str, channels_last: bool
) -> Lowered:
    """A pass lowered for operands that are never filled: meta tensors have sizes and strides."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x, w, gy = (
        torch.empty(size, dtype=dtype, device="meta", memory_format=layout)
        for size in (geometry.input_size, geometry.weight_size, geometry.output_size)
    )
    result = {"forward": gy, "grad_input": x, "grad_weight": w, "grad_bias": gy}[which]
    return lower(which, Operands(geometry, x, w, None, gy), result, target)


def jobs(lowered: Lowered) -> list[dict[Word, int]]:
    """The jobs of a pass, word by word."""
    words = lowered.table
    starts = range(Header.FIRST_JOB, Header.FIRST_JOB + words[Header.JOBS] * Word.LENGTH, Word.LENGTH)
    return [{word: words[start + word] for word in Word if word is not Word.LENGTH} for start in starts]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("geometry", LARGE.values(), ids=LARGE.keys())
def test_the_workspace_of_a_thread_is_bounded(geometry: Geometry, target: Target) -> None:
    for dtype in (torch.float32, torch.float64, torch.complex128):
        for which in PASSES:
            for channels_last in (False, True):
                lowered = planned(geometry, dtype, target, which, channels_last)
                assert lowered.scratch_bytes <= SCRATCH_BOUND, (dtype, which, lowered.reason)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_blocks_cover_the_grid_once(target: Target) -> None:
    """Of 150 random passes: every result in one block, and no block empty."""
    for seed in range(150):
        chosen: Case = case(random.Random(seed).randint)
        for which in ("forward", "grad_input"):
            lowered = planned(chosen.geometry, FLOATS[seed % 4], target, which, chosen.channels_last)
            if not isinstance(lowered.kernel, DirectKernel | InterleavedKernel):
                continue  # Others cut their grids into something else.
            first_task = covered = 0
            for job in jobs(lowered):
                if isinstance(lowered.kernel, InterleavedKernel):
                    pixels = job[Word.IMAGES] * job[Word.GRID_H] * job[Word.GRID_W]
                    blocks, block = job[Word.BLOCKS], job[Word.PIXEL_BLOCK]
                    assert (blocks - 1) * block < pixels <= blocks * block
                else:
                    rows, columns = job[Word.BLOCKS] // job[Word.COLUMN_BLOCKS], job[Word.COLUMN_BLOCKS]
                    assert (rows - 1) * job[Word.BLOCK_H] < job[Word.GRID_H] <= rows * job[Word.BLOCK_H]
                    assert 0 < columns <= job[Word.GRID_W]
                channels = job[Word.M_BLOCKS] * job[Word.M_BLOCK]
                assert channels - job[Word.M_BLOCK] < job[Word.M] <= channels
                assert 0 < job[Word.CHANNEL_BLOCK] <= max(1, job[Word.CHANNELS])
                assert job[Word.FIRST_TASK] == first_task
                first_task += job[Word.TASKS]
                covered += job[Word.GRID_H] * job[Word.GRID_W]
            assert lowered.table[Header.TASKS] == first_task
            assert 1 <= lowered.table[Header.GRAIN] <= first_task
            _, _, height, width = (
                chosen.geometry.output_size if which == "forward" else chosen.geometry.input_size
            )
            assert covered == height * width


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_register_tiles_fit_the_register_file(target: Target) -> None:
    for rows, vectors in tiles(target).items():
        held = vectors if rows > 1 else 0  # A vector that is used once is read by the multiply-add itself.
        assert rows * vectors + held + 1 < target.registers


def test_equal_work_has_equal_plans() -> None:
    """Nothing but the arguments decides: not the numbers, nor what was planned before."""
    geometry = LARGE["fully connected"]
    one, other = (planned(geometry, torch.float32, host(), "forward", channels_last=False) for _ in range(2))
    assert (one.kernel, one.table, one.scratch_bytes, one.reason) == (
        other.kernel,
        other.table,
        other.scratch_bytes,
        other.reason,
    )
