"""Which kernel computes a layer does not depend on the size or number of its images."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch

from benchmarks.layer import NETWORKS, Layer, load
from tatamu import launch
from tatamu.engine.target import host

IMAGES = ((1, 7, 7), (16, 8, 9), (1, 14, 14), (16, 28, 30), (1, 97, 56), (2, 224, 300))
"""Batch, height, width."""


def is_another_layer(layer: Layer, height: int, width: int) -> bool:
    """Whether the image is too small for the layer: no tile of results, or most taps in the padding.

    docs/architecture.md names these exceptions.
    """
    results = [
        (size + 2 * padding - layer.dilation * (taps - 1) - 1) // layer.stride + 1
        for size, padding, taps in zip((height, width), layer.padding, layer.kernel, strict=True)
    ]
    return min(results) < 4 or (layer.dilation > 1 and min(height, width) < 10 * layer.dilation)


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_has_one_kernel_for_each_pass(network: str, form: torch.memory_format) -> None:
    checked = 0
    for layer in load(network):
        how = layer.geometry(1).convolution
        weight = torch.empty(layer.geometry(1).weight_size, device="meta")
        wanted: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
        for n, h, w in IMAGES:
            if is_another_layer(layer, h, w):
                continue
            x = torch.empty(n, layer.in_channels, h, w, device="meta").to(memory_format=form)
            for which, lowered in launch.plans(x, weight, None, how).items():
                wanted[which].setdefault(lowered.kernel.name(host()), (n, h, w))
            checked += 1
        assert all(len(kernels) == 1 for kernels in wanted.values()), f"{layer}: {dict(wanted)}"
    assert checked > 2
