"""convert and revert: the same objects, of another class."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import tatamu
from adopt.served import torchs_kernels

OLD = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")  # torch's, of its older function.


class Scaled(nn.Conv2d):
    """A layer that computes something else."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Net(nn.Module):
    """Layers of every kind, one of them used twice, two of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding="same")
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, padding_mode="circular"), nn.ReLU())
        self.tied = nn.Conv2d(8, 8, 3, padding=1)
        self.tied.weight = self.body[0].weight
        self.scaled = Scaled(8, 4, 1)
        self.up = nn.ConvTranspose2d(4, 2, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.scaled(self.tied(self.body(self.body(self.first(x))))))


def passes(model: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    output = model(x)
    return output, *torch.autograd.grad(output.sin().sum(), tuple(model.parameters()))


def test_a_model_computes_the_same_before_during_and_after() -> None:
    model, x = Net().double(), torch.randn(2, 3, 9, 8, dtype=torch.float64)
    expected, keys = passes(model, x), list(model.state_dict())
    objects = [*model.modules(), *model.parameters()]
    report = tatamu.convert(model)
    assert report.changed == ("first", "body.0", "tied")
    assert set(report.left) == {"scaled", "up"}
    assert torchs_kernels(lambda: model.tied(model.body(model.first(x)))) == set()
    torch.testing.assert_close(passes(model, x), expected)
    assert list(model.state_dict()) == keys
    assert all(a is b for a, b in zip(objects, [*model.modules(), *model.parameters()], strict=True))
    assert type(model.first) is tatamu.Conv2d
    assert tatamu.revert(model).changed == ("first", "body.0", "tied")
    assert type(model.first) is nn.Conv2d
    assert all(torch.equal(a, b) for a, b in zip(passes(model, x), expected, strict=True))


def test_what_it_reports() -> None:
    model = Net()
    lines = str(tatamu.convert(model)).splitlines()
    assert lines[:2] == ["3 layers changed", "first: changed"]
    assert any(line.startswith("scaled: left, of a subclass (") for line in lines)
    assert any(line.startswith("up: left, transposed") for line in lines)
    assert str(tatamu.convert(nn.Conv2d(1, 1, 1))) == "1 layer changed\nthe model: changed"
    assert tatamu.convert(model).left["first"] == "it is tatamu's already"


def _quantised() -> nn.Module:
    return torch.ao.nn.quantized.Conv2d(3, 4, 3)


OTHERS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "1-D": (lambda: nn.Conv1d(3, 4, 3), "in one dimension"),
    "3-D": (lambda: nn.LazyConv3d(4, 3), "in three dimensions"),
    "transposed": (lambda: nn.LazyConvTranspose2d(4, 3), "transposed"),
    "quantised": (_quantised, "quantised"),
    "scripted": (lambda: torch.jit.script(nn.Conv2d(3, 4, 3)), "compiled by torch.jit"),
    "subclass": (lambda: Scaled(3, 4, 3), "of a subclass"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's, of torch.jit and torch.ao.
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")  # The same.
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_left_and_why(name: str) -> None:
    make, reason = OTHERS[name]
    model = nn.Sequential(nn.ReLU(), make())
    kind = type(model[1])
    report = tatamu.convert(model)
    assert report.changed == ()
    assert report.left["1"].startswith(reason)
    assert type(model[1]) is kind


def test_what_cannot_be_reverted_and_why() -> None:
    class Own(tatamu.Conv2d):
        pass

    named, uneven = tatamu.Conv2d(3, 3, 3, 2, "same_upper"), tatamu.Conv2d(3, 3, 3, 1, ((0, 1), (2, 0)))
    model = nn.Sequential(named, uneven, Own(3, 3, 1))
    report = tatamu.revert(model)
    assert report.changed == ()
    assert [reason.split(" ")[0] for reason in report.left.values()] == ["it", "it", "of"]
    frozen = tatamu.freeze(nn.Sequential(tatamu.Conv2d(3, 3, 3), nn.ReLU()).eval())
    assert "tatamu.freeze()" in tatamu.revert(frozen).left["0"]


def test_a_frozen_layer_is_thawed_when_it_is_reverted() -> None:
    layer = tatamu.Conv2d(64, 64, 3, bias=False).eval()
    x = torch.randn(1, 64, 9, 9)
    tatamu.freeze(layer)
    layer(x)
    tatamu.revert(layer)
    layer.weight.data.zero_()
    with tatamu.enabled():
        assert not layer(x).any()


def test_a_lazy_layer() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3))
    assert tatamu.convert(model).changed == ("0",)
    model(torch.randn(1, 3, 8, 8))
    assert type(model[0]) is tatamu.Conv2d
    lazy = nn.Sequential(nn.LazyConv2d(4, 3))
    tatamu.convert(lazy)
    assert tatamu.revert(lazy).changed == ("0",)
    lazy(torch.randn(1, 3, 8, 8))
    assert type(lazy[0]) is nn.Conv2d


def test_an_optimiser_goes_on() -> None:
    x, losses = torch.randn(2, 3, 8, 8), []
    for convert in (False, True):
        torch.manual_seed(1)
        model = nn.Conv2d(3, 4, 3).double()
        optimiser = torch.optim.Adam(model.parameters())
        for step in range(3):
            if convert and step == 1:
                tatamu.convert(model)
            optimiser.zero_grad()
            loss = model(x.double()).pow(2).sum()
            loss.backward()
            optimiser.step()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses)


def test_hooks_stay() -> None:
    model, seen = nn.Sequential(nn.Conv2d(3, 4, 3)), []
    model[0].register_forward_pre_hook(lambda *_: seen.append("before"))
    model[0].register_full_backward_hook(lambda *_: seen.append("backward"))
    tatamu.convert(model)
    model(torch.randn(1, 3, 8, 8, requires_grad=True)).sum().backward()
    assert seen == ["before", "backward"]


PARAMETRIZED: dict[str, Callable[[nn.Conv2d], nn.Module]] = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "older weight_norm": nn.utils.weight_norm,
    "older spectral_norm": nn.utils.spectral_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
}


@OLD
@pytest.mark.parametrize("name", PARAMETRIZED)
def test_weights_that_are_computed(name: str) -> None:
    layer = PARAMETRIZED[name](nn.Conv2d(3, 4, 3).double()).eval()
    x, keys = torch.randn(2, 3, 8, 7, dtype=torch.float64), list(layer.state_dict())
    expected = passes(layer, x)
    tatamu.convert(layer)
    assert isinstance(layer, tatamu.Conv2d)
    assert list(layer.state_dict()) == keys
    assert torchs_kernels(lambda: layer(x)) == set()
    torch.testing.assert_close(passes(layer, x), expected)
    tatamu.revert(layer)
    assert not isinstance(layer, tatamu.Conv2d)
    assert all(torch.equal(a, b) for a, b in zip(passes(layer, x), expected, strict=True))


def test_a_parametrization_can_be_copied_and_removed() -> None:
    layer = parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    other = copy.deepcopy(layer)  # torch lets both have one class.
    assert type(layer) is type(other)
    tatamu.convert(layer)
    assert not isinstance(other, tatamu.Conv2d)
    twin = copy.deepcopy(layer)
    assert torch.equal(twin(torch.ones(1, 3, 8, 8)), layer(torch.ones(1, 3, 8, 8)))
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is tatamu.Conv2d
    parametrize.remove_parametrizations(other, "weight")
    assert type(other) is nn.Conv2d


def test_pickles_copies_and_files() -> None:
    model, x = Net(), torch.randn(1, 3, 8, 8)
    tatamu.convert(model)
    expected = model(x)
    assert torch.equal(copy.deepcopy(model)(x), expected)
    again = pickle.loads(pickle.dumps(model))
    assert type(again.first) is tatamu.Conv2d
    assert torch.equal(again(x), expected)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    stock = Net()
    stock.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(stock(x), expected, rtol=1e-4, atol=1e-4)
