"""A walk does what a real pass does, writes it down, and leaves the model as it is."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tatamu
from tatamu.errors import (
    BiasShapeError,
    EmptyInputError,
    InputChannelsError,
    InputDimensionsError,
    ModelError,
    NegativePaddingError,
    StridedSameError,
    TransposedConvolutionError,
    ValueReadError,
)
from tatamu.tracing.copies import weightless
from tatamu.tracing.steps import Value
from tatamu.tracing.walk import walk


class Function(nn.Module):
    """A function of the input and of some modules."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs, *self.parts)


def test_steps_and_calls_of_a_small_network() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    walked = walk(model, "3x8x8")
    assert walked.failure is None
    assert walked.sizes == ((1, 3, 8, 8),)
    assert walked.output.shape == (1, 5)
    assert [(it.path, it.kind, it.parent) for it in walked.calls] == [
        ("", "Sequential", None),
        ("0", "Conv2d", 0),
        ("1", "ReLU", 0),
        ("2", "Flatten", 0),
        ("3", "Linear", 0),
    ]
    convolution = walked.steps[0]
    assert (convolution.path, convolution.operator, convolution.function) == (
        "0", "aten.convolution.default", "conv2d",
    )  # fmt: skip
    assert [(it.shape, it.name) for it in convolution.inputs] == [
        ((1, 3, 8, 8), "input"), ((8, 3, 3, 3), "0.weight"), ((8,), "0.bias"),
    ]  # fmt: skip
    assert convolution.geometry is not None
    assert convolution.geometry.output_size == (1, 8, 6, 6) == convolution.outputs[0].shape
    assert dict(walked.parameters) == {name: it.numel() for name, it in model.named_parameters()}


def test_the_setter_of_a_size_is_found_behind_activations_normalisations_and_views() -> None:
    parts = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(2)
    walked = walk(nn.Sequential(*parts), "3x8x8")
    setter = walked.setter(walked.output)
    assert setter is not None
    assert setter.path == "0"
    assert walked.setter(walked.inputs[0]) is None


def model_with_everything() -> nn.Module:
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU(inplace=True))
    return nn.Sequential(inner, tatamu.Conv2d(4, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))


def test_the_model_stays_as_it_is() -> None:
    model = model_with_everything().train()
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    values = copy.deepcopy(tensors)
    attributes = {path: dict(it.__dict__) for path, it in model.named_modules()}
    assert walk(model, "3x9x9").failure is None
    after = [*model.named_parameters(), *model.named_buffers()]
    assert all(tensors[name] is it for name, it in after)
    assert all(torch.equal(it, values[name]) for name, it in tensors.items())
    assert {path: dict(it.__dict__) for path, it in model.named_modules()} == attributes
    assert all(not it._forward_hooks and not it._forward_pre_hooks for it in model.modules())
    assert all(it.training for it in model.modules())


def test_nothing_is_computed_and_no_memory_is_taken() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(1 << 20, 1 << 20, 3), nn.Flatten(), nn.Linear(1 << 30, 1 << 30))
    walked = walk(model, (1 << 20, 34, 34))
    assert walked.output.shape == (1, 1 << 30)


def test_a_model_without_weights_runs_as_the_one_with_them() -> None:
    model = model_with_everything()
    assert walk(weightless(model), "3x9x9").output.shape == walk(model, "3x9x9").output.shape
    assert all(it.is_meta for it in weightless(model).parameters())


def test_it_walks_in_eval_mode() -> None:
    walked = walk(nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3)).train(), "3x8x8")
    operators = [it.operator for it in walked.steps if "batch_norm" in it.operator]
    assert [it.arguments["training"] for it in walked.steps if "batch_norm" in it.operator] == [False]
    assert len(operators) == 1
    assert not any("dropout" in it.operator for it in walked.steps)


def test_several_inputs() -> None:
    walked = walk(Function(lambda x, y, part: part(x) + y, nn.Conv2d(3, 4, 1)), ["3x8x8", "4x8x8"])
    assert walked.output.shape == (1, 4, 8, 8)
    assert [it.name for it in walked.inputs] == ["input 1", "input 2"]


def test_lazy_layers_learn_their_sizes_in_a_copy() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), tatamu.LazyConv2d(2, 1))
    walked = walk(model, "3x8x8")
    assert walked.output.shape == (1, 2, 6, 6)
    assert isinstance(model[0], nn.LazyConv2d)
    assert isinstance(model[0].weight, nn.UninitializedParameter)


def test_half_precision_models_get_such_inputs() -> None:
    walked = walk(nn.Conv2d(3, 4, 3).to(torch.bfloat16), "3x8x8")
    assert walked.output.dtype == torch.bfloat16


def test_shared_modules_and_weights_are_known_by_their_first_path() -> None:
    shared = nn.Conv2d(3, 3, 1)
    walked = walk(nn.Sequential(shared, nn.ReLU(), shared), "3x8x8")
    assert [it.path for it in walked.calls] == ["", "0", "1", "0"]
    assert sum(walked.parameters.values()) == 12


# ---- Values.


class Reads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("times", torch.tensor([2, 3]))
        self.factor = torch.tensor(2)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (self.times * self.factor - 1).tolist()
        count = torch.zeros((), dtype=torch.long)
        count += 1
        return x.repeat(1, int(count), rows, columns)


def test_values_that_do_not_depend_on_the_input_can_be_read() -> None:
    model = Reads()
    assert walk(model, "3x4x4").output.shape == model(torch.zeros(1, 3, 4, 4)).shape == (1, 3, 12, 20)
    assert model.times.tolist() == [2, 3]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 2 if x.sum() > 0 else x,
        lambda x: x[:, :, : int(x.max())],
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
    ],
)
def test_values_that_do_are_a_failure_that_says_so(function: Callable[[Tensor], Tensor]) -> None:
    walked = walk(nn.Sequential(nn.Conv2d(3, 3, 1), Function(function)), "3x4x4")
    assert walked.failure is not None
    assert isinstance(walked.failure.error, ValueReadError)
    assert walked.failure.path == "1"
    assert "asks for values that depend on the input" in str(walked.failure.error)


# ---- Failures.


class Strided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, torch.zeros(4, 3, 3, 3), stride=2, padding="same")


def test_a_failure_knows_the_layer_the_shapes_and_who_set_them() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
            self.conv2 = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            added: Tensor = self.norm(self.conv1(x)).relu() + self.conv2(x)
            return added

    walked = walk(nn.Sequential(nn.Identity(), Block()), "3x16x16")
    failure = walked.failure
    assert failure is not None
    assert walked.output is None
    assert (failure.path, failure.function, failure.operator) == ("1", "add", "aten.add.Tensor")
    assert [it.shape for it in failure.values] == [(1, 3, 14, 14), (1, 3, 16, 16)]
    assert [it.path for it in failure.set_by if it is not None] == ["1.conv1", "1.conv2"]
    assert [it.shape for it in failure.function_arguments.values()] == [(1, 3, 14, 14), (1, 3, 16, 16)]


def test_a_mistake_in_the_models_own_code_is_in_the_module_that_ran() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), Function(lambda x: x.no_such_thing))
    failure = walk(model, "3x8x8").failure
    assert failure is not None
    assert (failure.path, failure.function) == ("1", "")
    assert [it.shape for it in failure.values] == [(1, 4, 8, 8)]
    assert isinstance(failure.error, AttributeError)


def test_errors_that_the_model_catches_are_none() -> None:
    def careful(x: Tensor, bad: nn.Module, good: nn.Module) -> Tensor:
        try:
            result: Tensor = bad(x)
        except RuntimeError:
            result = good(x)
        return result

    walked = walk(Function(careful, nn.Conv2d(5, 4, 3), nn.Conv2d(3, 4, 1)), "3x8x8")
    assert walked.failure is None
    assert walked.output.shape == (1, 4, 8, 8)
    failed = walk(
        Function(lambda x, *parts: careful(x, *parts).view(7), nn.Conv2d(5, 4, 3), nn.Conv2d(3, 4, 1)),
        "3x8x8",
    )
    assert failed.failure is not None
    assert (failed.failure.path, failed.failure.function) == ("", "view")


def test_torch_writes_nothing_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    assert walk(nn.Linear(5, 3), "3x8x8").failure is not None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("layer", "size", "error"),
    [
        (nn.Conv2d(3, 4, 3, padding=-1), "3x8x8", NegativePaddingError),
        (nn.Conv2d(3, 4, 3, padding=2), "3x0x8", EmptyInputError),
        (nn.Conv2d(3, 4, 3), "4x8x8", InputChannelsError),
        (tatamu.Conv2d(3, 4, 3), "4x8x8", InputChannelsError),
        (nn.Conv2d(3, 4, 3), "3x8", InputDimensionsError),
        (Strided(), "3x8x8", StridedSameError),
        (nn.ConvTranspose2d(3, 4, 3), "4x8x8", TransposedConvolutionError),
        (nn.ConvTranspose2d(3, 4, 3, padding=5), "3x2x2", TransposedConvolutionError),
    ],
)
def test_what_tensors_without_memory_let_through_is_refused(layer: nn.Module, size: str, error: type) -> None:
    failure = walk(nn.Sequential(layer), size).failure
    assert failure is not None
    assert type(failure.error) is error
    assert failure.path == "0"


def test_a_bias_of_another_size_is_refused() -> None:
    layer = nn.Conv2d(3, 4, 3)
    layer.bias = nn.Parameter(torch.zeros(5))
    failure = walk(layer, "3x8x8").failure
    assert failure is not None
    assert isinstance(failure.error, BiasShapeError)
    assert [it.name for it in failure.values] == ["input", "weight", "bias"]


MISTAKES: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Conv2d(3, 4, 9), (1, 3, 8, 8)),
    (nn.Conv2d(3, 4, 3, padding=4, padding_mode="reflect"), (1, 3, 4, 4)),
    (nn.Conv2d(3, 4, 3, padding=5, padding_mode="circular"), (1, 3, 4, 4)),
    (nn.Conv1d(3, 4, 3), (2, 4, 8)),
    (nn.Conv1d(3, 4, 9), (2, 3, 8)),
    (nn.Conv3d(3, 4, 3), (2, 3, 2, 8, 8)),
    (nn.ConvTranspose2d(4, 4, 3, output_padding=2, stride=2), (1, 4, 8, 8)),
    (nn.BatchNorm2d(4), (1, 3, 8, 8)),
    (nn.BatchNorm2d(3), (2, 3, 8)),
    (nn.GroupNorm(2, 4), (1, 6, 8, 8)),
    (nn.InstanceNorm2d(4, affine=True), (1, 3, 8, 8)),
    (nn.LayerNorm((3, 7)), (1, 2, 3, 8)),
    (nn.PReLU(4), (1, 3, 8, 8)),
    (nn.Linear(7, 3), (1, 3, 8, 8)),
    (nn.Bilinear(8, 7, 3), (1, 8)),
    (nn.MaxPool2d(9), (1, 3, 8, 8)),
    (nn.MaxPool2d(3, padding=2), (1, 3, 8, 8)),
    (nn.AvgPool2d(9), (1, 3, 8, 8)),
    (nn.AvgPool2d(3, padding=2), (1, 3, 8, 8)),
    (nn.MaxPool2d(2), (3, 8)),
    (nn.AdaptiveAvgPool2d(2), (1, 3, 0, 8)),
    (nn.ReflectionPad2d(8), (1, 3, 8, 8)),
    (nn.ZeroPad2d(-5), (1, 3, 8, 8)),
    (nn.PixelShuffle(2), (1, 3, 8, 8)),
    (nn.PixelUnshuffle(3), (1, 3, 8, 8)),
    (nn.ChannelShuffle(2), (1, 3, 8, 8)),
    (nn.Unflatten(1, (2, 2)), (1, 3, 8, 8)),
    (nn.Upsample(size=(0, 4)), (1, 3, 8, 8)),
    (nn.Unfold(9), (1, 3, 8, 8)),
    (nn.Fold(8, 2), (1, 8, 63)),
    (nn.LSTM(7, 5), (2, 3, 8)),
    (nn.MultiheadAttention(8, 2), (2, 3, 7)),
    (Function(lambda x: torch.cat([x, x[:, :, 1:]], 1)), (1, 3, 8, 8)),
    (Function(lambda x: torch.stack([x, x[:, :, 1:]])), (1, 3, 8, 8)),
    (Function(lambda x: x + x[:, :, 1:]), (1, 3, 8, 8)),
    (Function(lambda x: x @ x[:, :, 1:]), (1, 3, 8, 8)),
    (Function(lambda x: x.view(1, 5, -1)), (1, 3, 8, 8)),
    (Function(lambda x: x.permute(0, 2, 3, 1).view(1, -1)), (1, 3, 8, 8)),
    (Function(lambda x: x.permute(0, 2, 1)), (1, 3, 8, 8)),
    (Function(lambda x: x.flatten(1).unsqueeze(4)), (1, 3, 8, 8)),
    (Function(lambda x: x.expand(1, 6, 8, 8)), (1, 3, 8, 8)),
    (Function(lambda x: torch.einsum("nchw,nkhw->nck", x, x[..., 1:])), (1, 3, 8, 8)),
]


@pytest.mark.parametrize(("layer", "size"), MISTAKES, ids=str)
def test_what_fails_for_real_fails_in_a_walk(layer: nn.Module, size: tuple[int, ...]) -> None:
    given = size if len(size) != 3 else [size]
    with pytest.raises((RuntimeError, ValueError, IndexError, AssertionError, TypeError)):
        layer.eval()(torch.zeros(size))
    inputs: Any = [(*size,)] if len(size) == 3 else given
    failure = walk(nn.Sequential(layer), inputs).failure
    assert failure is not None
    assert failure.path == "0"


def test_a_model_that_cannot_be_copied_is_one_sentence() -> None:
    model = nn.ReLU()
    model.kept = sys._getframe()
    with pytest.raises(ModelError, match=r"copying this one fails with TypeError: .*frame"):
        walk(model, "3x8x8")


def test_outputs_keep_their_structure() -> None:
    walked = walk(Function(lambda x: {"a": [x, x + 1], "b": 3}), "3x8x8")
    assert isinstance(walked.output["a"][1], Value)
    assert walked.output["b"] == 3
