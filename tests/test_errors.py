"""Every kind of mistake: torch's class, torch's words, a better sentence, and nothing computed."""

from __future__ import annotations

import inspect
import pickle

import pytest
import torch

import tatamu
from mistakes import MISTAKES, Mistake, Tatamu, Torch, tensor, w, x
from tatamu import errors, functional, launch

NAMES = [f"{mistake.row}-{mistake.kind.__name__}-{index}" for index, mistake in enumerate(MISTAKES)]


@pytest.fixture
def _nothing_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(*_: object) -> None:
        raise AssertionError("a kernel was launched")

    for name in ("forward", "grad_input", "grad_weight", "grad_bias"):
        monkeypatch.setattr(launch, name, computed)


EMPTY_WEIGHTS = pytest.mark.filterwarnings(
    "ignore:Initializing zero-element tensors"
)  # torch's, of the mistake itself.


@EMPTY_WEIGHTS
@pytest.mark.parametrize("mistake", MISTAKES, ids=NAMES)
@pytest.mark.usefixtures("_nothing_computed")
def test_a_mistake_is_torchs_error_in_better_words(mistake: Mistake) -> None:
    with pytest.raises((ValueError, RuntimeError, TypeError)) as torchs:
        mistake.make(Torch)
    with pytest.raises(mistake.kind) as ours:
        mistake.make(Tatamu)
    assert isinstance(ours.value, torchs.type)
    phrase = str(torchs.value).split("\n")[0].rstrip(".") if mistake.phrase is None else mistake.phrase
    assert phrase in str(torchs.value)
    assert phrase in str(ours.value)
    assert mistake.advice in str(ours.value)
    assert "\n" not in str(ours.value)


def test_the_table_is_whole() -> None:
    assert {mistake.row for mistake in MISTAKES} == set(range(26))


@EMPTY_WEIGHTS
@pytest.mark.parametrize("mistake", MISTAKES, ids=NAMES)
def test_a_mistake_is_found_after_a_correct_call_with_equal_arguments(mistake: Mistake) -> None:
    # What arguments resolve to is remembered, and to a dictionary 1 == 1.0 == True.
    tatamu.conv2d(x(), w())
    with pytest.raises(mistake.kind):
        mistake.make(Tatamu)


@pytest.mark.usefixtures("_nothing_computed")
def test_tensors_on_different_devices() -> None:
    # torch returns uninitialised memory here.
    for operands in ((x(), w().to("meta")), (x().to("meta"), w()), (x(), w(), tensor(8).to("meta"))):
        with pytest.raises(errors.DeviceError, match=r"Expected all tensors to be on the same device.*meta"):
            tatamu.conv2d(*operands)


@pytest.mark.usefixtures("_nothing_computed")
def test_a_device_without_kernels() -> None:
    with torch._subclasses.FakeTensorMode():  # type: ignore[no-untyped-call]  # torch's; the tests are not checked strictly.
        on_xpu = torch.empty(1, 4, 5, 6, device="xpu"), torch.empty(8, 4, 3, 3, device="xpu")
        with pytest.raises(errors.DeviceError, match=r"no kernels for tensors on xpu.*on cpu and cuda"):
            tatamu.conv2d(*on_xpu)


@pytest.mark.parametrize(
    "mistake", [m for m in MISTAKES if m.row in (6, 8, 9, 20, 22)], ids=lambda m: m.kind.__name__
)
def test_meta_tensors_are_checked_too(mistake: Mistake) -> None:
    # torch accepts some of these on meta.
    with torch.device("meta"), pytest.raises(mistake.kind):
        mistake.make(Tatamu)


@pytest.mark.parametrize(
    ("path", "inner"), [("features.1", True), ("1", False)], ids=["whole model", "part of it called alone"]
)
def test_the_layers_path_in_the_running_model(path: str, inner: bool) -> None:
    model = torch.nn.Module()
    model.features = torch.nn.Sequential(torch.nn.ReLU(), tatamu.Conv2d(4, 8, 3))
    model.forward = model.features.forward  # type: ignore[method-assign]  # A model whose call runs through it.
    with pytest.raises(
        errors.InputChannelsError, match=rf"in layer '{path}', Conv2d\(4, 8, kernel_size=\(3, 3\)"
    ):
        (model if inner else model.features)(x(1, 5, 6, 6))


def test_a_layer_alone_has_no_path() -> None:
    with pytest.raises(errors.InputChannelsError, match=r"\(in layer Conv2d\(4, 8,"):
        tatamu.Conv2d(4, 8, 3)(x(1, 5, 6, 6))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_words_that_are_near(size: int) -> None:
    assert errors.did_you_mean("Zeros"[:-size] if size < 3 else "qqq", ["zeros", "reflect"]) == (
        "; did you mean 'zeros'?" if size < 3 else ""
    )


@pytest.mark.parametrize("kind", [kind for _, kind in inspect.getmembers(errors, inspect.isclass)])
def test_errors_survive_pickling_and_are_made_from_their_text(kind: type[Exception]) -> None:
    # torch re-raises a worker process's error as kind(text).
    if not issubclass(kind, errors.TatamuError):
        pytest.skip("imported")
    again = pickle.loads(pickle.dumps(kind("a sentence")))
    assert type(again) is kind
    assert str(again) == "a sentence"


def test_gradients_of_another_size_are_refused_by_the_operators() -> None:
    rest = [[1, 1], [0, 0, 0, 0], [1, 1], 1, "zeros", False]
    with pytest.raises(errors.GradOutputSizeError, match=r"size \[1, 8, 3, 5\].*has size \[1, 8, 3, 4\]"):
        torch.ops.tatamu.grad_input(x(1, 8, 3, 5), w(), [1, 4, 5, 6], *rest)
    with pytest.raises(errors.GradOutputSizeError):
        torch.ops.tatamu.grad_weight(x(1, 8, 3, 5), x(), [8, 4, 3, 3], *rest)


def test_operators_check_what_reaches_the_kernels() -> None:
    with pytest.raises(errors.KernelTooLargeError):
        torch.ops.tatamu.convolution(x(1, 4, 2, 2), w(), None, [1, 1], [0, 0, 0, 0], [1, 1], 1, "zeros")
    with pytest.raises(errors.DtypeMismatchError):
        torch.ops.tatamu.convolution(
            x(), w(dtype=torch.float64), None, [1, 1], [0, 0, 0, 0], [1, 1], 1, "zeros"
        )


def test_lists_are_arguments_too() -> None:
    with pytest.raises(errors.StrideError):
        functional.conv2d(x(), w(), stride=[1, 0])  # type: ignore[arg-type]  # torch takes lists.
