"""Whole image models of `transformers`: outputs and all gradients are stock torch's, but for rounding.

The judge is stock torch in float64. What float32 may lose in a network is measured, not guessed: it is what
stock torch loses there. Ours may lose EXCESS times as much (in the default precision Winograd's filters round
more), and a floor besides, since torch's loss in one small tensor may happen to be nothing: FLOOR roundings
of the tensor's own size (its root mean square), and one of the largest tensor's, for gradients that are zero
but for rounding (a bias that a BatchNorm takes off again). In float64 the same, times the ratio of the two
roundings.

In float32 a model is made smooth before: where a ReLU's input is nearer to 0 than rounding, or two values
under a max pool nearer to each other, a correct gradient may take the other branch. In float64 that does not
happen, and models are as they are.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

import tatamu
from architectures import ARCHITECTURES, tensors

EXCESS = {"highest": 16, "high": 128}
"""By precision. Of eight seeds, the worst tensor of all networks needs 11 and 68."""
FLOOR = 64
ROUNDING = torch.finfo(torch.float32).eps
FORMATS = (torch.contiguous_format, torch.channels_last)

Passes = dict[str, Tensor]


def smooth(model: nn.Module) -> nn.Module:
    """The same model without corners, in place."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU | nn.ReLU6):
                setattr(module, name, nn.SiLU())
            elif isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    return model


def passes(model: nn.Module, images: Tensor) -> Passes:
    """Outputs, and the gradients of images and parameters, by name, in float64."""
    images = images.detach().requires_grad_()
    outputs = list(tensors(model(images)))
    torch.manual_seed(1)
    weights = [torch.randn(output.shape, dtype=torch.float64) for output in outputs]
    model.zero_grad()
    sum((y * w.to(y.dtype)).sum() for y, w in zip(outputs, weights, strict=True)).backward()
    named = {f"output {i}": output for i, output in enumerate(outputs)} | {"images": images.grad}
    named |= {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(tensor is not None for tensor in named.values()), (
        "a parameter without a gradient proves nothing"
    )
    return {name: tensor.detach().double() for name, tensor in named.items()}


def size(tensor: Tensor) -> float:
    return tensor.square().mean().sqrt().item()


class Judge(NamedTuple):
    """What is exact, and how far from it each tensor may be; by name."""

    exact: Passes
    limits: dict[str, float]

    @classmethod
    def of(cls, model: nn.Module, images: Tensor, rounding: float, excess: int) -> Judge:
        """``rounding`` is that of the dtype which is judged."""
        exact = passes(copy.deepcopy(model).double(), images.double())
        rounded = passes(copy.deepcopy(model).float(), images.float())
        largest = max(map(size, exact.values()))
        return cls(exact, {
            name: rounding / ROUNDING * excess * size(rounded[name] - tensor)
            + rounding * (FLOOR * size(tensor) + largest)
            for name, tensor in exact.items()
        })  # fmt: skip

    def mistakes(self, computed: Passes) -> list[str]:
        assert computed.keys() == self.exact.keys()
        off = {name: size(computed[name] - exact) for name, exact in self.exact.items()}
        return [
            f"{name}: off by {error:.3g} of {size(self.exact[name]):.3g}, limit {self.limits[name]:.3g}"
            for name, error in off.items()
            if not error <= self.limits[name]  # NaN is a mistake too.
        ]


def enabled(model: nn.Module, images: Tensor) -> Passes:
    before = tatamu.status()
    with tatamu.enabled():
        computed = passes(model, images)
    after = tatamu.status()
    assert after.forward - before.forward >= len(convolutions(model))
    assert after.backward - before.backward >= len(convolutions(model))
    assert after.passed_on == before.passed_on
    return computed


def converted(model: nn.Module, images: Tensor) -> Passes:
    conversion = tatamu.convert(model)
    # EfficientNet's are of a subclass, which may compute anything for all that convert knows.
    assert all("EfficientNetDepthwiseConv2d" in reason for reason in conversion.left.values())
    assert sorted([*conversion.changed, *conversion.left]) == sorted(convolutions(model))
    return passes(model, images)


def convolutions(model: nn.Module) -> list[str]:
    return [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]


HOW: dict[str, Callable[[nn.Module, Tensor], Passes]] = {"enabled": enabled, "converted": converted}


@pytest.fixture(params=EXCESS)
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    before = tatamu.get_precision()
    tatamu.set_precision(request.param)
    yield request.param
    tatamu.set_precision(before)


def compare(model: nn.Module, images: Tensor, excess: int) -> None:
    """Both ways to adopt a model, in both memory formats, against the judge."""
    judge = Judge.of(model, images, torch.finfo(images.dtype).eps, excess)
    for how, form in itertools.product(HOW, FORMATS):
        laid_out = copy.deepcopy(model).to(memory_format=form)
        mistakes = judge.mistakes(HOW[how](laid_out, images.contiguous(memory_format=form)))
        assert not mistakes, f"{how}, {form}: " + "\n".join(mistakes)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_outputs_and_gradients_are_torchs(name: str, training: bool, precision: str) -> None:
    model, image = ARCHITECTURES[name]()
    compare(smooth(model).train(training), torch.randn(2, *image), EXCESS[precision])


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_outputs_and_gradients_are_torchs_in_float64(name: str, training: bool) -> None:
    model, image = ARCHITECTURES[name]()
    compare(
        model.double().train(training),
        torch.randn(2, *image, dtype=torch.float64),
        EXCESS[tatamu.get_precision()],
    )


@pytest.mark.parametrize("wrong", ["output", "grad_input", "grad_weight"])
def test_a_wrong_convolution_is_found(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One layer of a network off by a thousandth, forward or in one gradient."""
    model, image = ARCHITECTURES["ResNet"]()
    smooth(model)
    images = torch.randn(2, *image)
    judge = Judge.of(model, images, ROUNDING, EXCESS["high"])
    layer = model.get_submodule(convolutions(model)[5])

    class Off(torch.autograd.Function):
        @staticmethod
        def forward(_ctx: object, x: Tensor, factor: float, _back: float) -> Tensor:
            _ctx.back = _back
            return x * factor

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None, None]:
            return grad * ctx.back, None, None

    more = 1.001
    forward = type(layer)._conv_forward

    def broken(self: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if wrong == "grad_input":
            x = Off.apply(x, 1.0, more)
        elif wrong == "grad_weight":
            weight = Off.apply(weight, 1.0, more)
        output = forward(self, x, weight, bias)
        return Off.apply(output, more, 1.0) if wrong == "output" else output

    monkeypatch.setattr(layer, "_conv_forward", broken.__get__(layer))
    assert judge.mistakes(passes(model, images))
