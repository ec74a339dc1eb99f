"""The layer that freeze makes computes what the layers it stands for compute, whatever it is called with."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, func
from torch._subclasses.fake_tensor import FakeTensorMode

import tatamu
from tatamu import Conv2d, launch
from tatamu.errors import FrozenLoadError, FrozenTrainingError, InputChannelsError
from tatamu.fused import ACTIVATIONS, FusedConv2d


def fused(
    layer: Conv2d, activation: str = "relu", *, folded: bool = False, adds: bool = False
) -> FusedConv2d:
    return FusedConv2d(
        layer, layer.weight, layer.bias, folded=folded, activation=activation, adds_residual=adds
    )


def apart(layer: Conv2d, activation: str, x: Tensor, residual: Tensor | None = None) -> Tensor:
    """By one module after the other."""
    y = layer(x) if residual is None else layer(x) + residual
    _, activate = ACTIVATIONS[activation]
    return y if activate is None else activate(y)


@pytest.fixture
def layer() -> Conv2d:
    return Conv2d(16, 24, 3, padding=1).eval()


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 16, 9, 10)


@pytest.fixture
def residual() -> Tensor:
    return torch.randn(2, 24, 9, 10)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The activations that kernels were made ready for."""
    made: list[str] = []
    prepare = launch.prepare_finished

    def counting(*arguments: object) -> launch.FinishedPass | None:
        found = prepare(*arguments)  # type: ignore[arg-type]  # As they are given.
        if found is not None:
            made.append(str(arguments[4]))
        return found

    monkeypatch.setattr(launch, "prepare_finished", counting)
    return made


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("adds", [False, True])
def test_one_kernel_computes_it_all(
    activation: str,
    last: bool,
    adds: bool,
    layer: Conv2d,
    image: Tensor,
    residual: Tensor,
    kernels: list[str],
) -> None:
    form = torch.channels_last if last else torch.contiguous_format
    x, added = image.contiguous(memory_format=form), residual.contiguous(memory_format=form) if adds else None
    one = fused(layer, activation, adds=adds)
    for _ in range(2):
        y = one(x, added)
        assert torch.allclose(y, apart(layer, activation, x, added), rtol=1e-6, atol=1e-6)
        assert y.is_contiguous(memory_format=form)
    assert kernels == [activation]


def test_nothing_is_recorded_for_its_own_weights(layer: Conv2d, image: Tensor) -> None:
    assert layer.weight.requires_grad
    assert not fused(layer)(image).requires_grad


RESIDUALS: dict[str, Callable[[Tensor], Tensor]] = {
    "broadcast": lambda r: r[:1, :, :1, :1],
    "larger": lambda r: r.expand(3, *r.shape),
    "in another layout": lambda r: r.contiguous(memory_format=torch.channels_last),
    "a view": lambda r: torch.cat([r, r], -1)[..., ::2],
    "in another dtype": lambda r: r.double(),
    "lazily negated": lambda r: torch._neg_view(r.clone()),
    "with a gradient": lambda r: r.clone().requires_grad_(),
}


@pytest.mark.parametrize("kind", RESIDUALS)
def test_any_residual_that_adds(kind: str, layer: Conv2d, image: Tensor, residual: Tensor) -> None:
    one, added = fused(layer, adds=True), RESIDUALS[kind](residual)
    one(image, residual)
    y, expected = one(image, added), apart(layer, "relu", image, added)
    assert y.dtype == expected.dtype
    assert torch.allclose(y, expected, rtol=1e-6, atol=1e-6)


def test_one_image_and_no_image(layer: Conv2d, image: Tensor) -> None:
    one = fused(layer)
    assert torch.allclose(one(image[0]), apart(layer, "relu", image[0]), rtol=1e-6, atol=1e-6)
    assert one(image[:0]).shape == (0, 24, 9, 10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_dtype(dtype: torch.dtype, layer: Conv2d, image: Tensor) -> None:
    layer, x = layer.to(dtype), image.to(dtype)
    y, expected = fused(layer, "silu")(x), apart(layer, "silu", x)
    units = 4 * torch.finfo(dtype).eps
    assert torch.allclose(y, expected, rtol=units, atol=2 * units)


def test_gradients_of_input_and_residual(layer: Conv2d, image: Tensor, residual: Tensor) -> None:
    one = fused(layer, "silu", adds=True)
    one(image, residual)
    found, expected = (
        torch.autograd.grad(compute(x, r).square().sum(), (x, r))
        for x, r, compute in (
            (image.clone().requires_grad_(), residual.clone().requires_grad_(), one),
            (
                image.clone().requires_grad_(),
                residual.clone().requires_grad_(),
                lambda x, r: apart(layer, "silu", x, r),
            ),
        )
    )
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
def test_forward_mode_and_vmap(layer: Conv2d, image: Tensor) -> None:
    one = fused(layer, "silu")
    one(image)
    tangent = torch.randn_like(image)
    for a, b in zip(
        func.jvp(one, (image,), (tangent,)),
        func.jvp(lambda x: apart(layer, "silu", x), (image,), (tangent,)),
        strict=True,
    ):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)
    images = image.unsqueeze(1)
    assert torch.allclose(func.vmap(one)(images).squeeze(1), one(image), rtol=1e-5, atol=1e-5)


def test_autocast(layer: Conv2d, image: Tensor) -> None:
    one = fused(layer)
    one(image)
    with torch.autocast("cpu", torch.bfloat16):
        y, expected = one(image), apart(layer, "relu", image)
    assert y.dtype == expected.dtype == torch.bfloat16
    assert torch.equal(y, expected)


def test_fakes(layer: Conv2d) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert fused(layer)(torch.empty(1, 16, 5, 6)).shape == (1, 24, 5, 6)


def test_attributes_and_weights_that_change_afterwards(layer: Conv2d, image: Tensor) -> None:
    one = fused(layer)
    one(image)
    one.padding, layer.padding = (0, 1), (0, 1)
    assert torch.allclose(one(image), apart(layer, "relu", image), rtol=1e-6, atol=1e-6)
    one.activation = "none"
    assert torch.allclose(one(image), layer(image), rtol=1e-6, atol=1e-6)
    layer.weight.data.mul_(2)
    assert torch.allclose(one(image), layer(image), rtol=1e-6, atol=1e-5)
    one.bias = None
    layer.bias = None
    assert torch.allclose(one(image), layer(image), rtol=1e-6, atol=1e-5)


def test_highest_precision_is_heeded() -> None:
    layer, x = Conv2d(64, 64, 3, padding=1).eval(), torch.randn(1, 64, 40, 40)
    one = fused(layer, "none")
    high = one(x)
    tatamu.set_precision("highest")
    try:
        highest = one(x)
        assert torch.equal(highest, layer(x))
    finally:
        tatamu.set_precision("high")
    assert not torch.equal(high, highest)


def test_mistakes_are_those_of_the_layer(layer: Conv2d) -> None:
    model = torch.nn.Sequential(fused(layer))
    with pytest.raises(InputChannelsError, match=r"in layer '0', FusedConv2d\(16, 24"):
        model(torch.randn(1, 15, 9, 9))


def test_it_is_for_inference_only(layer: Conv2d) -> None:
    one = fused(layer)
    assert not one.eval().training
    with pytest.raises(FrozenTrainingError, match=r"^FusedConv2d\(16, 24.* train the model that was given"):
        torch.nn.Sequential(one).train()


def test_weights_are_loaded_where_nothing_is_folded(layer: Conv2d, image: Tensor) -> None:
    other = Conv2d(16, 24, 3, padding=1).eval()
    one = fused(layer)
    one.load_state_dict(other.state_dict())
    assert torch.allclose(one(image), apart(other, "relu", image), rtol=1e-6, atol=1e-6)
    with pytest.raises(FrozenLoadError, match=r"load_state_dict\(\) of the model that was given"):
        fused(layer, folded=True).load_state_dict(other.state_dict())


def test_copies_and_files(layer: Conv2d, image: Tensor) -> None:
    one = fused(layer)
    expected = one(image)
    file = io.BytesIO()
    torch.save(one, file)
    file.seek(0)
    for again in (copy.deepcopy(one), torch.load(file, weights_only=False)):
        assert torch.equal(again(image), expected)
        again.weight.data.mul_(2)
        assert not torch.equal(again(image), expected)


def test_it_says_what_it_is(layer: Conv2d) -> None:
    words = repr(fused(layer, "relu6", folded=True, adds=True))
    assert words.startswith("FusedConv2d(16, 24, kernel_size=(3, 3)")
    assert words.endswith("BatchNorm2d folded, residual added, ReLU6)")
