"""Copies without weights: the same structure, the same sizes, nothing shared that could be written into."""

from __future__ import annotations

import torch
from torch import nn

from tatamu.tracing.copies import is_lazy, weightless


class Holder(nn.Module):
    """Tensors in every place that a module may have them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(3, 4)
        self.second.weight = self.first.weight
        self.register_buffer("mean", torch.ones(4, dtype=torch.float64))
        self.plain = torch.ones(2)
        self.listed = [torch.ones(3)]
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)


def test_every_tensor_is_without_memory_and_as_large() -> None:
    model = Holder().train()
    copied = weightless(model)
    assert isinstance(copied, Holder)
    assert copied.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        other = copied.state_dict()[name]
        assert (other.shape, other.dtype, other.is_meta) == (tensor.shape, tensor.dtype, True)
    assert copied.plain.is_meta
    assert copied.first.weight is copied.second.weight
    assert not copied.frozen.requires_grad
    assert not copied.training
    assert model.training


def test_what_is_written_into_the_copy_stays_there() -> None:
    model = Holder()
    copied = weightless(model)
    copied.listed[0].zero_()
    copied.first.in_features = 7
    assert model.listed[0].sum() == 3
    assert model.first.in_features == 3


def test_lazy_layers_stay_lazy() -> None:
    assert is_lazy(weightless(nn.Sequential(nn.LazyConv2d(4, 3))))
    assert not is_lazy(Holder())
