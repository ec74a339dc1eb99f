"""Frozen models compute what the models compute; what is fused, and what is left alone, is said."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tatamu
from tatamu import Conv2d
from tatamu.errors import FrozenTrainingError
from tatamu.fused import FusedConv2d

C = 16


def conv(channels: int = C, outputs: int = C, kernel: int = 3, **arguments: Any) -> Conv2d:
    return Conv2d(channels, outputs, kernel, padding=kernel // 2, **arguments)


def norm(channels: int = C) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels)
    assert made.running_mean is not None
    assert made.running_var is not None
    made.running_mean.normal_()
    made.running_var.uniform_(0.5, 2)
    nn.init.normal_(made.weight, 1, 0.2)
    nn.init.normal_(made.bias)
    return made


def seen(model: nn.Module) -> dict[str, str]:
    """The report on a frozen model: by the layer's path."""
    return dict(line.split(": ", 1) for line in tatamu.explain(model).splitlines())


def same(model: nn.Module, frozen: nn.Module, *size: int) -> None:
    """Both compute the same of an image and leave it alone: to rounding, by the same model in float64."""
    x = torch.randn(size or (2, C, 11, 13))
    before = x.clone()
    exact = copy.deepcopy(model).double()(x.double())
    largest = exact.abs().max()
    for it in (model, frozen):
        assert (it(x).double() - exact).abs().max() <= 5e-6 * largest
        assert torch.equal(x, before)


class Block(nn.Module):
    """A residual block, written in one of the usual ways."""

    def __init__(self, end: Callable[[Tensor, Tensor], Tensor], *, project: bool = False) -> None:
        super().__init__()
        self.one, self.norm_one, self.relu = conv(), norm(), nn.ReLU(inplace=True)
        self.two, self.norm_two = conv(), norm()
        self.project = nn.Sequential(conv(kernel=1), norm()) if project else nn.Identity()
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm_two(self.two(self.relu(self.norm_one(self.one(x)))))
        return self.end(y, self.project(x))


def _in_place(y: Tensor, x: Tensor) -> Tensor:
    y += x
    return functional.relu(y, inplace=True)


def _into_the_other(y: Tensor, x: Tensor) -> Tensor:
    x = functional.max_pool2d(x, 3, 1, 1)
    held = x
    x += y
    return x * held


ENDS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "function": (lambda y, x: torch.relu(x + y), "residual added, ReLU"),
    "torch.add": (lambda y, x: functional.relu6(torch.add(y, x)), "residual added, ReLU6"),
    "method": (lambda y, x: y.add(x).relu(), "residual added, ReLU"),
    "in place": (_in_place, "residual added, ReLU"),
    "method in place": (lambda y, x: functional.silu(y.add_(x)), "residual added, SiLU"),
    "sum alone": (lambda y, x: y + x, "residual added; the end of what torch.fx traced follows"),
    "hardswish": (lambda y, x: functional.hardswish(x + y), "residual added, Hardswish"),
    "scaled": (lambda y, x: torch.add(y, x, alpha=2), "add follows"),
    "a number": (lambda y, _: torch.relu(y + 1), "add follows"),
    "itself": (lambda y, _: torch.relu(y + y), "add follows"),
    "used twice": (lambda y, _: y + torch.relu(y), "its output is used in several places"),
    "into the other": (_into_the_other, "its sum is written into another tensor"),
    "other activation": (lambda y, x: functional.gelu(y + x), "residual added; gelu follows"),
}


@pytest.mark.parametrize("way", ENDS)
def test_residual_blocks(way: str) -> None:
    end, words = ENDS[way]
    model = Block(end).eval()
    frozen = tatamu.freeze(model)
    said = seen(frozen)
    assert said["one"] == "BatchNorm2d folded, ReLU"
    assert said["two"].startswith("BatchNorm2d folded")
    assert said["two"].endswith(words)
    same(model, frozen)


def test_of_two_summands_the_last_computes_the_sum() -> None:
    model = Block(_in_place, project=True).eval()
    frozen = tatamu.freeze(model)
    assert seen(frozen)["two"] == "BatchNorm2d folded; iadd follows"
    assert seen(frozen)["project.0"] == "BatchNorm2d folded, residual added, ReLU"
    same(model, frozen)


class Preactivated(nn.Module):
    """Its activation writes into what the sum needs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu, self.last = conv(), norm(), nn.ReLU(inplace=True), conv()

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        y = self.norm(self.conv(x))
        z = self.last(self.relu(x))
        return y + x + z


def test_a_sum_does_not_move_over_what_writes() -> None:
    model = Preactivated().eval()
    frozen = tatamu.freeze(model)
    assert seen(frozen)["conv"] == "BatchNorm2d folded; a tensor may be written to before the sum"
    same(model, frozen)


ACTIVATIONS: list[nn.Module] = [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.SiLU(), nn.Hardswish()]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("normalises", [False, True])
def test_activations(activation: nn.Module, normalises: bool) -> None:
    between = norm() if normalises else nn.Identity()
    model = nn.Sequential(conv(), between, nn.Dropout(0.3), activation).eval()
    frozen = tatamu.freeze(model)
    said = ["BatchNorm2d folded"] * normalises + [type(activation).__name__]
    assert seen(frozen) == {"0": ", ".join(said)}
    assert [type(it) for it in frozen.children()] == [FusedConv2d]
    same(model, frozen)


def test_weights_that_nothing_is_folded_into_are_shared() -> None:
    model = nn.Sequential(conv(), nn.ReLU(), conv(), norm()).eval()
    frozen = tatamu.freeze(model)
    shared, folded = (it for it in frozen.modules() if isinstance(it, FusedConv2d))
    assert shared.weight.data_ptr() == model[0].weight.data_ptr()
    assert folded.weight.data_ptr() != model[2].weight.data_ptr()
    assert not shared.weight.requires_grad


def hooked(module: nn.Module) -> nn.Module:
    module.register_forward_hook(lambda *_: None)
    return module


class Subclass(Conv2d):
    """Anything may be in there."""


def parametrized() -> nn.Module:
    return torch.nn.utils.parametrizations.weight_norm(conv())


LEFT: dict[str, tuple[Callable[[], list[nn.Module]], str]] = {
    "a hook on the layer": (lambda: [hooked(conv()), norm()], "nothing fused; it has hooks"),
    "a hook on the norm": (
        lambda: [conv(), hooked(norm())], "nothing fused; BatchNorm2d follows, which has hooks",
    ),
    "a hook on the activation": (
        lambda: [conv(), norm(), hooked(nn.ReLU())], "BatchNorm2d folded; ReLU follows, which has hooks",
    ),
    "a subclass": (lambda: [Subclass(C, C, 3), norm()], "nothing fused; it is a Subclass"),
    "parametrized": (lambda: [parametrized(), norm()], "nothing fused; it is a ParametrizedConv2d"),
    "no statistics": (
        lambda: [conv(), nn.BatchNorm2d(C, track_running_stats=False)],
        "nothing fused; BatchNorm2d is not folded: it has no running statistics",
    ),
    "another norm": (lambda: [conv(), nn.GroupNorm(2, C)], "nothing fused; GroupNorm follows"),
    "another activation": (lambda: [conv(), norm(), nn.GELU()], "BatchNorm2d folded; GELU follows"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LEFT)
def test_what_is_left_alone(kind: str) -> None:
    parts, words = LEFT[kind]
    model = nn.Sequential(*parts()).eval()
    frozen = tatamu.freeze(model)
    assert seen(frozen)["0"] == words
    same(model, frozen)


def test_a_norm_in_training_mode_is_not_folded() -> None:
    model = nn.Sequential(conv(), norm(), nn.ReLU()).eval()
    model[1].train()
    frozen = tatamu.freeze(model)
    assert seen(frozen)["0"] == "nothing fused; BatchNorm2d is not folded: it is in training mode"
    assert frozen is model


def test_hooks_go_on_being_called() -> None:
    inner = nn.Sequential(conv(), norm(), nn.ReLU())
    model = nn.Sequential(inner, conv(), nn.ReLU()).eval()
    outputs: list[Tensor] = []
    inner.register_forward_hook(lambda _, __, output: outputs.append(output))
    frozen = tatamu.freeze(model)
    assert seen(frozen) == {"0.0": "BatchNorm2d folded, ReLU", "1": "ReLU"}
    same(model, frozen)
    assert len(outputs) == 3  # The model in float64 and in float32, and the frozen one.


class Twice(nn.Module):
    """A layer that is used twice, and an activation likewise."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.norm, self.relu, self.own = conv(), norm(), nn.ReLU(), conv()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.shared(x)))
        return self.relu(self.norm(self.own(self.shared(x))))


def test_what_is_used_twice() -> None:
    model = Twice().eval()
    frozen = tatamu.freeze(model)
    assert seen(frozen)["shared"] == "nothing fused; it is used more than once"
    assert seen(frozen)["own"] == "BatchNorm2d folded, ReLU"
    same(model, frozen)


class WeightRead(nn.Module):
    """The weight is looked at by others too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = conv(), norm()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.conv.weight.mean()


def test_a_weight_that_is_read_elsewhere() -> None:
    model = WeightRead().eval()
    frozen = tatamu.freeze(model)
    assert seen(frozen)["conv"] == "nothing fused; its weight is read elsewhere too"
    same(model, frozen)


class Branching(nn.Module):
    """torch.fx cannot trace it; its parts it can. It remembers what it saw."""

    scale = 2.0

    def __init__(self) -> None:
        super().__init__()
        self.first, self.lone = nn.Sequential(conv(), norm(), nn.ReLU()), conv()
        self.blocks = nn.ModuleList(Block(_in_place) for _ in range(2))
        self.again = self.blocks[0]
        self.seen: object = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        self.seen = x.shape
        if x.shape[1] != C:
            raise ValueError("not such a thing")
        y: Tensor = self.lone(self.first(x)) * self.scale
        for block in self.blocks:
            y = block(y)
        y = self.again(y)
        return y if mask is None else y * mask


def test_a_model_that_cannot_be_traced_is_fused_part_by_part() -> None:
    model = Branching().eval()
    frozen = tatamu.freeze(model)
    said = seen(frozen)
    assert said["the model (Branching)"] == "part by part; its forward has optional arguments"
    assert said["first.0"] == "BatchNorm2d folded, ReLU"
    assert said["lone"] == "nothing fused; torch.fx does not see what follows it"
    assert said["blocks.1.two"] == "BatchNorm2d folded, residual added, ReLU"
    assert isinstance(frozen, Branching)
    assert frozen is not model
    assert frozen.again is frozen.blocks[0]
    same(model, frozen)
    x = torch.randn(1, C, 5, 5)
    assert torch.equal(frozen(x, x * 0), x * 0)
    with pytest.raises(ValueError, match="not such a thing"):
        frozen(torch.randn(1, C + 1, 5, 5))


def test_the_model_that_is_given_stays_as_it_was() -> None:
    model = Branching().eval()
    names = [name for name, _ in model.named_modules()]
    numbers = {name: it.clone() for name, it in model.state_dict().items()}
    frozen = tatamu.freeze(model)
    frozen(torch.randn(1, C, 5, 5))
    assert model.seen is None
    assert [name for name, _ in model.named_modules()] == names
    assert not any(isinstance(it, FusedConv2d | torch.fx.GraphModule) for it in model.modules())
    assert all(torch.equal(it, numbers[name]) for name, it in model.state_dict().items())
    assert all(it.requires_grad for it in model.parameters())
    model.train()(torch.randn(2, C, 9, 9)).sum().backward()
    model.eval()
    same(model, tatamu.freeze(model))


def test_the_frozen_model_goes_by_the_numbers_it_was_made_from() -> None:
    model = nn.Sequential(conv(), norm(), nn.ReLU()).eval()
    frozen, x = tatamu.freeze(model), torch.randn(1, C, 9, 9)
    expected = frozen(x)
    model.train()
    model[0].weight.data.mul_(2)
    model[1](torch.randn(4, C, 5, 5))
    assert torch.equal(frozen(x), expected)


def test_it_is_not_to_be_trained() -> None:
    frozen = tatamu.freeze(nn.Sequential(conv(), norm()).eval())
    with pytest.raises(FrozenTrainingError, match="is for inference only"):
        frozen.train()


def test_a_model_without_anything_to_fuse_is_returned_itself() -> None:
    for model in (nn.Sequential(conv(), nn.GELU()).eval(), nn.Linear(3, 4).eval(), conv().eval()):
        assert tatamu.freeze(model) is model


def test_a_part_in_training_mode_stays_so() -> None:
    model = nn.Sequential(conv(), norm(), nn.ReLU(), nn.Dropout(0.5)).eval()
    model[3].train()
    frozen = tatamu.freeze(model)
    assert [it.training for it in frozen.modules()] == [False, False, True]


def test_freezing_again_changes_nothing() -> None:
    frozen = tatamu.freeze(Block(_in_place).eval())
    assert tatamu.freeze(frozen) is frozen
    assert seen(frozen)["two"] == "BatchNorm2d folded, residual added, ReLU; frozen before"


def test_copies_and_files() -> None:
    frozen, x = tatamu.freeze(Block(_plain).eval()), torch.randn(1, C, 9, 9)
    expected = frozen(x)
    file = io.BytesIO()
    torch.save(frozen, file)
    file.seek(0)
    for again in (copy.deepcopy(frozen), torch.load(file, weights_only=False)):
        assert torch.equal(again(x), expected)
        assert seen(again)["one"] == "BatchNorm2d folded, ReLU"


def _plain(y: Tensor, x: Tensor) -> Tensor:
    return y + x


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit's own.
def test_scripted_parts_are_left_alone() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Conv2d(C, C, 1), nn.ReLU()).eval())
    model = nn.Sequential(scripted, conv(), nn.ReLU()).eval()
    frozen = tatamu.freeze(model)
    assert seen(frozen) == {"1": "ReLU"}
    x = torch.randn(1, C, 9, 9)
    assert torch.allclose(frozen(x), model(x), rtol=1e-5, atol=1e-5)
