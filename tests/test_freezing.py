"""A frozen weight is trusted until the promise ends; what ends it is tested one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import tatamu
from tatamu import Conv2d, conv2d
from tatamu.engine import reuse
from tatamu.errors import FrozenTrainingError

CHANNELS = 64


@pytest.fixture
def image() -> Tensor:
    return torch.randn(1, CHANNELS, 80, 80)


def new() -> Conv2d:
    return Conv2d(CHANNELS, CHANNELS, 3, padding=1).eval()


def right(layer: Conv2d, x: Tensor) -> Tensor:
    """The layer's output by weights of which nothing can be known."""
    return conv2d(x, layer.weight.detach().clone(), layer.bias, 1, 1).detach()


def other() -> Tensor:
    return torch.randn(CHANNELS, CHANNELS, 3, 3)


def test_freezing_changes_no_bit_on_small_images_either() -> None:
    layer, x = Conv2d(256, 256, 3, padding=1).eval(), torch.randn(1, 256, 7, 7)
    before = layer(x)
    tatamu.freeze(layer)
    frozen = layer(x)
    assert "forward: winograd" in tatamu.explain(layer, x)
    exact = torch.nn.functional.conv2d(x.double(), layer.weight.double(), None, 1, 1)
    magnitude = torch.nn.functional.conv2d(x.abs().double(), layer.weight.abs().double(), None, 1, 1)
    assert layer.bias is not None
    assert (frozen - layer.bias[:, None, None] - exact).abs().max() <= 5e-6 * magnitude.max()
    assert torch.equal(frozen, before)
    tatamu.thaw(layer)
    assert torch.equal(layer(x), before)


def test_a_frozen_layer_computes_the_same_bits_and_compares_nothing(
    image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = tatamu.freeze(new())
    expected = right(layer, image)
    monkeypatch.setattr(reuse, "_make_room", lambda _: pytest.fail("it counts as one that may change"))
    for _ in range(3):
        assert torch.equal(layer(image), expected)
    layer.weight.data.mul_(2)  # The promise broken: the only way to see that it is relied upon.
    assert torch.equal(layer(image), expected)
    tatamu.thaw(layer)
    monkeypatch.undo()
    assert torch.equal(layer(image), right(layer, image))


def loaded(layer: Conv2d) -> None:
    layer.load_state_dict({"weight": other(), "bias": torch.zeros(CHANNELS)})


def loaded_by_the_model(layer: Conv2d) -> None:
    state = {"0.weight": other(), "0.bias": torch.zeros(CHANNELS)}
    torch.nn.Sequential(layer).load_state_dict(state)


def assigned(layer: Conv2d) -> None:
    layer.load_state_dict({"weight": other(), "bias": torch.zeros(CHANNELS)}, assign=True)


def trained(layer: Conv2d) -> None:
    torch.nn.Sequential(layer).train().eval()
    layer.weight.data.mul_(0.5)


def thawed(layer: Conv2d) -> None:
    tatamu.thaw(torch.nn.Sequential(layer))
    layer.weight.data.mul_(0.5)


def another_data(layer: Conv2d) -> None:
    layer.weight.data = other()


def another_parameter(layer: Conv2d) -> None:
    layer.weight = torch.nn.Parameter(other())


def in_another_dtype(layer: Conv2d) -> None:
    layer.double().weight.data.mul_(1.5)
    layer.float()


def swapped(layer: Conv2d) -> None:
    torch.utils.swap_tensors(layer.weight, torch.nn.Parameter(other()))


ENDS = [loaded, loaded_by_the_model, assigned, trained, thawed, another_data, another_parameter]
ENDS += [in_another_dtype, swapped]


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_the_promise(end: Callable[[Conv2d], None], image: Tensor) -> None:
    layer = tatamu.freeze(new())
    for _ in range(2):
        before = layer(image)
    end(layer)
    for _ in range(4):
        after = layer(image)
        assert torch.equal(after, right(layer, image))
        assert not torch.equal(after, before)
        layer.weight.data.mul_(1.1)


def test_freezing_again_takes_the_weights_of_now(image: Tensor) -> None:
    layer = tatamu.freeze(new())
    layer(image)
    layer.weight.data.mul_(2)
    tatamu.freeze(layer)
    assert torch.equal(layer(image), right(layer, image))


def test_eval_of_a_frozen_layer_changes_nothing(image: Tensor) -> None:
    layer = tatamu.freeze(new())
    expected = layer(image)
    layer.eval()
    layer.weight.data.mul_(2)
    assert torch.equal(layer(image), expected)


def test_a_layer_in_training_mode_is_refused_and_nothing_frozen(image: Tensor) -> None:
    model = torch.nn.Sequential(new(), torch.nn.Sequential(new().train()))
    with pytest.raises(FrozenTrainingError, match=r"layer '1.0', Conv2d\(64.* call eval\(\) before freeze"):
        tatamu.freeze(model)
    with pytest.raises(RuntimeError, match=r"^Conv2d"):
        tatamu.freeze(model[1][0])
    for _ in range(3):
        model(image)
    model[0].weight.data.mul_(2)
    assert torch.equal(model[0](image), right(model[0], image))


def test_copies_are_not_frozen(image: Tensor) -> None:
    layer = copy.deepcopy(tatamu.freeze(new()))
    for _ in range(3):
        layer(image)
        layer.weight.data.mul_(2)
        assert torch.equal(layer(image), right(layer, image))


def test_a_tensor_that_gets_the_memory_of_a_frozen_weight_is_not_frozen(image: Tensor) -> None:
    layer = tatamu.freeze(new())
    address = layer.weight.data_ptr()
    layer(image)
    storage = layer.weight.untyped_storage()  # It lives on, without the memory.
    storage.resize_(0)
    del layer
    kept = []
    for _ in range(200):
        w = other()
        kept.append(w)
        assert not reuse.is_frozen(w.data_ptr())
        if w.data_ptr() == address:
            for _ in range(3):
                w += 1
                assert torch.equal(conv2d(image, w, None, 1, 1), conv2d(image, w.clone(), None, 1, 1))
            break


def test_parametrised_and_lazy_layers_are_left_as_they_are(image: Tensor) -> None:
    layer = torch.nn.utils.parametrizations.weight_norm(new())
    lazy = tatamu.LazyConv2d(CHANNELS, 3, padding=1).eval()
    tatamu.freeze(torch.nn.Sequential(layer, lazy))
    for _ in range(4):
        with torch.no_grad():
            layer.parametrizations.weight.original0.data.mul_(1.5)
            assert torch.equal(layer(image), right(layer, image))
        assert torch.equal(lazy(image), right(lazy, image))


def test_a_promise_about_one_layer_does_not_touch_the_fakes_of_another() -> None:
    frozen = tatamu.freeze(Conv2d(4, 4, 3).eval())
    with FakeTensorMode():
        assert Conv2d(4, 4, 3)(torch.empty(1, 4, 5, 6)).shape == (1, 4, 3, 4)
    tatamu.thaw(frozen)
