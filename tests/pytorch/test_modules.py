"""What PyTorch asks of its own layer, asked of ours: the ModuleInfo of Conv2d and LazyConv2d, and common_nn.

The cases ship inside torch. The loops of its test_modules do not, and are here; common_nn brings its own.
Stock torch goes through all of it too: a check that it fails would prove nothing.
"""

from __future__ import annotations

import copy
import io
import itertools
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.testing._internal import common_nn
from torch.testing._internal.common_modules import ModuleInfo, ModuleInput, module_db
from torch.testing._internal.common_utils import noncontiguous_like

import tatamu

pytestmark = [
    # torch's own, from what it loads when forward mode is first used.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
    # torch's own, of its function; ours makes no copy.
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
    # torch's own, of every lazy layer that is made.
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature under heavy development"),
]

OURS = {nn.Conv2d: tatamu.Conv2d, nn.LazyConv2d: tatamu.LazyConv2d}
INFOS = [info for info in module_db if info.module_cls in OURS]
FLOATS = [torch.float32, torch.float64]


class Subject(NamedTuple):
    """Layers that are tested: torch's cases for them, how they are made, what has to be entered for them."""

    info: ModuleInfo
    make: Callable[..., nn.Module]
    on: Callable[[], AbstractContextManager[None]]

    def cases(self, dtype: torch.dtype, grads: bool = False) -> list[tuple[ModuleInput, nn.Module, Tensor]]:
        """Each of torch's cases, with a layer and an image for it."""
        given = self.info.module_inputs_func(
            self.info, device="cpu", dtype=dtype, requires_grad=grads, training=True
        )
        assert len(given) >= 4
        return [(case, self.layer(case, dtype=dtype), case.forward_input.args[0]) for case in given]

    def layer(self, case: ModuleInput, **named: Any) -> nn.Module:
        arguments = case.constructor_input
        return self.make(*arguments.args, **arguments.kwargs, **named)

    def run(self, layer: nn.Module, *images: Tensor) -> Tensor:
        with self.on():
            output: Tensor = layer(*images)
            return output

    def initialised(self, layer: nn.Module, image: Tensor) -> nn.Module:
        """A lazy layer learns its sizes from a first image."""
        if "Lazy" in type(layer).__name__:
            self.run(layer, image)
        return layer

    def passes(self, layer: nn.Module, image: Tensor, grad: Tensor | None = None) -> list[Tensor]:
        """The output, and the gradients of image and parameters."""
        image = image.detach().requires_grad_()
        output = self.run(layer, image)
        grad = torch.ones_like(output) if grad is None else grad
        with self.on():
            return [output.detach(), *torch.autograd.grad(output, (image, *layer.parameters()), grad)]


def converted(stock: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    def make(*arguments: Any, **named: Any) -> nn.Module:
        layer = stock(*arguments, **named)
        assert tatamu.convert(layer).changed
        return layer

    return make


def subjects(info: ModuleInfo) -> dict[str, Subject]:
    stock = info.module_cls
    return {
        f"stock {stock.__name__}": Subject(info, stock, nullcontext),
        f"tatamu.{stock.__name__}": Subject(info, OURS[stock], nullcontext),
        f"enabled {stock.__name__}": Subject(info, stock, tatamu.enabled),
        f"converted {stock.__name__}": Subject(info, converted(stock), nullcontext),
    }


SUBJECTS = {name: subject for info in INFOS for name, subject in subjects(info).items()}


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    """torch's class as it is, ours, torch's with tatamu underneath, and torch's converted to ours."""
    return SUBJECTS[request.param]


def test_the_cases_are_there() -> None:
    assert {info.module_cls for info in INFOS} == set(OURS)


@pytest.mark.parametrize("dtype", [torch.float16, *FLOATS, torch.complex64], ids=str)
def test_forward(subject: Subject, dtype: torch.dtype) -> None:
    wide = torch.complex128 if dtype.is_complex else torch.float64
    for case, layer, image in subject.cases(dtype):
        output = subject.run(layer, image)
        assert output.dtype == dtype
        judge = nn.Conv2d(4, 5, 3, padding=layer.padding, dtype=wide)
        judge.load_state_dict(layer.state_dict())
        torch.testing.assert_close(output, judge(image.to(wide)).to(dtype))
        if case.reference_fn is not None:
            with subject.on():
                expected = case.reference_fn(layer, image)
            torch.testing.assert_close(output, expected)


def test_factory_arguments(subject: Subject) -> None:
    # torch's lazy layers do not go onto meta.
    devices = ["cpu"] if "Lazy" in subject.info.name else ["cpu", "meta"]
    for (case, _, image), device, dtype in itertools.product(subject.cases(torch.float32), devices, FLOATS):
        layer = subject.layer(case, device=device, dtype=dtype)
        subject.initialised(layer, image.to(dtype))
        assert {(p.device.type, p.dtype) for p in layer.parameters()} == {(device, dtype)}
        with torch.device(device):
            assert {p.device.type for p in subject.layer(case).parameters()} == {device}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pickled_copied_and_saved(subject: Subject, dtype: torch.dtype) -> None:
    for _, layer, image in subject.cases(dtype):
        expected = subject.run(layer, image)
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        for again in (
            copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), torch.load(file, weights_only=False)
        ):  # fmt: skip
            assert type(again) is type(layer)
            assert torch.equal(subject.run(again, image), expected)
        file = io.BytesIO()
        torch.save(layer.state_dict(), file)
        file.seek(0)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.zero_()
        layer.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(subject.run(layer, image), expected)


def test_lazy_layers_are_saved_before_they_have_weights() -> None:
    for subject in SUBJECTS.values():
        if "Lazy" not in subject.info.name:
            continue
        for _, layer, image in subject.cases(torch.float32):
            again = pickle.loads(pickle.dumps(layer))
            torch.manual_seed(1)
            expected = subject.run(layer, image)
            torch.manual_seed(1)
            assert torch.equal(subject.run(again, image), expected)


def test_repr(subject: Subject) -> None:
    for case, layer, image in subject.cases(torch.float32):
        stock = subject.info.module_cls(*case.constructor_input.args, **case.constructor_input.kwargs)
        assert repr(subject.initialised(layer, image)) == repr(
            SUBJECTS["stock Conv2d"].initialised(stock, image)
        )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_noncontiguous_images(subject: Subject, dtype: torch.dtype) -> None:
    for _, layer, image in subject.cases(dtype):
        grad = torch.rand_like(subject.run(layer, image))
        expected = subject.passes(layer, image, grad)
        for x, g in itertools.product((image, noncontiguous_like(image)), (grad, noncontiguous_like(grad))):
            torch.testing.assert_close(subject.passes(layer, x, g), expected)


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_gradients(subject: Subject, check: Callable[..., bool]) -> None:
    for _, layer, image in subject.cases(torch.float64, grads=True):
        subject.initialised(layer, image)
        names = [name for name, _ in layer.named_parameters()]

        def call(image: Tensor, *parameters: Tensor, layer=layer, names=names) -> Tensor:
            return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (image,))

        with subject.on():
            assert check(call, (image, *layer.parameters()), fast_mode=True, check_batched_grad=True)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_memory_formats(subject: Subject, dtype: torch.dtype) -> None:
    """Values do not depend on them, and results lie in memory as stock torch's do."""
    formats = torch.contiguous_format, torch.channels_last
    for case, layer, image in subject.cases(dtype):
        if image.dim() != 4:
            continue
        expected = subject.passes(subject.initialised(layer, image), image)
        for of_layer, of_image in itertools.product(formats, formats):
            layer.to(memory_format=of_layer)
            x = image.contiguous(memory_format=of_image)
            stock = nn.Conv2d(4, 5, 3, **case.constructor_input.kwargs, dtype=dtype)
            stock.load_state_dict(layer.state_dict())
            stock.to(memory_format=of_layer)
            actual, judged = subject.passes(layer, x), SUBJECTS["stock Conv2d"].passes(stock, x)
            torch.testing.assert_close(actual, expected, check_stride=False, rtol=1e-4, atol=1e-4)
            assert [t.stride() for t in actual] == [t.stride() for t in judged]


@pytest.mark.parametrize("swap", [False, True])
def test_to_other_dtypes_and_devices(subject: Subject, swap: bool) -> None:
    torch.__future__.set_swap_module_params_on_conversion(swap)
    try:
        for _, layer, image in subject.cases(torch.float32):
            subject.initialised(layer, image)
            ids = [id(p) for p in layer.parameters()]
            layer.to(torch.float64)
            assert [id(p) for p in layer.parameters()] == ids
            assert subject.run(layer, image.double()).dtype == torch.float64
            layer.to("meta")
            assert {p.device.type for p in layer.parameters()} == {"meta"}
            layer.to_empty(device="cpu").reset_parameters()
            assert subject.run(layer, image.double()).isfinite().all()
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


def test_train_and_eval_mode_are_the_same(subject: Subject) -> None:
    for _, layer, image in subject.cases(torch.float32):
        trained = subject.run(layer.train(), image)
        assert torch.equal(subject.run(layer.eval(), image), trained)


# ---- common_nn: each case is a test with its own loop, which asks a TestCase for what `Loop` has.

CASES = [
    case for case in common_nn.get_new_module_tests()
    if "Conv2d" in f"{case.get('module_name', '')} {case.get('fullname', '')}"
    and "Transpose" not in f"{case.get('module_name', '')} {case.get('fullname', '')}"
]  # fmt: skip


class Loop(common_nn.NNTestCase):
    """How torch's test_nn runs a layer."""

    def runTest(self) -> None:  # noqa: N802  # unittest's name.
        pass

    def _forward(self, module: nn.Module, input: Any) -> Tensor:
        output: Tensor = module(*input) if isinstance(input, tuple) else module(input)
        return output

    def _backward(
        self,
        module: nn.Module,  # noqa: ARG002  # common_nn passes it.
        input: Tensor,
        output: Tensor,
        grad_output: Tensor,
        create_graph: bool = False,
    ) -> Tensor | None:
        output.backward(grad_output, retain_graph=True, create_graph=create_graph)
        return None if input.grad is None else input.grad.data

    def _get_parameters(self, module: nn.Module) -> tuple[list[nn.Parameter], list[Tensor | None]]:
        parameters = list(module.parameters())
        return parameters, [p.grad for p in parameters]

    def _zero_grad_parameters(self, module: nn.Module) -> None:
        module.zero_grad(set_to_none=False)


def test_common_nn_has_cases() -> None:
    assert len(CASES) >= 15


@pytest.mark.filterwarnings(
    "ignore:Input #. requires gradient and is not a double"
)  # The empty case is float.
@pytest.mark.parametrize("how", ["stock", "ours", "enabled"])
@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.get('fullname') or case.get('desc', 'plain')}"
)
def test_common_nn(case: dict[str, Any], how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "ours":
        monkeypatch.setattr(nn, "Conv2d", tatamu.Conv2d)  # Where the cases look for their layers.
    given = dict(case)
    if "constructor" not in given:
        given["constructor"] = getattr(nn, given.pop("module_name"))
    if "fullname" not in given:
        given["fullname"] = "Conv2d"
    with tatamu.enabled() if how == "enabled" else nullcontext():
        before = tatamu.status().forward
        common_nn.NewModuleTest(**given)(Loop())
    if how == "enabled":
        assert tatamu.status().forward > before or given["input_size"][0] == 0
