"""The layers to measure are those of real networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import layer
from benchmarks.layer import NETWORKS, Layer

# Published totals of the models, mostly torchvision's, less what is no weight of a convolution here (linear
# layers, biases, normalisation, layer scale, auxiliary heads, transposed convolutions), and multiply-adds in
# millions, likewise.
PUBLISHED = {
    "alexnet": (61_100_840 - 58_631_144 - 1_152, 714 - 59),
    "convnext_tiny": (28_589_128 - 26_711_656, None),
    "deeplabv3": (42_004_074 - 2_365_205 - 56_704 - 21, None),  # Published at another size.
    "densenet121": (7_978_856 - 1_025_000 - 83_648, 2834 - 1),
    "efficientnet_b0": (5_288_548 - 1_281_000 - 42_016 - 9_340, 386 - 1),
    "inception_v3": (27_161_264 - 3_326_696 - 2_049_000 - 34_432, 5713 - 2),
    "mobilenet_v2": (3_504_872 - 1_281_000 - 34_112, 301 - 1),
    "resnet18": (11_689_512 - 513_000 - 9_600, 1814 - 1),
    "resnet50": (25_557_032 - 2_049_000 - 53_120, 4089 - 2),
    "resnext50": (25_028_904 - 2_049_000 - 68_224, 4230 - 2),
    "unet": (7_763_041 - 696_800 - 5_888 - 1, None),
    "vgg16": (138_357_544 - 123_642_856 - 4_224, 15_470 - 124),
    "yolov5s": (
        7_235_389 - 19_008 - 765,
        None,
    ),  # Its 16.5 GFLOPs are two each, and of more than convolutions.
}


@pytest.mark.parametrize("network", PUBLISHED)
def test_layers_add_up_to_the_published_network(network: str) -> None:
    parameters, millions = PUBLISHED[network]
    layers = layer.load(network)
    assert sum(it.times * it.geometry(1).parameters(bias=False) for it in layers) == parameters
    if millions is not None:
        macs = sum(it.times * it.geometry(1).macs for it in layers)
        assert macs / 1e6 == pytest.approx(millions, abs=1)


def test_replknet_adds_up_to_the_two_digits_that_its_paper_has() -> None:
    layers = layer.load("replknet31b")
    parameters = sum(it.times * it.geometry(1).parameters(bias=False) for it in layers)
    assert round((parameters + 1_025_000 + 254_720) / 1e6, 1) == 79.5
    assert round(sum(it.times * it.geometry(1).macs for it in layers) / 1e9, 1) == pytest.approx(
        15.3, abs=0.1
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_are_possible_and_unique(network: str) -> None:
    layers = layer.load(network)
    assert layers
    assert len({it.name for it in layers}) == len({it.geometry(1) for it in layers}) == len(layers)
    for it in layers:
        assert it.in_channels % it.groups == it.out_channels % it.groups == 0
        assert min(it.geometry(1).output_size) > 0


def test_a_layer_of_two_networks_is_measured_once() -> None:
    both = layer.load_all(["resnet50", "resnext50"])
    separate = layer.load("resnet50") + layer.load("resnext50")
    assert len(both) < len(separate)
    assert {it.geometry(1) for it in both} == {it.geometry(1) for it in separate}
    assert both[0].network == "resnet50"
    assert not any(it.network == "resnext50" and it.name == "conv1" for it in both)


@pytest.mark.parametrize(
    "line", ["conv1 3 64 7 2 3 1 1 224", "conv1 3 64 7y7 2 3 1 1 224 1", "conv1 3 64 x7 2 3 1 1 9 1"]
)
def test_a_malformed_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(layer, "_FOLDER", tmp_path)
    (tmp_path / "odd.txt").write_text(f"# name …\n{line}\n", encoding="utf-8")
    sentence = "line 2 of odd.txt should be a name and nine integers"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        layer.load("odd")


@pytest.mark.parametrize(
    ("it", "text"),
    [
        (Layer("small", "one", 4, 6, (3, 3), 2, (1, 1), 2, 2, 9, 1), "3×3 s2 d2 4→6 g2 @9"),
        (Layer("n", "l", 3, 64, (7, 7), 1, (3, 3), 1, 1, 224, 1), "7×7 3→64 @224"),
        (Layer("n", "l", 96, 96, (7, 7), 1, (3, 3), 1, 96, 56, 1), "dw 7×7 96 @56"),
    ],
)
def test_a_layer_says_what_it_computes(it: Layer, text: str) -> None:
    assert str(it) == text


def test_kernel_and_padding_may_be_a_height_and_a_width() -> None:
    (stripe,) = (it for it in layer.load("elsewhere") if it.name == "slak-51x5")
    assert str(stripe) == "dw 51×5 124 @56"
    assert stripe.geometry(2).weight_size == (124, 1, 51, 5)
    assert stripe.geometry(2).output_size == (2, 124, 56, 56)
