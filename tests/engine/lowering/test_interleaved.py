"""Weights that are packed before the tasks begin give the same bits as those that each task packs."""

from __future__ import annotations

import ctypes
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.layer import NETWORKS, load
from engine.calls import element_type, lower, new_result, poisoned_workspaces, resolved, run
from engine.cases import Arrangement, Case, axis, drawn
from tatamu.engine.execute import Call
from tatamu.engine.kernels.descriptions import InterleavedKernel
from tatamu.engine.kernels.job import TABLE_HEADER, Word
from tatamu.engine.lowering import winograd
from tatamu.engine.lowering.common import Operand
from tatamu.engine.lowering.passes import lower_forward
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Geometry

TARGETS = [host()] if host().name in ("avx2", "neon") else [host(), host_as_avx2()]
LAST = Arrangement("channels_last")


@pytest.mark.parametrize("target", TARGETS, ids=lambda it: it.name)
@given(data=st.data(), deep=st.booleans(), planar_weight=st.booleans(), threads=st.integers(1, 2))
def test_packed_before(
    target: Target, data: st.DataObject, deep: bool, planar_weight: bool, threads: int
) -> None:
    integer = drawn(data.draw)
    groups = integer(1, 3)
    channels = integer(300, 700) if deep else integer(1, 40)  # Deep: several blocks of channels.
    rows, columns = axis(integer, "zeros", 6, 3), axis(integer, "zeros", 9, 3)
    geometry = Geometry(integer(1, 2), groups * channels, groups * integer(13, 70), groups, rows, columns)
    weight = Arrangement("contiguous") if planar_weight else LAST
    operands = resolved(Case(geometry, (LAST, weight, LAST)).operands(torch.float32))
    result = new_result("forward", operands, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "why_not", lambda *_: "another technique is wanted")
        lowered = lower("forward", operands, result, target, frozen=True)
        expected = run("forward", operands, target, channels_last=True)
    if not isinstance(lowered.kernel, InterleavedKernel) or not lowered.kernel.packs_before:
        return
    assert lowered.packing is not None
    assert lowered.packing.weight_bytes == operands.weight.nbytes
    call = Call(lowered, target)
    assert operands.bias is not None
    source, second, bias = (it.data_ptr() for it in (operands.input, operands.weight, operands.bias))
    room = (ctypes.c_char * (lowered.shared_bytes + 64))()
    packed = (ctypes.addressof(room) + 63) // 64 * 64
    # In the workspace; in memory of its own; from there.
    for where, filled in ((0, 0), (packed, 0), (packed, 1)):
        result.fill_(torch.nan)
        with poisoned_workspaces():
            call.run(source, second, bias, result.data_ptr(), threads, where, filled)
        assert torch.equal(result, expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_blocks_of_result_channels_begin_where_packed_tiles_do(network: str) -> None:
    for layer, dtype, frozen in product(load(network), (torch.float32, torch.bfloat16), (False, True)):
        x, w, y = (
            Operand((c * h * w, 1, w * c, c)) for _, c, h, w in (
                layer.geometry(1).input_size, layer.geometry(1).weight_size, layer.geometry(1).output_size,
            )
        )  # fmt: skip
        common = layer.geometry(1), element_type(dtype), host()
        lowered = lower_forward(*common, x, w, None, y, frozen=frozen)
        if isinstance(lowered.kernel, InterleavedKernel) and lowered.kernel.packs_before:
            job = lowered.table[TABLE_HEADER:]
            tile = job[Word.VECTORS] * host().lanes(common[1].compute_bytes)
            assert job[Word.M_BLOCKS] == 1 or job[Word.M_BLOCK] % tile == 0, f"{layer}, {dtype}"
