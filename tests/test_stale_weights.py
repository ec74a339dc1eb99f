"""However a weight is changed between two calls, the next result is that of the new one, bit for bit."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tatamu import Conv2d, conv2d
from tatamu.engine import reuse

CHANNELS = 64


def other() -> Tensor:
    return torch.randn(CHANNELS, CHANNELS, 3, 3)


def data_in_place(layer: Conv2d) -> None:
    layer.weight.data.mul_(0.5)


def one_element_of_data(layer: Conv2d) -> None:
    layer.weight.data[5, 7, 1, 1] += 1


def another_data(layer: Conv2d) -> None:
    layer.weight.data = other()


def another_parameter(layer: Conv2d) -> None:
    layer.weight = torch.nn.Parameter(other())


def without_gradients_in_place(layer: Conv2d) -> None:
    with torch.no_grad():
        layer.weight[3].add_(1.0)


def detached_in_place(layer: Conv2d) -> None:
    layer.weight.detach()[63, 62, 2, 2] += 9.0


def through_numpy(layer: Conv2d) -> None:
    layer.weight.detach().numpy()[11, 12] += 2.5


def behind_torchs_back(layer: Conv2d) -> None:
    ctypes.c_uint8.from_address(layer.weight.data_ptr() + 40_002).value ^= 0x40


def step_of_an_optimiser(layer: Conv2d) -> None:
    optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    layer(torch.randn(1, CHANNELS, 80, 80)).square().mean().backward()
    optimiser.step()


def moving_average(layer: Conv2d) -> None:
    with torch.no_grad():
        torch._foreach_lerp_([layer.weight], [other()], 0.01)


def swapped_with_an_average(layer: Conv2d) -> None:
    average = other()
    layer.weight.data, average = average, layer.weight.data


def state(layer: Conv2d) -> None:
    layer.load_state_dict({"weight": other(), "bias": torch.zeros(CHANNELS)})


def state_assigned(layer: Conv2d) -> None:
    layer.load_state_dict({"weight": other(), "bias": torch.zeros(CHANNELS)}, assign=True)


def swapped_tensors(layer: Conv2d) -> None:
    torch.utils.swap_tensors(layer.weight, torch.nn.Parameter(other()))


def initialised_again(layer: Conv2d) -> None:
    layer.reset_parameters()


def moved_storage(layer: Conv2d) -> None:
    with torch.no_grad():
        layer.weight.set_(other())  # type: ignore[call-overload]  # torch declares it for storages.


def in_another_dtype(layer: Conv2d) -> None:
    layer.bfloat16().weight.data.mul_(1.5)
    layer.float()


CHANGES = [value for value in list(globals().values()) if getattr(value, "__annotations__", {}).get("layer")]


@pytest.fixture
def image() -> Tensor:
    return torch.randn(1, CHANNELS, 80, 80)


def right(layer: Conv2d, x: Tensor) -> Tensor:
    """The layer's output by weights of which nothing can be known."""
    return conv2d(x, layer.weight.detach().clone(), layer.bias, 1, 1).detach()


@pytest.mark.parametrize("gradients", [False, True], ids=["inference", "recorded"])
@pytest.mark.parametrize("change", CHANGES)
def test_the_next_result_is_of_the_new_weight(
    change: Callable[[Conv2d], None], gradients: bool, image: Tensor
) -> None:
    layer = Conv2d(CHANNELS, CHANNELS, 3, padding=1)
    with torch.set_grad_enabled(gradients):
        for _ in range(3):
            for _ in range(8):
                before = layer(image).detach()
            assert reuse.kept_bytes() > 0
            with torch.enable_grad():
                change(layer)
            after = layer(image).detach()
            assert torch.equal(after, right(layer, image))
            assert not torch.equal(after, before)


def test_there_are_changes() -> None:
    assert len(CHANGES) == 17


@pytest.mark.parametrize("change", [data_in_place, one_element_of_data, through_numpy, behind_torchs_back])
def test_it_would_be_noticed(
    change: Callable[[Conv2d], None], image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the comparison these changes do give wrong answers."""
    monkeypatch.setattr(reuse.ReusingCall, "_is_current", lambda *_: True)
    layer = Conv2d(CHANNELS, CHANNELS, 3, padding=1)
    for _ in range(3):
        layer(image)
    change(layer)
    assert not torch.equal(layer(image), right(layer, image))


@pytest.mark.parametrize("change", [data_in_place, one_element_of_data, another_data, through_numpy])
def test_the_gradient_of_the_input_is_by_the_new_weight(
    change: Callable[[Conv2d], None], image: Tensor
) -> None:
    def gradient(w: Tensor) -> Tensor:
        x = image.clone().requires_grad_()
        return torch.autograd.grad(conv2d(x, w, None, 1, 1), x, torch.ones_like(image))[0]

    layer = Conv2d(CHANNELS, CHANNELS, 3, padding=1).requires_grad_(False)
    for _ in range(3):
        before = gradient(layer.weight)
    change(layer)
    after = gradient(layer.weight)
    assert torch.equal(after, gradient(layer.weight.clone()))
    assert not torch.equal(after, before)


def test_inference_tensors(image: Tensor) -> None:
    with torch.inference_mode():
        w = other()
        for step in range(12):
            if step % 4 == 3:
                w[5, 5].add_(1.0)
            assert torch.equal(conv2d(image, w, None, 1, 1), conv2d(image, w.clone(), None, 1, 1))
    assert w.is_inference()


def test_a_parametrisation(image: Tensor) -> None:
    layer = torch.nn.utils.parametrizations.weight_norm(Conv2d(CHANNELS, CHANNELS, 3, padding=1))
    with torch.no_grad():
        for step in range(12):
            if step % 4 == 3:
                layer.parametrizations.weight.original0.data.mul_(1.5)
            assert torch.equal(layer(image), right(layer, image))


def test_another_tensor_at_the_same_address(image: Tensor) -> None:
    room = bytearray(4 * CHANNELS * CHANNELS * 9)
    addresses = set()
    for _ in range(4):
        w = torch.frombuffer(room, dtype=torch.float32).view(CHANNELS, CHANNELS, 3, 3)
        w.copy_(other())
        addresses.add(w.data_ptr())
        for _ in range(3):
            assert torch.equal(conv2d(image, w, None, 1, 1), conv2d(image, w.clone(), None, 1, 1))
        del w
    assert len(addresses) == 1


def test_zeros_of_another_sign_and_nans(image: Tensor) -> None:
    """What compares equal as numbers, or unequal to itself, is told apart by its bytes."""
    w = torch.zeros(CHANNELS, CHANNELS, 3, 3)
    for value in (0.0, -0.0, torch.nan, 1.0):
        w[1:-1].fill_(value)
        for _ in range(3):
            result = conv2d(image, w, None, 1, 1)
            expected = conv2d(image, w.clone(), None, 1, 1)
            assert torch.equal(result.view(torch.int32), expected.view(torch.int32))
