"""Bytes that differ are found wherever they are."""

from __future__ import annotations

import ctypes
import platform
import random

import pytest

from tatamu.engine.execute import Call
from tatamu.engine.kernels.descriptions import COMPARED_BYTES, ComparisonKernel
from tatamu.engine.lowering.comparison import lower_comparison
from tatamu.engine.target import Target, host, host_as_avx2

TARGETS = [host(), host_as_avx2()] if platform.machine() in {"x86_64", "AMD64"} else [host()]


def differ(call: Call, first: bytearray, second: bytearray, threads: int) -> bool:
    size = len(first)
    one, other = ((ctypes.c_char * size).from_buffer(data) for data in (first, second))
    result = ctypes.c_int64(0)
    call.run(ctypes.addressof(one), ctypes.addressof(other), 0, ctypes.addressof(result), threads)
    assert result.value in (0, 1)
    return result.value == 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_one_bit_anywhere(target: Target, threads: int) -> None:
    least = ComparisonKernel().least_bytes(target)
    for size in (
        least,
        least + 1,
        3 * least - 1,
        COMPARED_BYTES,
        COMPARED_BYTES + 1,
        9 * COMPARED_BYTES + 777,
    ):
        call = Call(lower_comparison(size), target)
        first = bytearray(random.randbytes(size))
        second = bytearray(first)
        assert not differ(call, first, second, threads)
        edges = {at for n in range(10) for at in (n * COMPARED_BYTES - 1, n * COMPARED_BYTES)}
        places = edges | {0, least - 1, size - least, size - 1} | {random.randrange(size) for _ in range(200)}
        for at in sorted(place for place in places if 0 <= place < size):
            second[at] ^= 1 << random.randrange(8)
            assert differ(call, first, second, threads), f"byte {at} of {size}"
            second[at] = first[at]
