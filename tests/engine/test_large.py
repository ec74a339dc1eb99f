"""Tensors of more than 2³¹ elements: every index is 64 bits wide."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tatamu import launch
from tatamu.geometry import Convolution

NEEDED = 6 << 30
SIDE = 46400
"""A plane of SIDE x SIDE has 5,475,352 elements more than 2³¹."""


def available() -> int:
    """Bytes of memory that can be used without swapping; 0 where the system does not say."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 0


pytestmark = pytest.mark.skipif(
    available() < NEEDED, reason=f"needs {NEEDED >> 30} GiB of memory, {available() >> 30} GiB are free"
)


def test_an_input_of_more_than_two_to_the_31_elements() -> None:
    x = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.int8)
    assert x.numel() > 1 << 31
    w = torch.arange(1, 10, dtype=torch.int8).view(1, 1, 3, 3)
    stride = (16, 8)
    # At the beginning, around the 2³¹st element and at the end, from a row that an output begins with.
    bands = [band // stride[0] * stride[0] for band in (0, (1 << 31) // SIDE - 30, SIDE - 70)]
    for band in bands:
        x[:, :, band : band + 60].random_(-128, 128)
    y = launch.forward(x, w, None, Convolution(stride=stride))
    for band in bands:
        rows = x[:, :, band : band + 51].to(torch.float64)
        expected = torch.nn.functional.conv2d(rows, w.to(torch.float64), stride=stride)
        got = y[:, :, band // stride[0] :][:, :, : expected.shape[2]]
        assert torch.equal(got, expected.to(torch.int64).to(torch.int8))


def test_an_output_of_more_than_two_to_the_31_elements() -> None:
    x = torch.randint(-128, 128, (1, 1, SIDE // 4, SIDE // 4), dtype=torch.int8)
    w = torch.randint(-128, 128, (16, 1, 1, 1), dtype=torch.int8)
    how = Convolution(padding=((0, 2), (0, 3)))
    y = launch.forward(x, w, None, how)
    assert y.numel() > 1 << 31
    for channel in (0, 7, 15):
        expected = x[0, 0, -500:] * w[channel, 0, 0, 0]
        assert torch.equal(y[0, channel, -502:-2, :-3], expected)
    assert not y[..., -2:, :].any()
    assert not y[..., -3:].any()
