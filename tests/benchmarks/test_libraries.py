"""The peers compute the layers that they are given, and are asked for no others."""

from __future__ import annotations

import pytest
import torch

from benchmarks.case import Case
from benchmarks.layer import Layer
from benchmarks.libraries import FROZEN, LIBRARIES, PEERS, asked, contenders
from tatamu.measuring.passes import PASSES, operands
from tatamu.measuring.verify import expected, verify

LAYERS = [
    Layer("small", "grouped", 4, 6, (3, 3), 2, (1, 1), 2, 2, 9, 1),
    Layer("small", "stripe", 3, 5, (1, 7), 1, (0, 3), 1, 1, 8, 1),
    Layer("small", "depthwise", 4, 4, (3, 3), 1, (1, 1), 1, 4, 6, 1),
]


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("it", LAYERS, ids=lambda it: it.name)
def test_runtimes_compute_the_layer(name: str, it: Layer) -> None:
    for module in LIBRARIES[name].modules:
        pytest.importorskip(module)
    case = Case(it, 3, "forward")
    given = operands(case, seed=4)
    (contender,) = (one for one in contenders(case, given, [name]) if one.library == name)
    assert contender.layout == "NCHW"
    assert verify(case, str(contender), contender.call, expected(case, given)) < 1e-5


@pytest.mark.parametrize("it", LAYERS, ids=lambda it: it.name)
def test_frozen_layers_compute_the_layer(it: Layer) -> None:
    case = Case(it, 3, "forward")
    given = operands(case, seed=4)
    both = [one for one in contenders(case, given, [FROZEN]) if one.library == FROZEN]
    assert [one.layout for one in both] == ["NCHW", "channels_last"]
    for one in both:
        for _ in range(2):
            assert verify(case, str(one), one.call, expected(case, given)) < 1e-5


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize("element", ["f32", "bf16"])
def test_runtimes_are_asked_for_the_forward_pass_in_float32(direction: str, element: str) -> None:
    case = Case(LAYERS[0], 1, direction, element)
    names = {name for name, _ in asked(case, PEERS)}
    assert {"tatamu", "torch"} <= names
    assert ("onnxruntime" in names) == ("openvino" in names) == ((direction, element) == ("forward", "f32"))


def test_runtimes_use_as_many_threads_as_torch() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    asked_for: list[int] = []
    original = onnxruntime.InferenceSession

    def session(model: bytes, options: onnxruntime.SessionOptions, **rest: object) -> object:
        asked_for.append(options.intra_op_num_threads)
        return original(model, options, **rest)

    torch.set_num_threads(1)
    case = Case(LAYERS[0], 1, "forward")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", session)
        list(contenders(case, operands(case, 0), ["onnxruntime"]))
    assert asked_for == [1]
