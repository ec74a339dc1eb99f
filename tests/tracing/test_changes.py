"""How mends are written, and applied to a copy."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tatamu.tracing.changes import BEFORE, LAYER, Change, Mend, apply, replaced


def model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Linear(8, 4))


@pytest.mark.parametrize(
    ("mend", "sentence"),
    [
        (Mend((Change("a.b", "padding", 0, 1),), gives="56 × 56"), "padding=1 in a.b gives 56 × 56"),
        (Mend((Change("", "padding", 0, (1, 0)),)), "padding=(1, 0) in the model"),
        (
            Mend((Change("a", "in_channels", 3, 4), Change("a", "groups", 3, 4))),
            "in_channels=4, groups=4 in a",
        ),
        (
            Mend((Change("a", "out_channels", 3, 4), Change("b", "num_features", 3, 4)), gives="4 channels"),
            "out_channels=4 in a and num_features=4 in b give 4 channels",
        ),
        (Mend((Change("a", BEFORE, None, nn.Flatten()),)), "nn.Flatten() before a"),
        (
            Mend((Change("a", LAYER, nn.Identity(), nn.Conv2d(3, 8, 1, 2, bias=False)),)),
            "nn.Conv2d(3, 8, kernel_size=1, stride=2, bias=False) as a",
        ),
        (
            Mend(sizes=((1, 3, 64, 64),), gives="an output of 1×10"),
            "an input of 1×3×64×64 gives an output of 1×10",
        ),
        (Mend(sizes=((1, 3, 8, 8),), axes=(0, 3, 1, 2)), "input.permute(0, 3, 1, 2), 1×3×8×8,"),
    ],
)
def test_a_mend_is_one_sentence(mend: Mend, sentence: str) -> None:
    assert str(mend) == mend.sentence == sentence


def test_the_first_change_is_at_hand() -> None:
    mend = Mend((Change("a", "padding", 0, 1), Change("b", "stride", 1, 2)))
    assert (mend.path, mend.argument, mend.old, mend.new) == ("a", "padding", 0, 1)
    sized = Mend(sizes=((1, 3, 8, 8),))
    assert (sized.path, sized.argument, sized.old, sized.new) == ("", "input", None, ((1, 3, 8, 8),))


def test_a_copy_is_changed() -> None:
    given = model()
    made = apply(given, Mend((Change("0", "padding", 0, 1), Change("2", BEFORE, None, nn.Flatten()))))
    assert made[0](torch.zeros(1, 3, 4, 4)).shape == (1, 8, 4, 4)  # type: ignore[index]  # A Sequential.
    assert [type(it) for it in made[2]] == [nn.Flatten, nn.Linear]  # type: ignore[index]
    assert given[0].padding == (0, 0)
    assert isinstance(given[2], nn.Linear)


def test_layers_that_stay_keep_their_weights() -> None:
    given = model()
    made = apply(given, Mend((Change("0", "padding", 0, 1),)))
    assert torch.equal(made[2].weight, given[2].weight)  # type: ignore[index,arg-type]


def test_a_layer_put_in_has_memory() -> None:
    made = apply(model(), Mend((Change("1", LAYER, nn.ReLU(), nn.Conv2d(8, 4, 1, device="meta")),)))
    assert made[1].weight.device.type == "cpu"  # type: ignore[index,union-attr]


def test_a_layer_is_replaced_wherever_it_is() -> None:
    shared = nn.ReLU()
    model = nn.Sequential(shared, nn.Sequential(nn.Identity(), shared), nn.ReLU())
    new = nn.GELU()
    assert replaced(model, "0", new) is model
    assert model[0] is model[1][1] is new
    assert isinstance(model[2], nn.ReLU)
    assert replaced(shared, "", new) is new
