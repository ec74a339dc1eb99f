"""What PyTorch asks of its own conv2d, asked of ours: the samples and error inputs of its OpInfo.

The samples and most checks ship inside torch. The loops around them (its test_ops, test_ops_gradients,
test_fake_tensor, test_proxy_tensor and others) do not, and are here. Stock torch
goes through most of it too: a check that it fails would prove nothing.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as torch_functional
from torch import Tensor, func
from torch._subclasses import CrossRefFakeMode
from torch._subclasses.schema_check_mode import SchemaCheckMode
from torch.testing._internal import composite_compliance, optests
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_utils import TestGradients as Gradients
from torch.testing._internal.opinfo.core import OpInfo

import tatamu
from tolerance import assert_within, bound

pytestmark = [
    # torch's own, of its function; ours makes no copy.
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
    # torch's own, from what it loads when forward mode is first used and when it compiles.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
]

(STOCK,) = [info for info in op_db if info.name == "nn.functional.conv2d"]
DTYPES = sorted(STOCK.dtypes, key=str)


class Subject(NamedTuple):
    """A convolution that is tested, and what has to be entered for it."""

    info: OpInfo
    on: Callable[[], AbstractContextManager[None]] = nullcontext

    def __call__(self, *arguments: Any, **named: Any) -> Tensor:
        with self.on():
            result: Tensor = self.info(*arguments, **named)
            return result


def about(function: Callable[..., Tensor]) -> OpInfo:
    """What torch says of its own function, said of another."""
    info = copy.copy(STOCK)
    info.op = function
    return info


SUBJECTS = {
    "stock": Subject(STOCK),
    "function": Subject(about(tatamu.conv2d)),
    "enabled": Subject(STOCK, tatamu.enabled),
}


OURS = pytest.mark.parametrize("subject", ["function", "enabled"], indirect=True)
"""Without stock torch, where that takes long: half a minute for its second derivatives."""


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    """torch's function as it is, ours, and torch's with tatamu underneath."""
    return SUBJECTS[request.param]


def samples(dtype: torch.dtype, **arguments: Any) -> list[Any]:
    found = list(STOCK.sample_inputs("cpu", dtype, **arguments))
    assert len(found) >= 30
    return found


def call(sample: Any, conv: Callable[..., Tensor] = torch_functional.conv2d) -> Tensor:
    return conv(sample.input, *sample.args, **sample.kwargs)


def changed(sample: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return sample.transform(lambda it: change(it) if isinstance(it, Tensor) else it)


def assert_same(actual: object, expected: object) -> None:
    torch.testing.assert_close(actual, expected, check_stride=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values(subject: Subject, dtype: torch.dtype) -> None:
    wide = torch.complex128 if dtype.is_complex else torch.float64
    for sample in samples(dtype):
        expected = call(changed(sample, lambda t: t.to(wide)))
        magnitude = call(changed(sample, lambda t: t.to(wide).abs()))
        actual = call(sample, subject)
        assert actual.dtype == dtype
        assert actual.stride() == call(sample).stride()
        assert_within(actual, expected, bound(dtype, sample.args[0][0].numel(), magnitude, expected))


def test_error_inputs(subject: Subject) -> None:
    mistakes = list(STOCK.error_inputs("cpu"))
    assert len(mistakes) >= 9
    for mistake in mistakes:
        with pytest.raises(mistake.error_type, match=mistake.error_regex):
            call(mistake.sample_input, subject)


def test_dtypes(subject: Subject) -> None:
    """Forward and backward in all dtypes that torch names, and refused in the rest."""
    candidates = {*DTYPES, torch.bool, torch.int64, torch.uint16, torch.float8_e5m2}
    for forward, dtype in itertools.product((True, False), candidates):
        supported = dtype in (STOCK.dtypes if forward else STOCK.backward_dtypes)
        if not forward and not (dtype.is_floating_point or dtype.is_complex):
            continue
        sample = changed(samples(torch.float32)[0], lambda t: t.to(dtype))  # noqa: B023  # Used at once.
        if not forward:
            sample = changed(sample, lambda t: t.requires_grad_())
        if supported:
            output = call(sample, subject)
            if not forward:
                with subject.on():
                    output.backward(torch.ones_like(output))
                assert sample.input.grad.dtype == dtype
        else:
            with pytest.raises((RuntimeError, NotImplementedError)):
                call(sample, subject)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.complex64], ids=str)
def test_noncontiguous_samples(subject: Subject, dtype: torch.dtype) -> None:
    grads = dtype != torch.int64
    for sample in samples(dtype, requires_grad=grads):
        other = sample.noncontiguous()
        results = []
        for one in (sample, other):
            output = call(one, subject)
            results.append([output.detach()])
            if grads:
                leaves = [t for t in (one.input, *one.args) if isinstance(t, Tensor)]
                with subject.on():
                    results[-1] += torch.autograd.grad(output, leaves, torch.ones_like(output))
        torch.testing.assert_close(*results)


class Checks(Gradients):
    """torch's own harness for derivatives, without a runner around it."""

    def runTest(self) -> None:  # noqa: N802  # unittest's name.
        pass


@pytest.mark.parametrize(
    ("check", "dtype"),
    [
        *itertools.product(("gradcheck", "bwgrad_bwgrad"), (torch.float64, torch.complex128)),
        ("fwgrad_bwgrad", torch.float64),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "subject", ["function", "enabled"], indirect=True
)  # Stock torch takes half a minute.
def test_gradients(subject: Subject, check: str, dtype: torch.dtype) -> None:
    rest = {}
    if check == "gradcheck":
        rest = {"check_forward_ad": True, "check_batched_forward_grad": True}
    with subject.on():
        Checks()._check_helper("cpu", dtype, subject.info, subject.info.op, check, **rest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_lazily_conjugated_and_negated_samples(subject: Subject, dtype: torch.dtype) -> None:
    """A view that owes a conjugation or a sign is as good as the numbers it stands for."""
    views = [lambda t: torch._neg_view(-t)]
    if dtype.is_complex:
        views += [
            lambda t: t.conj().resolve_conj().conj(),
            lambda t: torch._neg_view(-t.conj().resolve_conj()).conj(),
        ]
    for sample, view in itertools.product(samples(dtype), views):
        lazy = changed(sample, view)
        assert lazy.input.is_neg() or lazy.input.is_conj()
        torch.testing.assert_close(call(lazy, subject), call(sample, subject))


@pytest.mark.parametrize("check", ["operator", "backward", "forward_ad"])
def test_composite_compliance(subject: Subject, check: str) -> None:
    """Whether tensors that are subclasses, in any combination, come through to the operators underneath."""
    grads = check != "operator"
    with subject.on():
        for sample in samples(torch.float32, requires_grad=grads)[::4]:
            given = [sample.input, *sample.args], sample.kwargs
            if check == "operator":
                composite_compliance.check_with_mode(subject.info, *given, torch.testing.assert_close)
                composite_compliance.check_all_permutations(subject.info, *given, torch.testing.assert_close)
            elif check == "backward":
                composite_compliance.check_backward_formula(
                    subject.info.op, *given, assert_equal_fn=torch.testing.assert_close
                )
            else:
                composite_compliance.check_forward_ad_formula(
                    subject.info.op, *given, assert_equal_fn=torch.testing.assert_close
                )


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # Of making fakes.
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64], ids=str)
def test_fake_tensors_in_step_with_real_ones(subject: Subject, dtype: torch.dtype) -> None:
    """Each operator on fakes as well: sizes, strides and dtypes are those of the real result."""
    grads = dtype.is_floating_point
    for sample in samples(dtype, requires_grad=grads):
        leaves = [t for t in (sample.input, *sample.args) if isinstance(t, Tensor)]
        with subject.on(), CrossRefFakeMode():
            output = call(sample, subject.info)
            if grads:
                torch.autograd.grad(output, leaves, torch.ones(output.shape))


def test_nothing_is_changed_in_place(subject: Subject) -> None:
    """The operators do what their schemas say: no argument is written to, none is returned."""
    for sample in samples(torch.float32):
        with subject.on(), SchemaCheckMode():
            call(sample, subject.info)


@OURS
@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_make_fx(subject: Subject, mode: str) -> None:
    with subject.on():
        for sample in samples(torch.float32)[::3]:
            optests.make_fx_check(
                subject.info.op, (sample.input, *sample.args), sample.kwargs, mode,
                torch.testing.assert_close, randomize_data=True,
            )  # fmt: skip


@OURS
@pytest.mark.parametrize("dynamic", [False, True])
def test_aot_autograd(subject: Subject, dynamic: bool) -> None:
    with subject.on():
        for sample in samples(torch.float64, requires_grad=True)[::5]:
            optests.aot_autograd_check(
                subject.info.op, (sample.input, *sample.args), sample.kwargs, dynamic,
                try_check_data_specialization=True,
            )  # fmt: skip


def test_vmap(subject: Subject) -> None:
    """Over the input, the weight and the bias, and all combinations, against one sample after another."""
    with subject.on():
        for sample in samples(torch.float64):
            tensors = [t for t in (sample.input, *sample.args) if isinstance(t, Tensor)]
            for batched in itertools.product((True, False), repeat=len(tensors)):
                if not any(batched):
                    continue
                dims = tuple(0 if it else None for it in batched)
                given = [
                    torch.stack([t, -t, 2 * t]) if it else t for t, it in zip(tensors, batched, strict=True)
                ]
                actual = func.vmap(lambda *t: subject.info(*t, **sample.kwargs), dims)(*given)  # noqa: B023
                expected = [
                    subject.info(
                        *(t[i] if it else t for t, it in zip(given, batched, strict=True)), **sample.kwargs
                    )
                    for i in range(3)
                ]
                torch.testing.assert_close(actual, torch.stack(expected))


# ---- What else torch convolves with, under enable().

OTHERS = {
    info.name: info for info in op_db if re.fullmatch(r"nn.functional.conv(_transpose)?[123]d", info.name)
}
TRANSPOSED = OTHERS["nn.functional.conv_transpose2d"]


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64], ids=str
)
def test_transposed_values(dtype: torch.dtype) -> None:
    wide = torch.complex128 if dtype.is_complex else torch.float64
    before = tatamu.status().forward
    for single in TRANSPOSED.sample_inputs("cpu", wide):
        sample = changed(single, lambda t: t.to(dtype))
        weight, stock = sample.args[0], call(sample, TRANSPOSED)
        expected = call(changed(sample, lambda t: t.to(wide)), TRANSPOSED)
        magnitude = call(changed(sample, lambda t: t.to(wide).abs()), TRANSPOSED)
        with tatamu.enabled():
            actual = call(sample, TRANSPOSED)
        assert (actual.dtype, actual.stride()) == (dtype, stock.stride())
        # Twice: the bias comes to a sum that is rounded already, as it does in torch.
        assert_within(actual, expected, 2 * bound(dtype, weight[:, 0].numel(), magnitude))
    assert tatamu.status().forward > before


@pytest.mark.parametrize("check", ["gradcheck", "bwgrad_bwgrad"])
def test_transposed_gradients(check: str) -> None:
    with tatamu.enabled():
        Checks()._check_helper("cpu", torch.float64, TRANSPOSED, TRANSPOSED.op, check)


@pytest.mark.parametrize("name", [name for name in OTHERS if "2d" not in name])
def test_one_and_three_dimensions_stay_as_they_are(name: str) -> None:
    info, before = OTHERS[name], tatamu.status()
    for sample in info.sample_inputs("cpu", torch.float32, requires_grad=True):
        results = []
        for on in (nullcontext, tatamu.enabled):
            with on():
                output = call(sample, info)
                leaves = [t for t in (sample.input, *sample.args) if isinstance(t, Tensor)]
                results.append([output, *torch.autograd.grad(output, leaves, torch.ones_like(output))])
        assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    after = tatamu.status()
    assert (after.forward, after.backward) == (before.forward, before.backward)
    assert sum(after.passed_on.values()) > sum(before.passed_on.values())
