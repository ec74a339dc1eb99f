from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tatamu import reference
from tatamu.geometry import PADDING_MODES, Axis, Convolution, Geometry
from tolerance import assert_within, bound

Array = np.ndarray[Any, np.dtype[Any]]
Operands = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
FLOATS = [torch.float64, torch.complex128]


@st.composite
def geometries(draw: st.DrawFn, modes: tuple[str, ...] = PADDING_MODES) -> Geometry:
    mode = draw(st.sampled_from(modes))

    def axis() -> Axis:
        size = draw(st.integers(1, 7))
        limit = {"reflect": size - 1, "circular": size}.get(mode, 4)
        drawn = Axis(
            size=size,
            kernel=draw(st.integers(1, 3)),
            stride=draw(st.integers(1, 3)),
            dilation=draw(st.integers(1, 3)),
            before=draw(st.integers(0, limit)),
            after=draw(st.integers(0, limit)),
        )
        assume(drawn.effective_kernel <= drawn.padded)
        return drawn

    groups = draw(st.integers(1, 3))
    in_channels, out_channels = (groups * draw(st.integers(1, 2)) for _ in range(2))
    return Geometry(draw(st.integers(1, 2)), in_channels, out_channels, groups, axis(), axis(), mode)


def operands(geometry: Geometry, dtype: torch.dtype) -> Operands:
    """Input, weight, bias and gradient of the output."""

    def filled(*size: int) -> torch.Tensor:
        if dtype.is_floating_point or dtype.is_complex:
            return torch.randn(size, dtype=dtype)
        return torch.randint(0, 127, size, dtype=dtype)

    output_size = geometry.output_size
    return (
        filled(*geometry.input_size),
        filled(*geometry.weight_size),
        filled(output_size[1]),
        filled(*output_size),
    )


def torch_conv2d(
    x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None, geometry: Geometry
) -> torch.Tensor:
    """torch's own convolution, of an input that torch padded."""
    mode = "constant" if geometry.padding_mode == "zeros" else geometry.padding_mode
    (top, bottom), (left, right) = geometry.padding
    convolution = geometry.convolution
    return torch.nn.functional.conv2d(
        torch.nn.functional.pad(x, (left, right, top, bottom), mode=mode),
        w,
        b,
        stride=convolution.stride,
        dilation=convolution.dilation,
        groups=convolution.groups,
    )


def torch_gradients(
    x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, gy: torch.Tensor, geometry: Geometry
) -> tuple[torch.Tensor, ...]:
    x, w, b = (t.detach().clone().requires_grad_() for t in (x, w, b))
    return torch.autograd.grad(torch_conv2d(x, w, b, geometry), (x, w, b), gy)


@pytest.mark.parametrize("dtype", FLOATS)
@given(geometry=geometries(), with_bias=st.booleans())
def test_forward_is_torchs(geometry: Geometry, with_bias: bool, dtype: torch.dtype) -> None:
    x, w, b, _ = operands(geometry, dtype)
    bias = b if with_bias else None
    got = reference.forward(
        x.numpy(), w.numpy(), None if bias is None else bias.numpy(), geometry.convolution
    )
    magnitude = torch_conv2d(x.abs(), w.abs(), b.abs(), geometry)
    limit = bound(dtype, geometry.reduction, magnitude)
    assert_within(torch.from_numpy(got), torch_conv2d(x, w, bias, geometry), limit)


@pytest.mark.parametrize("dtype", FLOATS)
@given(geometry=geometries())
def test_gradients_are_torchs(geometry: Geometry, dtype: torch.dtype) -> None:
    x, w, b, gy = operands(geometry, dtype)
    convolution = geometry.convolution
    got = (
        reference.grad_input(gy.numpy(), w.numpy(), geometry.input_size, convolution),
        reference.grad_weight(gy.numpy(), x.numpy(), geometry.weight_size, convolution),
        reference.grad_bias(gy.numpy()),
    )
    # Through padding that repeats pixels, one pixel may be read by every output and every tap.
    positions = geometry.grad_weight_reduction
    reads = positions * geometry.reduction * geometry.out_channels // geometry.in_channels
    lengths = (reads, positions, positions)
    expected = torch_gradients(x, w, b, gy, geometry)
    magnitudes = torch_gradients(x.abs(), w.abs(), b.abs(), gy.abs(), geometry)
    for mine, theirs, length, magnitude in zip(got, expected, lengths, magnitudes, strict=True):
        assert_within(torch.from_numpy(mine), theirs, bound(dtype, length, magnitude))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@given(geometry=geometries())
def test_gradients_are_finite_differences(geometry: Geometry, dtype: torch.dtype) -> None:
    """Of the real loss Re Σ conj(gy)·y, without torch's word for anything.

    The output is linear in each operand, so a difference over a step of one is the derivative but for
    rounding; a complex gradient holds the derivatives by the real and by the imaginary part.
    """
    x, w, b, gy = (t.numpy() for t in operands(geometry, dtype))
    convolution = geometry.convolution

    def loss(x: Array, w: Array, b: Array) -> float:
        return float(np.sum(np.conjugate(gy) * reference.forward(x, w, b, convolution)).real)

    gradients = (
        reference.grad_input(gy, w, geometry.input_size, convolution),
        reference.grad_weight(gy, x, geometry.weight_size, convolution),
        reference.grad_bias(gy),
    )
    sizes = [np.abs(t) for t in (x, w, b, gy)]
    steps = [1.0, 1.0j] if dtype.is_complex else [1.0]
    # The loss is a sum of this many products of three factors, of operands a step larger than they are.
    length = geometry.macs + 2 * gy.size
    magnitude = np.sum(sizes[3] * reference.forward(sizes[0] + 1, sizes[1] + 1, sizes[2] + 1, convolution))
    limit = 3 * float(bound(dtype, 2 * length, torch.tensor(float(magnitude))))
    generator = np.random.default_rng(0)
    for which, gradient in enumerate(gradients):
        place = tuple(int(generator.integers(n)) for n in gradient.shape)
        for step in steps:
            moved = x.copy(), w.copy(), b.copy()
            moved[which][place] += step
            derivative = loss(*moved) - loss(x, w, b)
            assert abs(derivative - (np.conjugate(step) * gradient[place]).real) <= limit


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64])
@given(geometry=geometries(modes=("zeros", "circular")))
def test_integers_wrap_around(geometry: Geometry, dtype: torch.dtype) -> None:
    tensors = operands(geometry, dtype)
    x, w, b, gy = (t.numpy() for t in tensors)
    x64, w64, b64, gy64 = (t.to(torch.int64).numpy() for t in tensors)
    convolution = geometry.convolution
    pairs = [
        (reference.forward(x, w, b, convolution), reference.forward(x64, w64, b64, convolution)),
        (
            reference.grad_input(gy, w, geometry.input_size, convolution),
            reference.grad_input(gy64, w64, geometry.input_size, convolution),
        ),
        (
            reference.grad_weight(gy, x, geometry.weight_size, convolution),
            reference.grad_weight(gy64, x64, geometry.weight_size, convolution),
        ),
        (reference.grad_bias(gy), reference.grad_bias(gy64)),
    ]
    for narrow, exact in pairs:
        assert narrow.dtype == x.dtype
        assert np.array_equal(narrow, exact.astype(x.dtype))
    x_float, w_float, b_float, _ = (t.to(torch.float64) for t in tensors)
    expected = torch_conv2d(x_float, w_float, b_float, geometry)
    assert np.array_equal(pairs[0][1], expected.numpy())


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("zeros", [None, None, None, 0, 1, 2, 3, None, None, None]),
        ("replicate", [0, 0, 0, 0, 1, 2, 3, 3, 3, 3]),
        ("reflect", [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]),
        ("circular", [1, 2, 3, 0, 1, 2, 3, 0, 1, 2]),
    ],
)
def test_the_pixel_each_padding_mode_reads(mode: str, expected: list[int | None]) -> None:
    assert [reference.source(position, 4, mode) for position in range(-3, 7)] == expected


def test_an_unknown_padding_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown padding mode 'mirror'"):
        reference.source(-1, 4, "mirror")


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("in_channels", [0, 3])
def test_empty_sums_are_zeros(batch: int, in_channels: int) -> None:
    convolution = Convolution(padding=((1, 1), (1, 1)))
    x, w = np.ones((batch, in_channels, 4, 5)), np.ones((6, in_channels, 3, 3))
    y = reference.forward(x, w, np.ones(6), convolution)
    assert y.shape == (batch, 6, 4, 5)
    assert np.all(y[..., 1:-1, 1:-1] == 1 + 9 * in_channels)
    assert reference.grad_input(y, w, (batch, in_channels, 4, 5), convolution).shape == x.shape
    gw = reference.grad_weight(y, x, (6, in_channels, 3, 3), convolution)
    assert gw.shape == w.shape
    assert np.all((gw == 0) == (batch == 0))


def test_a_convolution_worked_by_hand() -> None:
    """Two columns of a 1×4 input through a 1×2 kernel: no torch, no second implementation."""
    x = np.array([[[[1.0, 2.0, 3.0, 4.0]]]])
    w = np.array([[[[10.0, 1.0]]]])
    y = reference.forward(x, w, np.array([0.5]), Convolution(padding=((0, 0), (1, 0)), stride=(1, 2)))
    assert y.tolist() == [[[[1.5, 23.5]]]]
