"""Which way a map is split follows from how its operands lie."""

from __future__ import annotations

import pytest
from torch.distributed.tensor import Partial, Placement, Replicate, Shard

from tatamu.distributed.splitting import split

WHOLE, SUM = Replicate(), Partial()
IMAGES, CHANNELS, ROWS, COLUMNS = map(Shard, range(4))


@pytest.mark.parametrize(
    ("name", "given", "groups", "operands", "result"),
    [
        ("convolution", (IMAGES, WHOLE), 1, (IMAGES, WHOLE), IMAGES),
        ("convolution", (IMAGES, Shard(0)), 1, (IMAGES, WHOLE), IMAGES),
        ("convolution", (ROWS, Shard(0)), 1, (ROWS, WHOLE), ROWS),
        ("convolution", (SUM, Shard(0)), 1, (WHOLE, Shard(0)), CHANNELS),
        ("convolution", (CHANNELS, WHOLE), 1, (WHOLE, WHOLE), WHOLE),
        ("convolution", (CHANNELS, WHOLE), 4, (CHANNELS, Shard(0)), CHANNELS),
        ("convolution", (CHANNELS, WHOLE), 3, (WHOLE, WHOLE), WHOLE),
        ("convolution", (COLUMNS, WHOLE), 1, (WHOLE, WHOLE), WHOLE),
        ("grad_input", (CHANNELS, WHOLE), 1, (CHANNELS, Shard(0)), SUM),
        ("grad_input", (WHOLE, Shard(0)), 1, (CHANNELS, Shard(0)), SUM),
        ("grad_input", (WHOLE, Shard(0)), 2, (CHANNELS, Shard(0)), CHANNELS),
        ("grad_weight", (WHOLE, IMAGES), 1, (IMAGES, IMAGES), SUM),
        ("grad_weight", (ROWS, WHOLE), 1, (ROWS, ROWS), SUM),
        ("grad_weight", (CHANNELS, WHOLE), 1, (CHANNELS, WHOLE), Shard(0)),
        ("grad_bias", (ROWS,), 1, (ROWS,), SUM),
        ("grad_bias", (CHANNELS,), 1, (CHANNELS,), Shard(0)),
    ],
)
def test_one_dimension(
    name: str, given: tuple[Placement, ...], groups: int, operands: tuple[Placement, ...], result: Placement
) -> None:
    found = split(name, [(placement,) for placement in given], (2,), groups)
    assert found.operands == tuple((placement,) for placement in operands)
    assert found.result == (result,)


def test_rows_are_split_once() -> None:
    found = split("convolution", [(WHOLE, ROWS, ROWS), (WHOLE, WHOLE, WHOLE)], (2, 2, 2), 1)
    assert found.operands[0] == (WHOLE, ROWS, WHOLE)
    assert found.rows == 1


def test_groups_are_divided_while_they_last() -> None:
    found = split("convolution", [(CHANNELS,) * 3, (Shard(0),) * 3], (2, 2, 2), 4)
    assert found.operands[0] == (CHANNELS, CHANNELS, WHOLE)
    assert found.group_parts == 4
