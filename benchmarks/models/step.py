"""An inference or a training step of a model, and who makes it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import tatamu
from benchmarks.libraries import FROZEN
from benchmarks.models.networks import with_tatamu
from benchmarks.runtimes import openvino_options
from tatamu.measuring.passes import LAYOUTS

STEPS = ("inference", "training")
PEERS = ("torch.compile", "openvino")
"""Beside eager torch. torch.compile holds weights constant in inference ("freezing"), as OpenVINO does."""
RATE = 1e-6
"""So small that the model is the same one after any number of steps."""
LIMITS = {"inference": 1e-3, "training": 0.1}
"""Errors that are no rounding. A whole model has no bound: its rounding depends on the weights, and a ReLU
that is just on or just off changes a gradient (torch's of MobileNetV2 are off by 0.02 in channels_last).
What is judged strictly is the layer, in `python -m benchmarks`; here both errors are shown side by side."""


class WrongModelError(Exception):
    """A model whose output or gradients are not those of float64."""


@dataclass(frozen=True)
class Maker:
    """Who makes the step: a library in a memory format. `call` returns what `step_of` says."""

    library: str
    layout: str
    call: Callable[[], list[Tensor]]


def step_of(model: nn.Module, x: Tensor, step: str) -> Callable[[], list[Tensor]]:
    """The call that makes the step and returns the output of inference, or the gradients of training.

    Training: forward, mean square of the outputs, backward, SGD with momentum.
    """
    if step == "inference":

        def infer() -> list[Tensor]:
            with torch.no_grad():
                return [model(x)]

        return infer
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)

    def train() -> list[Tensor]:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        return [it.grad for it in model.parameters() if it.grad is not None]

    return train


def makers(model: nn.Module, x: Tensor, step: str, peers: tuple[str, ...]) -> Iterator[Maker]:
    """Everyone; each has a copy of the model."""
    model = copy.deepcopy(model).train(step == "training")
    for layout, memory_format in LAYOUTS.items():
        image = x.contiguous(memory_format=memory_format)
        for library, change in (("tatamu", with_tatamu), ("torch", copy.deepcopy)):
            it: nn.Module = change(model)
            it = it.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's overloads lack it.
            yield Maker(library, layout, step_of(it, image, step))
            if library == "tatamu" and step == "inference":
                yield Maker(FROZEN, layout, step_of(tatamu.freeze(copy.deepcopy(it)), image, step))
    if "torch.compile" in peers:
        compiled: Any = torch.compile(copy.deepcopy(model), options={"freezing": step == "inference"})
        yield Maker("torch.compile", "NCHW", step_of(compiled, x, step))
    if "openvino" in peers and step == "inference":
        yield Maker("openvino", "NCHW", _openvino(model, x))


def judged(model: nn.Module, x: Tensor, step: str) -> list[Tensor]:
    """What the step computes in float64."""
    wide = copy.deepcopy(model).double().train(step == "training")
    return step_of(wide, x.double(), step)()


def verify(maker: Maker, expected: list[Tensor], step: str) -> float:
    """Make the step once; the distance from what is expected, relative to its length (Euclidean).

    Raises:
        WrongModelError: it is over `LIMITS`, or not finite.
    """
    results = maker.call()
    differences = [(it.double() - right).norm() for it, right in zip(results, expected, strict=True)]
    length = torch.stack([right.norm() for right in expected]).norm()
    error = float(torch.stack(differences).norm() / length)
    if not error <= LIMITS[step]:  # NaN is not.
        raise WrongModelError(f"{maker.library} in {maker.layout} is wrong: {step} is off by {error:.1e}")
    return error


def _openvino(model: nn.Module, x: Tensor) -> Callable[[], list[Tensor]]:
    import openvino  # type: ignore[import-untyped]  # noqa: PLC0415 - optional.

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenVINO traces the model in a way that torch no longer recommends.
        converted = openvino.convert_model(model, example_input=x, input=list(x.shape))
    compiled = openvino.compile_model(converted, "CPU", openvino_options(torch.get_num_threads()))
    image = x.numpy()
    return lambda: [torch.from_numpy(compiled([image], share_inputs=True, share_outputs=True)[0])]
