"""Values that do not depend on the input are followed; nobody's tensors are written into."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tatamu.errors import ValueReadError
from tatamu.tracing.walk import walk


class Reader(nn.Module):
    """Repeats its input as often as a function of a buffer says."""

    def __init__(self, function: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("count", torch.tensor([2, 3]))

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(1, int(self.function(self.count, x)), 1, 1)  # type: ignore[call-overload]


def viewed_and_written(count: Tensor, _: Tensor) -> Tensor:
    part = count[:1]
    part += 5
    return count.sum()


@pytest.mark.parametrize(
    "function",
    [
        lambda count, _: count[0],
        lambda count, _: (count * 2 - 1).max(),
        lambda count, _: count.tolist()[1],
        lambda count, _: len(torch.nonzero(count)),
        lambda count, x: count[1] + x.shape[2],
        lambda _, x: torch.arange(4, device=x.device)[2],
        lambda _, x: torch.linspace(0, 4, 3).to(x)[1],
        lambda _, x: torch.full((), 3.0, dtype=x.dtype),
        viewed_and_written,
    ],
)
def test_what_is_read_is_what_is_there(function: Callable[[Tensor, Tensor], object]) -> None:
    model = Reader(function)
    walked = walk(model, "3x4x4")
    assert walked.failure is None
    assert model.count.tolist() == [2, 3]
    assert walked.output.shape == model(torch.zeros(1, 3, 4, 4)).shape


@pytest.mark.parametrize(
    "function",
    [lambda _, x: x.sum(), lambda count, x: (count[0] * x).max(), lambda _, x: torch.rand(()) + x.mean()],
)
def test_what_depends_on_the_input_is_not_known(function: Callable[[Tensor, Tensor], object]) -> None:
    failure = walk(Reader(function), "3x4x4").failure
    assert failure is not None
    assert isinstance(failure.error, ValueReadError)


def test_chance_is_not_known() -> None:
    failure = walk(Reader(lambda _, x: torch.rand(()) * 3), "3x4x4").failure  # noqa: ARG005 - as the others.
    assert failure is not None
    assert isinstance(failure.error, ValueReadError)
