"""The layer: all that code written for torch's relies on."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import fx
from torch.nn.utils import fusion, parametrizations, prune

import tatamu

LAYERS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": (3, 2), "stride": 2, "padding": 1, "bias": False},
    {"kernel_size": 3, "stride": (1, 2), "padding": (1, 0), "dilation": (1, 3), "groups": 4, "bias": None},
    {"kernel_size": 3, "padding": "same", "padding_mode": "circular"},
    {"kernel_size": (1, 3), "padding": "valid"},
    {"kernel_size": 3, "padding": (2, 1), "padding_mode": "reflect", "bias": False, "groups": 2},
    {"kernel_size": 3, "padding": 2, "padding_mode": "replicate", "dilation": 2, "dtype": torch.float64},
]
ATTRIBUTES = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode",
    "transposed", "output_padding", "_reversed_padding_repeated_twice", "training",
)  # fmt: skip


def both(arguments: dict[str, Any]) -> tuple[tatamu.Conv2d, torch.nn.Conv2d]:
    """Our layer and torch's, made from one seed."""
    torch.manual_seed(1)
    ours = tatamu.Conv2d(4, 8, **arguments)
    torch.manual_seed(1)
    return ours, torch.nn.Conv2d(4, 8, **arguments)


@pytest.mark.parametrize("arguments", LAYERS, ids=str)
def test_the_layer_is_torchs(arguments: dict[str, Any]) -> None:
    ours, torchs = both(arguments)
    assert isinstance(ours, torch.nn.Conv2d)
    assert repr(ours) == repr(torchs)
    for name in ATTRIBUTES:
        assert getattr(ours, name) == getattr(torchs, name), name
    assert ours.state_dict().keys() == torchs.state_dict().keys()
    for name, parameter in torchs.named_parameters():
        assert torch.equal(ours.get_parameter(name), parameter), name
    images = torch.randn(2, 4, 8, 9, dtype=ours.weight.dtype)
    torch.testing.assert_close(ours(images), torchs(images))
    torch.testing.assert_close(ours(images[0]), torchs(images[0]))


def test_random_draws_are_torchs_in_number_too() -> None:
    draws = []
    for layer in (tatamu.Conv2d, torch.nn.Conv2d):
        torch.manual_seed(3)
        layer(4, 8, 3)
        draws.append(torch.rand(1))
    assert torch.equal(*draws)


@pytest.mark.parametrize("swap", [False, True])
def test_state_dicts_load_both_ways(swap: bool) -> None:
    source, target = tatamu.Conv2d(4, 8, 3, padding=1), torch.nn.Conv2d(4, 8, 3, padding=1)
    if swap:
        source, target = target, source
    assert target.load_state_dict(source.state_dict()) == ([], [])
    images = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(target(images), source(images))


@pytest.mark.parametrize("padding", ["same_upper", "same_lower", ((1, 0), (2, 3)), [[1, 0], [2, 3]]], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_paddings_that_torch_does_not_have(padding: Any, stride: int, mode: str) -> None:
    layer = tatamu.Conv2d(2, 3, 4, stride=stride, padding=padding, padding_mode=mode)
    assert f", padding={padding}" in repr(layer)
    total = max(0, (-(-6 // stride) - 1) * stride + 4 - 6)
    before = total // 2 if padding == "same_upper" else total - total // 2
    top, bottom, left, right = (
        (before, total - before) * 2 if isinstance(padding, str) else (*padding[0], *padding[1])
    )
    images = torch.randn(1, 2, 6, 6)
    padded = torch.nn.functional.pad(
        images, (left, right, top, bottom), mode="constant" if mode == "zeros" else mode
    )
    expected = torch.nn.functional.conv2d(padded, layer.weight, layer.bias, stride)
    torch.testing.assert_close(layer(images), expected)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(again) == repr(layer)
        assert torch.equal(again(images), layer(images))


def test_torchs_attribute_for_padding_beforehand() -> None:
    assert tatamu.Conv2d(2, 3, 4, padding=((1, 0), (2, 3)))._reversed_padding_repeated_twice == [2, 3, 1, 0]
    assert tatamu.Conv2d(2, 3, 4, padding="same_upper")._reversed_padding_repeated_twice == [1, 2, 1, 2]
    assert tatamu.Conv2d(2, 3, 4, padding="same_lower")._reversed_padding_repeated_twice == [2, 1, 2, 1]
    with pytest.raises(AttributeError):  # It depends on the input, so there is none to be misled by.
        _ = tatamu.Conv2d(2, 3, 4, 2, padding="same_lower")._reversed_padding_repeated_twice


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stride", (2, 2)),
        ("padding", (2, 1)),
        ("padding", "valid"),
        ("dilation", (2, 1)),
        ("padding_mode", "circular"),
    ],
    ids=str,
)
def test_changed_attributes_take_effect(name: str, value: object) -> None:
    layer, images = tatamu.Conv2d(2, 3, 3, padding=1), torch.randn(1, 2, 7, 6)
    before = layer(images)
    setattr(layer, name, value)
    fresh = tatamu.Conv2d(2, 3, 3, **({"padding": 1} | {name: value}))
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(layer(images), fresh(images))
    assert layer(images).shape != before.shape or not torch.equal(layer(images), before)


@pytest.mark.parametrize("change", ["copy_", "data", "replaced"])
def test_changed_weights_take_effect(change: str) -> None:
    layer, images = tatamu.Conv2d(2, 3, 3), torch.randn(1, 2, 5, 5)
    layer(images)
    weight = torch.randn_like(layer.weight)
    with torch.no_grad():
        if change == "copy_":
            layer.weight.copy_(weight)
        elif change == "data":
            layer.weight.data[:] = weight
        else:
            layer.weight = torch.nn.Parameter(weight)
    torch.testing.assert_close(layer(images), torch.nn.functional.conv2d(images, weight, layer.bias))


def test_meta_then_materialised() -> None:
    layer = tatamu.Conv2d(4, 8, 3, device="meta")
    assert layer(torch.empty(2, 4, 6, 5, device="meta")).shape == (2, 8, 4, 3)
    layer = layer.to_empty(device="cpu")
    layer.reset_parameters()
    assert layer(torch.randn(2, 4, 6, 5)).isfinite().all()


def test_conversions() -> None:
    layer = tatamu.Conv2d(4, 8, 3).double().to(memory_format=torch.channels_last)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    output = layer(torch.randn(1, 4, 5, 5, dtype=torch.float64))
    assert output.dtype == torch.float64
    assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("padding", [1, "same_upper", ((1, 0), (1, 0))], ids=str)
def test_lazy_layer(padding: Any) -> None:
    layer, images = tatamu.LazyConv2d(8, 3, 2, padding), torch.randn(1, 4, 6, 6)
    assert isinstance(layer, torch.nn.LazyConv2d)
    output = layer(images)
    assert type(layer) is tatamu.Conv2d
    assert layer.in_channels == 4
    assert torch.equal(layer(images), output)


def test_lazy_layer_starts_out_as_torchs() -> None:
    weights = []
    for lazy in (tatamu.LazyConv2d, torch.nn.LazyConv2d):
        torch.manual_seed(5)
        layer = lazy(8, 3)
        layer(torch.zeros(1, 4, 6, 6))
        weights.append(layer.weight)
    assert torch.equal(*weights)


def test_a_subclass_that_puts_other_weights_in() -> None:
    class Doubled(tatamu.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return self._conv_forward(input, self.weight * 2, None)

    layer, images = Doubled(2, 3, 3), torch.randn(1, 2, 5, 5)
    torch.testing.assert_close(layer(images), torch.nn.functional.conv2d(images, layer.weight * 2))


def test_parametrisations_and_pruning() -> None:
    images = torch.randn(1, 2, 5, 5)
    for change in (
        parametrizations.weight_norm, parametrizations.spectral_norm,
        lambda layer: prune.random_unstructured(layer, "weight", amount=0.5),
    ):  # fmt: skip
        layer = tatamu.Conv2d(2, 3, 3)
        change(layer)
        layer.eval()
        torch.testing.assert_close(
            layer(images), torch.nn.functional.conv2d(images, layer.weight, layer.bias)
        )


def test_fusing_with_batch_norm() -> None:
    layer, norm, images = tatamu.Conv2d(2, 3, 3).eval(), torch.nn.BatchNorm2d(3), torch.randn(4, 2, 5, 5)
    norm(layer(images))
    norm.eval()
    fused = fusion.fuse_conv_bn_eval(layer, norm)
    assert isinstance(fused, tatamu.Conv2d)
    torch.testing.assert_close(
        fused(images), norm(layer(images)), atol=1e-5, rtol=1e-5
    )  # One rounding more of each weight.


@pytest.mark.parametrize("arguments", LAYERS[:-1], ids=str)
def test_fx_tracing(arguments: dict[str, Any]) -> None:
    model = torch.nn.Sequential(tatamu.Conv2d(4, 8, **arguments), torch.nn.ReLU())
    traced = fx.symbolic_trace(model)
    images = torch.randn(2, 4, 8, 9)
    assert torch.equal(traced(images), model(images))
    assert torch.equal(pickle.loads(pickle.dumps(traced))(images), model(images))
    assert not any(
        "conv2d" in str(node.target) and "torch" in str(node.target) for node in traced.graph.nodes
    )


@pytest.mark.filterwarnings("ignore:.torch.jit.trace. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit.trace_method. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_jit_tracing_records_the_convolution() -> None:
    layer, images = tatamu.Conv2d(2, 3, 3), torch.randn(1, 2, 5, 5)
    with torch.no_grad():
        traced = torch.jit.trace(layer, images)
        others = torch.randn(1, 2, 5, 5)
        assert torch.equal(traced(others), layer(others))


def test_training_steps_are_torchs() -> None:
    losses = []
    for layer_type in (tatamu.Conv2d, torch.nn.Conv2d):
        torch.manual_seed(2)
        model = torch.nn.Sequential(
            layer_type(1, 4, 3, padding=1), torch.nn.ReLU(), layer_type(4, 2, 3, stride=2), torch.nn.Flatten()
        ).double()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        images = torch.randn(3, 1, 7, 7, dtype=torch.float64)
        for _ in range(5):
            optimiser.zero_grad()
            loss = model(images).square().mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert losses[:5] == pytest.approx(losses[5:], rel=1e-12)
    assert losses[4] < losses[0]


def test_importing_is_cheap() -> None:
    # Time varies with the machine; what must not be loaded does not.
    script = (
        "import sys, torch; before = set(sys.modules); import tatamu; added = set(sys.modules) - before;"
        "assert 'torch._dynamo' not in sys.modules and 'torch._inductor' not in sys.modules;"
        "assert not any(name.split('.')[0] in ('sympy', 'scipy', 'pandas') for name in added), added"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd="src")
