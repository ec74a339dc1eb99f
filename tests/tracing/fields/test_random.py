"""Random programs: whatever is done to a tensor, the elements that read a pixel are those that become NaN."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tracing.reality import assert_real

Operation = Callable[[Tensor], Tensor]

_MOST = 6000
"""Elements of a tensor, so that programs stay small."""


class Program(nn.Module):
    """Operations one after the other; each is chosen when it is first run, by what it is given."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.operations: list[Operation] = []

    def forward(self, x: Tensor) -> Tensor:
        for place in range(self.length):
            if place == len(self.operations):
                self.operations.append(_choose(x))
            x = self.operations[place](x)
        return x


def _choose(x: Tensor) -> Operation:
    choices = [_permuted, _split, _joined, _sliced, _rolled, _padded, _summed, _softmax, _doubled, _mirrored]
    choices += [_multiplied, _halves, _written]
    if x.dim() == 4 and min(x.shape[2:]) >= 3:
        choices += [_convolved] * 3 + [_pooled, _interpolated, _grouped]
    while True:
        operation = random.choice(choices)(x)
        if operation is not None and 0 < operation(torch.zeros_like(x)).numel() <= _MOST:
            return operation


def _dim(x: Tensor) -> int:
    return random.randrange(x.dim())


def _permuted(x: Tensor) -> Operation:
    order = random.sample(range(x.dim()), x.dim())
    return lambda x: x.permute(order)


def _split(x: Tensor) -> Operation | None:
    dim = _dim(x)
    factors = [it for it in range(2, x.shape[dim]) if x.shape[dim] % it == 0]
    if not factors or x.dim() > 5:
        return None
    factor = random.choice(factors)
    return lambda x: x.reshape(*x.shape[:dim], factor, -1, *x.shape[dim + 1 :])


def _joined(x: Tensor) -> Operation | None:
    if x.dim() < 4:
        return None
    dim = random.randrange(x.dim() - 1)
    return lambda x: x.flatten(dim, dim + 1)


def _sliced(x: Tensor) -> Operation | None:
    dim = _dim(x)
    if x.shape[dim] < 3:
        return None
    taken = (slice(None),) * dim + (slice(1, None, random.randint(1, 2)),)
    return lambda x: x[taken]


def _rolled(x: Tensor) -> Operation:
    dim, shift = _dim(x), random.randint(-3, 3)
    return lambda x: x.roll(shift, dim)


def _padded(_: Tensor) -> Operation:
    before, after = random.randint(0, 2), random.randint(0, 2)
    return lambda x: functional.pad(x, (before, after))


def _summed(x: Tensor) -> Operation | None:
    dim, keeps = _dim(x), random.random() < 0.5
    if x.dim() < 4 and not keeps:
        return None
    return lambda x: x.sum(dim, keepdim=keeps)


def _softmax(x: Tensor) -> Operation:
    dim = _dim(x)
    return lambda x: x.softmax(dim)


def _doubled(x: Tensor) -> Operation:
    dim = _dim(x)
    return lambda x: torch.cat([x, x.flip(_dim_of(x, dim)), torch.zeros_like(x)], dim)


def _dim_of(x: Tensor, dim: int) -> int:
    return (dim + 1) % x.dim()


def _mirrored(x: Tensor) -> Operation:
    dim = _dim(x)
    return lambda x: x + x.flip(dim)


def _multiplied(_: Tensor) -> Operation:
    return lambda x: (x @ x.transpose(-1, -2)).tanh()  # Numbers stay finite.


def _halves(x: Tensor) -> Operation | None:
    dim = _dim(x)
    if x.shape[dim] % 2:
        return None

    def halves(x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim)
        return torch.stack([left.cumsum(dim), right], dim)

    return halves if x.dim() < 6 else None


def _written(x: Tensor) -> Operation | None:
    dim = _dim(x)
    if x.shape[dim] < 2:
        return None

    def written(x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        part = y.narrow(dim, 1, x.shape[dim] - 1)
        part.copy_(x.narrow(dim, 0, x.shape[dim] - 1))
        y.select(dim, 0).add_(1)
        return y

    return written


def _convolved(x: Tensor) -> Operation:
    channels, groups = x.shape[1], random.choice([1, x.shape[1]])
    kernel, stride, padding = random.randint(1, 3), random.randint(1, 2), random.randint(0, 1)
    made, size = random.randint(1, 2), (kernel, kernel)
    if random.random() < 0.3:
        turned = torch.ones(channels, made, *size, dtype=torch.float64)
        return lambda x: functional.conv_transpose2d(x, turned, stride=stride, groups=groups)
    weight = torch.ones(made * groups, channels // groups, *size, dtype=torch.float64)
    return lambda x: functional.conv2d(x, weight, stride=stride, padding=padding, groups=groups)


def _pooled(_: Tensor) -> Operation:
    if random.random() < 0.5:
        return lambda x: functional.max_pool2d(x, 3, 2, 1)
    return lambda x: functional.adaptive_avg_pool2d(x, (2, 3))


def _interpolated(_: Tensor) -> Operation:
    mode, size = random.choice(["nearest", "bilinear"]), (random.randint(2, 9), random.randint(2, 9))
    return lambda x: functional.interpolate(x, size, mode=mode)


def _grouped(x: Tensor) -> Operation:
    groups = x.shape[1]
    return lambda x: functional.group_norm(x + torch.arange(x.shape[3]), groups) if x.shape[2] > 1 else x


@pytest.mark.parametrize("_", range(60))
def test_random_programs(_: int) -> None:
    program = Program(random.randint(3, 8))
    size = 1, random.randint(1, 4), random.randint(4, 9), random.randint(4, 9)
    program(torch.zeros(size, dtype=torch.float64))
    assert_real(program, size, exactly=False)
