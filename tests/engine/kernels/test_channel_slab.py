"""Slabs whose lanes are channels, against indexing in Python."""

from __future__ import annotations

import ctypes
import functools
import random
from itertools import product

import llvmlite.binding as llvm
import numpy as np
import pytest

from tatamu import reference
from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.channel_slab import define_pack_channels
from tatamu.engine.kernels.ir import I64, POINTER, Code
from tatamu.engine.kernels.job import Header, Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.padded import PaddedAxis, padded_words
from tatamu.engine.runtime.jit import target_machine
from tatamu.engine.spec import ELEMENT_TYPES
from tatamu.engine.tables import Table
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import PADDING_MODES

TARGETS = [host()] if host().name != "avx512" else [host(), host_as_avx2()]
DTYPES = {"f32": np.float32, "f64": np.float64, "u8": np.uint8, "i16": np.int16}


@functools.cache
def packer(name: str, interleaved: bool, target: Target) -> tuple[object, object]:
    """The packing function, callable, and the engine that keeps it alive."""
    module = ir.Module(target.triple)
    pack = define_pack_channels(module, Numbers(ELEMENT_TYPES[name], target), interleaved)
    kinds = [POINTER] * 4 + [I64] * 5
    code = Code(ir.Function(module, "under_test", kinds))
    code.call(pack, *code.function.args)
    code.done()
    parsed = llvm.parse_assembly(module.text(module.functions.values(), ""))
    parsed.verify()
    engine = llvm.create_mcjit_compiler(parsed, target_machine.__wrapped__(target))
    foreign = [ctypes.c_void_p if kind is POINTER else ctypes.c_int64 for kind in kinds]
    return ctypes.CFUNCTYPE(None, *foreign)(engine.get_function_address("under_test")), engine


def expected(
    image: np.ndarray,
    rows: PaddedAxis,
    columns: PaddedAxis,
    mode: str,
    stretch: tuple[range, range],
    lanes: int,
) -> np.ndarray:
    """The slab of all channels of an image (C, H, W), by the reference's rule for padding."""
    slab = np.zeros((len(stretch[0]), len(stretch[1]), lanes))
    for (r, p), (c, q) in product(enumerate(stretch[0]), enumerate(stretch[1])):
        if p < rows.size + rows.before + rows.after and q < columns.size + columns.before + columns.after:
            row = reference.source(p - rows.before, rows.size, mode)
            column = reference.source(q - columns.before, columns.size, mode)
            if row is not None and column is not None:
                slab[r, c, : len(image)] = image[:, row, column]
    return slab


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("layout", ["planar", "interleaved", "stepped"])
@pytest.mark.parametrize("name", DTYPES)
def test_every_position_is_what_stands_for_it(name: str, layout: str, mode: str, target: Target) -> None:
    chosen = random.Random(f"{name} {layout} {mode}")
    lanes = target.lanes(ELEMENT_TYPES[name].compute_bytes)
    function, _ = packer(name, layout == "interleaved", target)
    computed = ELEMENT_TYPES[name].compute_bytes
    kind = np.dtype(f"{'f' if name[0] == 'f' else 'i'}{computed}")
    for _ in range(60):
        most = -1 if mode == "zeros" else 0
        rows, columns = (
            PaddedAxis(size, chosen.randint(most, min(3, size - 1)), chosen.randint(most, min(3, size - 1)))
            for size in (chosen.randint(1, 5), chosen.choice((1, 3, lanes, chosen.randint(1, 40))))
        )
        channels = chosen.choice((lanes, chosen.randint(1, lanes)))
        size = (channels, rows.size, columns.size)
        numbers = np.array([chosen.randint(1, 100) for _ in range(int(np.prod(size)))], DTYPES[name])
        image = numbers.reshape(size)
        if layout == "interleaved":
            image = np.ascontiguousarray(image.transpose(1, 2, 0)).transpose(2, 0, 1)
        elif layout == "stepped":
            image = np.repeat(image, 2, axis=2)[:, :, ::2]
        table = Table(1)
        steps = (stride // image.itemsize for stride in image.strides)
        places = dict(zip((Word.SOURCE_C, Word.SOURCE_H, Word.SOURCE_W), steps, strict=True))
        table.set_job(0, {**padded_words(table, rows, columns, mode), **places})
        first = chosen.randint(0, 3), chosen.randint(0, 20)
        stretch = (
            range(first[0], first[0] + chosen.randint(0, 8)),
            range(first[1], first[1] + chosen.randint(0, 50)),
        )
        slab = np.full((len(stretch[0]), len(stretch[1]), lanes), 77, kind)
        begin = table.words.buffer_info()[0]
        function(  # type: ignore[operator]  # A foreign function.
            begin, begin + 8 * Header.FIRST_JOB, slab.ctypes.data, image.ctypes.data,
            channels, *first, *map(len, stretch),
        )  # fmt: skip
        assert np.array_equal(slab, expected(image, rows, columns, mode, stretch, lanes))
