"""Who computes: tatamu, and what a user could take instead.

Each library gets tensors in the memory formats that it takes, and what it holds constant it prepares before
it is timed. ONNX Runtime, OpenVINO and tatamu's frozen layers hold the weights constant (`constant_weights`):
they transform them once, which tatamu and torch, called as here, must do at every call.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

import tatamu
from benchmarks import runtimes
from benchmarks.case import Case
from tatamu.measuring.passes import DTYPES, LAYOUTS, PASSES, Operands, prepare

Call = Callable[[], Tensor]


@dataclass(frozen=True)
class Library:
    """One that computes convolutions.

    Attributes:
        prepare: from a case and its input, weight and gradient of the output to the call that computes it.
        package: the distribution that it comes with.
        modules: what must be importable for it.
        layouts, passes, elements: what it can be asked for.
        constant_weights: whether weights are transformed before the call.
    """

    prepare: Callable[[Case, Tensor, Tensor, Tensor], Call]
    package: str
    modules: tuple[str, ...] = ()
    layouts: tuple[str, ...] = tuple(LAYOUTS)
    passes: tuple[str, ...] = PASSES
    elements: tuple[str, ...] = tuple(DTYPES)
    constant_weights: bool = False

    def takes(self, case: Case) -> bool:
        """Whether it can compute a case at all."""
        return case.direction in self.passes and case.element in self.elements


@dataclass(frozen=True)
class Contender:
    """A library in a memory format, and its call."""

    library: str
    layout: str
    call: Call

    def __str__(self) -> str:
        return f"{self.library} in {self.layout}"


def _tatamu(case: Case, x: Tensor, w: Tensor, gy: Tensor) -> Call:
    return prepare(case, tatamu.conv2d, x, w, gy)


def _frozen(case: Case, x: Tensor, w: Tensor, _: Tensor) -> Call:
    it = case.layer
    layer = tatamu.Conv2d(
        it.in_channels, it.out_channels, it.kernel, it.stride, it.padding, it.dilation, it.groups, bias=False
    )
    layer.weight = torch.nn.Parameter(w, requires_grad=False)
    tatamu.freeze(layer.eval())

    def forward() -> Tensor:
        with torch.no_grad():
            return layer(x)

    return forward


def _torch(case: Case, x: Tensor, w: Tensor, gy: Tensor) -> Call:
    return prepare(case, torch.nn.functional.conv2d, x, w, gy)


FROZEN = "tatamu frozen"
OURS = ("tatamu", FROZEN)

LIBRARIES = {
    "tatamu": Library(_tatamu, "tatamu"),
    FROZEN: Library(_frozen, "tatamu", passes=("forward",), constant_weights=True),
    "torch": Library(_torch, "torch"),
    "torch.compile": Library(runtimes.torch_compile, "torch", passes=("forward",)),
    "onnxruntime": Library(
        runtimes.onnx_runtime,
        "onnxruntime",
        modules=("onnx", "onnxruntime"),
        layouts=("NCHW",),
        passes=("forward",),
        elements=("f32",),
        constant_weights=True,
    ),
    "openvino": Library(
        runtimes.openvino,
        "openvino",
        modules=("openvino",),
        layouts=("NCHW",),
        passes=("forward",),
        elements=("f32",),
        constant_weights=True,
    ),
}
"""By the name that a table has for it."""

PEERS = tuple(name for name in LIBRARIES if name != "tatamu")
"""What can be measured beside tatamu, its own frozen layers among them."""


def installed(peers: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of the peers that can be asked, and a sentence for each that is left out."""
    there, sentences = [], []
    for name in peers:
        missing = [it for it in LIBRARIES[name].modules if importlib.util.find_spec(it) is None]
        if missing:
            sentences.append(f"{name} is left out: {' and '.join(missing)} not installed.")
        else:
            there.append(name)
    return there, sentences


def asked(case: Case, peers: Iterable[str]) -> list[tuple[str, str]]:
    """The libraries and memory formats that a case is measured in: tatamu, and each peer that takes it."""
    return [
        (name, layout)
        for layout in LAYOUTS
        for name in ("tatamu", *peers)
        if layout in LIBRARIES[name].layouts and LIBRARIES[name].takes(case)
    ]


def contenders(case: Case, given: Operands, peers: Iterable[str]) -> Iterator[Contender]:
    """Everyone's call, in the order of `asked`; all operands have the memory format."""
    for name, layout in asked(case, peers):
        x, w, gy = (
            it.contiguous(memory_format=LAYOUTS[layout])
            for it in (given.input, given.weight, given.grad_output)
        )
        yield Contender(name, layout, LIBRARIES[name].prepare(case, x, w, gy))
