"""warmup: nothing is left to compile, and nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import tatamu
from tatamu import launch
from tatamu.engine.runtime import jit


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, padding_mode="reflect")
        self.pointwise = nn.Conv2d(8, 16, 1)
        self.wide = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = torch.relu(self.norm(self.stem(x)))
        x = self.wide(self.pointwise(self.depthwise(x)))
        return {"logits": self.head(torch.dropout(x.mean((2, 3)), 0.5, self.training))}


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(jit, "_functions", {})
    monkeypatch.setattr(launch, "_prepared", {})
    tatamu.functional._found.clear()
    yield
    tatamu.functional._found.clear()


def first_pass(model: nn.Module, x: Tensor) -> int:
    """How many kernels a first pass brings."""
    before = len(jit._functions)
    if model.training:
        target = torch.zeros(len(x), dtype=torch.long)
        torch.nn.functional.cross_entropy(model(x)["logits"], target).backward()
    else:
        with torch.no_grad():
            model(x)
    return len(jit._functions) - before


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("how", ["convert", "enable", "freeze"])
def test_a_first_pass_compiles_nothing(how: str, training: bool, form: torch.memory_format) -> None:
    model = Net().train(training).to(memory_format=form)
    if how == "enable":
        tatamu.enable()
    else:
        tatamu.convert(model)
        if how == "freeze":
            if training:
                return  # It cannot be.
            model = tatamu.freeze(model)
    x = torch.randn(4, 3, 17, 16).contiguous(memory_format=form)
    assert tatamu.warmup(model, (4, 3, 17, 16)) >= 4
    assert len(jit._functions) >= 4
    assert first_pass(model, x) == 0


def test_without_it_a_first_pass_compiles() -> None:
    model = Net()
    tatamu.convert(model)
    assert first_pass(model, torch.randn(4, 3, 17, 16)) > 0


def test_under_autocast() -> None:
    model = Net()
    tatamu.convert(model)
    with torch.autocast("cpu"):
        tatamu.warmup(model, (4, 3, 17, 16))
        assert first_pass(model, torch.randn(4, 3, 17, 16)) == 0


def test_several_sizes() -> None:
    model = Net().eval()
    tatamu.convert(model)
    one = tatamu.warmup(model, [(4, 3, 17, 16)])
    assert tatamu.warmup(model, [(4, 3, 17, 16), (1, 3, 9, 33)]) == 2 * one


def test_the_model_stays_as_it_was() -> None:
    model, seed = Net(), torch.get_rng_state()
    tatamu.convert(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tatamu.warmup(model, (4, 3, 17, 16))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    tatamu.warmup(model, (4, 3, 17, 16))
    assert torch.equal(torch.rand(1), expected)
    torch.set_rng_state(seed)


def test_a_model_of_torchs_is_no_work() -> None:
    with pytest.raises(tatamu.errors.RehearsalError, match=r"nothing in Net yet; call tatamu.enable\(\)"):
        tatamu.warmup(Net(), (4, 3, 17, 16))


def test_a_model_that_looks_at_numbers() -> None:
    class Choosy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = tatamu.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) if x.sum() > 0 else x

    with pytest.raises(tatamu.errors.RehearsalError, match="Choosy does depends on the numbers"):
        tatamu.warmup(Choosy(), (1, 3, 8, 8))
