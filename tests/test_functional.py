"""conv2d by value: against torch in float64, in all that torch's function accepts and a little more."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
import torch.nn.functional as torch_functional

import tatamu
from tatamu import functional
from tolerance import assert_within, bound

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COMPLEX = (torch.complex32, torch.complex64, torch.complex128)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)


def randn(*size: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    if dtype in INTEGERS:
        return torch.randint(-100 if dtype != torch.uint8 else 0, 100, size).to(dtype)
    return torch.randn(size, dtype=torch.complex128 if dtype.is_complex else torch.float64).to(dtype)


def judge(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    absolute: bool = False,
    **arguments: Any,
) -> torch.Tensor:
    """torch's convolution in double precision; of the absolute values to have the magnitude of the terms."""
    wide = torch.complex128 if input.is_complex() else torch.float64
    operands = [
        None if t is None else (t.to(wide).abs() if absolute else t.to(wide)) for t in (input, weight, bias)
    ]
    return torch_functional.conv2d(*operands, **arguments)


def assert_right(
    input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, **arguments: Any
) -> None:
    actual = tatamu.conv2d(input, weight, bias, **arguments)
    assert actual.dtype == input.dtype
    expected = judge(input, weight, bias, **arguments)
    magnitude = judge(input, weight, bias, absolute=True, **arguments)
    assert_within(actual, expected, bound(input.dtype, weight[0].numel(), magnitude, expected))


ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (1, 2), "padding": (2, 0), "dilation": (2, 1), "groups": 2},
    {"stride": (2,), "padding": [1], "dilation": [1]},
    {"padding": "same"},
    {"padding": "valid", "stride": 2},
    {"groups": 4},
    {"stride": torch.tensor(2), "padding": torch.Size((1, 1))},
]


# torch's warning that it copies; tatamu never does.
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX], ids=str)
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_conv2d_of_numbers_that_round(arguments: dict[str, Any], dtype: torch.dtype) -> None:
    groups = arguments.get("groups", 1)
    operands = randn(2, 4, 7, 6, dtype=dtype), randn(8, 4 // groups, 3, 2, dtype=dtype), randn(8, dtype=dtype)
    assert_right(*operands, **arguments)
    assert_right(*operands[:2], None, **arguments)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_wrap_around_as_torchs_do(dtype: torch.dtype) -> None:
    operands = randn(2, 4, 6, 5, dtype=dtype), randn(3, 4, 3, 3, dtype=dtype), randn(3, dtype=dtype)
    expected = torch_functional.conv2d(*operands, padding=1)
    assert torch.equal(tatamu.conv2d(*operands, padding=1), expected)


def test_one_image_without_a_batch() -> None:
    image, weight, bias = randn(4, 6, 5), randn(3, 4, 3, 3), randn(3)
    assert torch.equal(
        tatamu.conv2d(image, weight, bias, padding=1), tatamu.conv2d(image[None], weight, bias, padding=1)[0]
    )


@pytest.mark.parametrize(
    ("batch", "in_channels"), [(0, 4), (2, 0), (0, 0)], ids=["no images", "no channels", "neither"]
)
@pytest.mark.parametrize("biased", [True, False])
def test_nothing_to_sum(batch: int, in_channels: int, biased: bool) -> None:
    results = []
    for conv2d in (tatamu.conv2d, torch_functional.conv2d):
        operands = [torch.ones(batch, in_channels, 5, 5), torch.ones(3, in_channels, 3, 3)]
        operands += [torch.ones(3)] if biased else []
        for operand in operands:
            operand.requires_grad_()
        output = conv2d(*operands, padding=1)
        results.append([output, *torch.autograd.grad(output.sum(), operands)])
    for ours, torchs in zip(*results, strict=True):
        assert ours.shape == torchs.shape
        assert torch.equal(ours, torchs)


@pytest.mark.parametrize("size", [1, 5, 6, 7])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (2, 1), (3, 1), (3, 2), (4, 1)])
def test_same_with_a_stride(size: int, stride: int, kernel: int, dilation: int) -> None:
    # The rule as Keras and ONNX state it, spelt out with the zeros put in by hand.
    total = max(0, (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size)
    image, weight = randn(1, 2, size, 5), randn(3, 2, kernel, 1)
    for padding, before in (("same_upper", total // 2), ("same_lower", total - total // 2)):
        padded = torch.zeros(1, 2, size + total, 5, dtype=image.dtype)
        padded[:, :, before : before + size] = image
        expected = torch_functional.conv2d(padded, weight, stride=(stride, 1), dilation=(dilation, 1))
        actual = tatamu.conv2d(image, weight, stride=(stride, 1), padding=padding, dilation=(dilation, 1))
        assert actual.shape[2] == -(-size // stride)
        torch.testing.assert_close(actual, expected)


def test_padding_of_each_side() -> None:
    image, weight = randn(1, 2, 5, 4), randn(3, 2, 3, 3)
    padded = torch.zeros(1, 2, 5 + 1 + 2, 4 + 0 + 3, dtype=image.dtype)
    padded[:, :, 1:6, 0:4] = image
    actual = tatamu.conv2d(image, weight, padding=((1, 2), (0, 3)))
    torch.testing.assert_close(actual, torch_functional.conv2d(padded, weight))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_convolution_reads_the_pixels_of_its_padding_mode(mode: str) -> None:
    image, weight, bias = randn(2, 2, 4, 5), randn(3, 2, 3, 3), randn(3)
    padded = torch_functional.pad(image, (2, 1, 3, 0), mode=mode)
    actual = functional.convolution(image, weight, bias, 1, ((3, 0), (2, 1)), 1, 1, mode)
    torch.testing.assert_close(actual, torch_functional.conv2d(padded, weight, bias))


def layouts(tensor: torch.Tensor) -> list[torch.Tensor]:
    return [
        tensor,
        tensor.to(memory_format=torch.channels_last),
        tensor.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
        torch.stack([tensor, tensor], dim=-1)[..., 1],
        tensor.repeat(1, 2, 1, 1).to(memory_format=torch.channels_last)[:, ::2],
    ]


def same_format(ours: torch.Tensor, torchs: torch.Tensor) -> bool:
    """Whether strides are the same, but for dimensions of one element, whose stride means nothing."""
    return all(a == b for a, b, n in zip(ours.stride(), torchs.stride(), torchs.shape, strict=True) if n > 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("in_layout", range(5))
@pytest.mark.parametrize("weight_layout", range(5))
def test_memory_formats_of_results_are_torchs(in_layout: int, weight_layout: int, dtype: torch.dtype) -> None:
    image = layouts(randn(2, 4, 5, 6, dtype=dtype))[in_layout].detach().requires_grad_()
    weight = layouts(randn(3, 4, 3, 2, dtype=dtype))[weight_layout].detach().requires_grad_()
    results = []
    for conv2d in (tatamu.conv2d, torch_functional.conv2d):
        output = conv2d(image, weight, padding=1)
        results.append([output, *torch.autograd.grad(output, (image, weight), torch.ones_like(output))])
    for ours, torchs in zip(*results, strict=True):
        assert same_format(ours, torchs)
        torch.testing.assert_close(ours, torchs)


@pytest.mark.parametrize(
    "sizes",
    [
        ((2, 1, 5, 6), (3, 1, 3, 3)),
        ((2, 4, 5, 6), (3, 4, 1, 1)),
        ((2, 4, 1, 1), (3, 4, 1, 1)),
        ((0, 4, 5, 6), (3, 4, 3, 3)),
    ],
    ids=["one channel", "one tap", "one pixel", "no images"],
)
@pytest.mark.parametrize("which", ["neither", "input", "weight", "both"])
def test_ambiguous_memory_formats_are_resolved_as_torchs(
    sizes: tuple[tuple[int, ...], ...], which: str
) -> None:
    image, weight = (randn(*size) for size in sizes)
    if which in ("input", "both"):
        image = image.to(memory_format=torch.channels_last)
    if which in ("weight", "both"):
        weight = weight.to(memory_format=torch.channels_last)
    assert same_format(
        tatamu.conv2d(image, weight, padding=1), torch_functional.conv2d(image, weight, padding=1)
    )


def test_lazily_conjugated_and_negated_operands() -> None:
    image, weight = randn(1, 2, 4, 4, dtype=torch.complex128), randn(2, 2, 3, 3, dtype=torch.complex128)
    expected = torch_functional.conv2d(image.conj(), weight.conj())
    assert image.conj().is_conj()
    torch.testing.assert_close(tatamu.conv2d(image.conj(), weight.conj()), expected)
    negated = image.conj().imag
    assert negated.is_neg()
    torch.testing.assert_close(
        tatamu.conv2d(negated, weight.real), torch_functional.conv2d(-image.imag, weight.real)
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast(dtype: torch.dtype) -> None:
    image, weight, bias = (
        randn(*size).float().requires_grad_() for size in ((1, 2, 5, 5), (3, 2, 3, 3), (3,))
    )
    with torch.autocast("cpu", dtype=dtype):
        output = tatamu.conv2d(image, weight, bias)
        assert output.dtype == dtype
        assert tatamu.conv2d(image.double(), weight.double(), bias.double()).dtype == torch.float64
        assert tatamu.conv2d(image.to(dtype), weight, None).dtype == dtype
        with pytest.raises(RuntimeError, match="should be the same"):
            tatamu.conv2d(image.double(), weight, None)
    assert torch.equal(output, tatamu.conv2d(image.to(dtype), weight.to(dtype), bias.to(dtype)))
    assert all(
        grad.dtype == torch.float32 for grad in torch.autograd.grad(output.sum(), (image, weight, bias))
    )


def test_autocast_off_the_cpu_leaves_meta_tensors_alone() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert tatamu.conv2d(
            torch.empty(1, 2, 5, 5, device="meta"), torch.empty(3, 2, 3, 3, device="meta")
        ).dtype == (torch.float32)


def test_inference_mode() -> None:
    image, weight = randn(1, 2, 5, 5), randn(3, 2, 3, 3)
    with torch.inference_mode():
        output = tatamu.conv2d(image, weight)
    assert output.is_inference()
    assert torch.equal(output, tatamu.conv2d(image, weight))


class Tagged(torch.Tensor):
    """A subclass that does nothing of its own."""


def test_a_tensor_subclass_comes_back() -> None:
    image, weight = randn(1, 2, 5, 5), randn(3, 2, 3, 3)
    output = tatamu.conv2d(image.as_subclass(Tagged), weight)
    assert type(output) is Tagged
    assert torch.equal(output.as_subclass(torch.Tensor), tatamu.conv2d(image, weight))


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "_found", {})


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "_MOST_FOUND", 3)
    weight = randn(1, 1, 1, 1)
    for size in range(1, 9):
        image = randn(1, 1, size, size)
        torch.testing.assert_close(tatamu.conv2d(image, weight), image * weight)
        assert len(functional._found) <= 4096
    assert len(functional._found) <= 3


def test_the_plain_call_computes_and_copies_nothing_else() -> None:
    image, weight = randn(1, 2, 5, 5), randn(3, 2, 3, 3)
    tatamu.conv2d(image, weight)
    (found,) = [found for key, found in functional._found.items() if key[0] == image.shape]
    assert found.known is not None
    calls: list[tuple[object, ...]] = []
    forward = found.known.forward
    found.known.forward = lambda *operands: calls.append(operands) or forward(*operands)
    tatamu.conv2d(image, weight)
    assert len(calls) == 1
    assert calls[0][0] is image  # No copy and no view on the way.
    assert calls[0][1] is weight


def test_random_calls_against_torch() -> None:
    for _ in range(30):
        groups, kernel = random.choice((1, 2)), (random.randint(1, 3), random.randint(1, 3))
        arguments = {
            "stride": random.randint(1, 3), "padding": (random.randint(0, 2), random.randint(0, 2)),
            "dilation": random.randint(1, 2), "groups": groups,
        }  # fmt: skip
        image = randn(random.randint(1, 2), 2 * groups, random.randint(5, 7), random.randint(5, 7))
        weight, bias = randn(2 * groups, 2, *kernel), random.choice((None, randn(2 * groups)))
        assert_right(image, weight, bias, **arguments)
