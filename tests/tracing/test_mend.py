"""Thirty networks as people break them, and 200 random ones: the right path, and a mend that works."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from tatamu.tracing.changes import Change, Mend, apply
from tatamu.tracing.diagnosis import Diagnosis, diagnose
from tatamu.tracing.mend import Trials, mends
from tatamu.tracing.walk import walk
from tracing.broken import BROKEN
from tracing.mutations import fails, mutations
from tracing.networks import SMALL, TRANSFORMERS
from tracing.parts import ResNet

NETWORKS = SMALL | TRANSFORMERS
MUTATIONS = dict.fromkeys(SMALL, 12) | dict.fromkeys(TRANSFORMERS, 6)
"""How many of each network: 204 in all."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Images are so small that a second thread waits more than it works."""
    torch.set_num_threads(1)


def diagnosed(model: nn.Module, size: tuple[int, ...]) -> Diagnosis:
    found = diagnose(model, walk(model, size))
    assert found is not None
    return found


def runs(model: nn.Module, mend: Mend, size: tuple[int, ...]) -> bool:
    """Whether torch itself runs the mended model, with real numbers."""
    image = (1, *size) if mend.sizes is None else mend.sizes[0]
    return not fails(apply(model, mend), image[1:])


def named(diagnosis: Diagnosis) -> set[str]:
    """The layers that are named as where the sizes met, as what set them, or to be mended."""
    setters = {setting.path for met in diagnosis.met for setting in met.set_by}
    return {diagnosis.path} | setters | {it.path for mend in diagnosis.mends for it in mend.changes}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_network_is_mended(name: str) -> None:
    broken = BROKEN[name]
    model = broken.make().eval()
    assert fails(model, broken.size)
    found = diagnosed(model, broken.size)
    assert found.path == broken.place
    first = {met.set_by[0].path for met in found.met if met.set_by}
    assert (first | {mend.path for mend in found.mends}) & set(broken.culprits)
    assert found.mends
    assert all(runs(model, mend, broken.size) for mend in found.mends)
    assert 1 <= len(found.mends) <= 3


@pytest.mark.parametrize("name", NETWORKS)
def test_a_good_network_is_no_failure(name: str) -> None:
    make, size = NETWORKS[name]
    model = make().eval()
    assert not fails(model, size)
    walked = walk(model, size)
    assert walked.failure is None
    assert diagnose(model, walked) is None
    assert mends(model, walked) == ()


@pytest.mark.parametrize("name", NETWORKS)
def test_random_mutations_are_mended(name: str) -> None:
    make, size = NETWORKS[name]
    broken = mutations(make().eval(), size, random.Random(name))
    for _ in range(MUTATIONS[name]):
        mutation = next(broken)
        what = f"{mutation.argument} of {mutation.path} was {mutation.old}, is {mutation.new}"
        found = diagnosed(mutation.model, size)
        assert mutation.path in named(found), f"{what}\n{found}"
        assert found.mends, f"{what}\n{found}"
        assert runs(mutation.model, found.mends[0], size), f"{what}\n{found}"


def test_the_model_stays_as_it_is() -> None:
    model = BROKEN["a block's second convolution without padding"].make()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    text = str(model)
    diagnosed(model, (3, 64, 64))
    assert str(model) == text
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(tensor.device.type == "cpu" for tensor in model.state_dict().values())


def test_a_forgotten_padding_is_the_one_mend() -> None:
    model = BROKEN["a block's second convolution without padding"].make()
    (mend,) = diagnosed(model, (3, 64, 64)).mends
    assert mend == Mend((Change("layer2.1.conv2", "padding", 0, 1),))
    assert str(mend) == "padding=1 in layer2.1.conv2 gives 8 × 8"


def test_padding_that_keeps_the_size_comes_before_kernels_that_make_up_for_it() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.down = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 3, 3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.avg_pool2d(x, 2) + self.down(self.wide(x))

    first, second = diagnosed(Pooled(), (3, 16, 16)).mends[:2]
    assert str(first) == "padding=1 in wide gives 16 × 16"
    assert (second.path, second.argument) == ("down", "kernel_size")


def test_a_model_that_reads_numbers_of_its_own_is_mended_too() -> None:
    """It does not run without a walk, which knows them."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(7, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.head(self.conv(x).mean((2, 3)) * float(torch.ones(4).sum()))
            return y

    model = Scaled()
    mend = diagnosed(model, (3, 8, 8)).mends[0]
    assert str(mend) == "in_features=8 in head"
    assert runs(model, mend, (3, 8, 8))
    assert not Trials(model, walk(model, (3, 8, 8))).are_quick
    plain = nn.Sequential(model.conv, model.head)
    assert Trials(plain, walk(plain, (3, 8, 8))).are_quick


def test_what_follows_a_change_is_part_of_it() -> None:
    model = BROKEN["a shortcut with the channels of its input"].make()
    mend = diagnosed(model, (3, 64, 64)).mends[0]
    assert [(it.path, it.argument, it.new) for it in mend.changes] == [
        ("layer2.0.shortcut.0", "out_channels", 32),
        ("layer2.0.shortcut.1", "num_features", 32),
    ]


def test_a_model_without_memory_is_mended_too() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(10**9, 10**6))
    mend = diagnosed(model, (3, 8, 8)).mends[0]
    assert str(mend) == "in_features=288 in 2"
    assert apply(model, mend)[2].weight.device.type == "meta"  # type: ignore[index,union-attr]  # A Sequential.


def test_a_layer_alone_is_mended() -> None:
    model = nn.Conv2d(3, 8, 3)
    mend = diagnosed(model, (4, 8, 8)).mends[0]
    assert str(mend) == "in_channels=4 in the model"
    assert runs(model, mend, (4, 8, 8))


def test_a_module_in_two_places_is_changed_in_both() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            shared = nn.Conv2d(8, 8, 3)
            self.first, self.steps = nn.Conv2d(3, 8, 3, padding=1), nn.ModuleList([shared, shared])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = y = self.first(x)
            for step in self.steps:
                y = step(y)
            return x + y

    model = Recurrent()
    mend = diagnosed(model, (3, 16, 16)).mends[0]
    assert str(mend) == "padding=1 in steps.0 gives 16 × 16"
    assert runs(model, mend, (3, 16, 16))


def test_a_model_that_fails_for_another_reason_gets_no_mends() -> None:
    class Wrong(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.no_such_method()  # type: ignore[no-any-return,operator]

    assert diagnose(Wrong(), walk(Wrong(), (3, 8, 8))) is None


def test_where_nothing_helps_that_is_said() -> None:
    class Hopeless(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.zeros(7, 11, 13, 17)

    found = diagnosed(Hopeless(), (3, 8, 8))
    assert found.mends == ()
    assert "none was found" in str(found)


def test_hooks_of_the_model_are_not_called_by_others() -> None:
    """The hook by which calls are counted is gone afterwards."""
    model = ResNet()
    before = len(torch.nn.modules.module._global_forward_pre_hooks)
    mends(model, walk(model, (1, 64, 64)))
    assert len(torch.nn.modules.module._global_forward_pre_hooks) == before
