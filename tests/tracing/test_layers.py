"""A layer's arguments read back, and the layer made anew: torch's constructors are the judge."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tatamu
from tatamu.tracing import layers

LAYERS = [
    nn.Conv1d(4, 8, 3, stride=2),
    nn.Conv2d(
        4, 8, (3, 5), stride=2, padding=(1, 2), dilation=2, groups=2, bias=False, padding_mode="reflect"
    ),
    nn.Conv2d(4, 8, 3, padding="same"),
    nn.Conv3d(4, 8, 1),
    nn.ConvTranspose2d(4, 8, 3, stride=2, padding=1, output_padding=1, groups=2),
    tatamu.Conv2d(4, 8, 3, stride=2, padding=((0, 1), (1, 0))),
    tatamu.Conv2d(4, 8, 3, stride=2, padding="same_upper"),
    nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    nn.MaxPool2d(2),
    nn.AvgPool2d(3, 1),
    nn.AdaptiveAvgPool2d((2, 3)),
    nn.BatchNorm2d(4, affine=False),
    nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
    nn.GroupNorm(2, 4),
    nn.LayerNorm((4, 5)),
    nn.Linear(4, 8, bias=False),
    nn.PReLU(4),
    nn.PixelShuffle(2),
    nn.Upsample(scale_factor=2, mode="bilinear"),
    nn.ZeroPad2d((1, 2, 3, 4)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_layer_made_anew_is_the_same(layer: nn.Module) -> None:
    made = layers.changed(layer)
    assert type(made) is type(layer)
    assert str(made) == str(layer)
    assert [(name, it.shape, it.dtype) for name, it in made.state_dict().items()] == [
        (name, it.shape, it.dtype) for name, it in layer.state_dict().items()
    ]
    assert not {id(it) for it in made.parameters()} & {id(it) for it in layer.parameters()}


def test_arguments_are_as_one_writes_them() -> None:
    given = layers.arguments(LAYERS[1])
    assert given == {
        "in_channels": 4,
        "out_channels": 8,
        "kernel_size": (3, 5),
        "stride": 2,
        "padding": (1, 2),
        "dilation": 2,
        "groups": 2,
        "bias": False,
        "padding_mode": "reflect",
    }
    assert layers.arguments(nn.ReLU()) == {}


def test_a_changed_argument_changes_the_parameters() -> None:
    layer = nn.Conv2d(4, 8, 3).eval().double().requires_grad_(False)
    made = layers.changed(layer, in_channels=6, groups=2, padding=1, padding_mode="circular")
    assert made.weight.shape == (8, 3, 3, 3)
    assert made.weight.dtype == torch.float64
    assert not made.weight.requires_grad
    assert not made.training
    assert made(torch.ones(1, 6, 5, 5, dtype=torch.float64)).shape == (1, 8, 5, 5)
    assert layer.in_channels == 4
    assert layer.weight.shape == (8, 4, 3, 3)


def test_a_subclass_with_a_constructor_of_its_own_stays_one() -> None:
    class Wide(nn.Conv2d):
        def __init__(self, name: str) -> None:
            super().__init__(3, 8, 3)
            self.name = name

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 2

    made = layers.changed(Wide("wide"), padding=1)
    assert type(made) is Wide
    assert made.name == "wide"
    assert made(torch.zeros(1, 3, 4, 4)).shape == (1, 8, 4, 4)


def test_hooks_are_kept() -> None:
    layer = nn.Conv2d(3, 8, 3)
    layer.register_forward_hook(lambda *_: torch.zeros(7))
    assert layers.changed(layer, padding=1)(torch.zeros(1, 3, 4, 4)).shape == (7,)


@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_parameters_that_something_else_makes_are_left_alone(wrap) -> None:  # type: ignore[no-untyped-def]  # torch's.
    layer = wrap(nn.Conv2d(3, 8, 3))
    assert layers.kind(layer) is None
    assert layers.arguments(layer) == {}
    with pytest.raises(TypeError):
        layers.changed(layer, padding=1)


def test_what_torch_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match="divisible by groups"):
        layers.changed(nn.Conv2d(4, 8, 3), groups=3)
