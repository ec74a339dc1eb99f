"""How the operands and results of a map lie on a group of processes, for each way to split a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from torch.distributed.tensor import Partial, Placement, Replicate, Shard

_WHOLE = Replicate()
_SUM = Partial()


class Way(Enum):
    """By what a convolution is split along one dimension of a device mesh."""

    WHOLE = "not at all"
    BATCH = "images"
    ROWS = "rows"
    GROUPS = "groups, and with them channels of input and output"
    CHANNELS = "output channels"


# For each map: how its tensor operands have to lie, and how its result lies then.
_Placements = dict[Way, tuple[tuple[Placement, ...], Placement]]
PLACEMENTS: dict[str, _Placements] = {
    "convolution": {  # Of input, weight, bias.
        Way.BATCH: ((Shard(0), _WHOLE, _WHOLE), Shard(0)),
        Way.ROWS: ((Shard(2), _WHOLE, _WHOLE), Shard(2)),
        Way.GROUPS: ((Shard(1), Shard(0), Shard(0)), Shard(1)),
        Way.CHANNELS: ((_WHOLE, Shard(0), Shard(0)), Shard(1)),
        Way.WHOLE: ((_WHOLE, _WHOLE, _WHOLE), _WHOLE),
    },
    "grad_input": {  # Of grad_output, weight.
        Way.BATCH: ((Shard(0), _WHOLE), Shard(0)),
        Way.ROWS: ((Shard(2), _WHOLE), Shard(2)),
        Way.GROUPS: ((Shard(1), Shard(0)), Shard(1)),
        Way.CHANNELS: ((Shard(1), Shard(0)), _SUM),
        Way.WHOLE: ((_WHOLE, _WHOLE), _WHOLE),
    },
    "grad_weight": {  # Of grad_output, input.
        Way.BATCH: ((Shard(0), Shard(0)), _SUM),
        Way.ROWS: ((Shard(2), Shard(2)), _SUM),
        Way.GROUPS: ((Shard(1), Shard(1)), Shard(0)),
        Way.CHANNELS: ((Shard(1), _WHOLE), Shard(0)),
        Way.WHOLE: ((_WHOLE, _WHOLE), _WHOLE),
    },
    "grad_bias": {  # Of grad_output.
        Way.BATCH: ((Shard(0),), _SUM),
        Way.ROWS: ((Shard(2),), _SUM),
        Way.CHANNELS: ((Shard(1),), Shard(0)),
        Way.WHOLE: ((_WHOLE,), _WHOLE),
    },
}


@dataclass(frozen=True)
class Split:
    """A map, split along each dimension of a mesh: the placements of each operand and of the result."""

    operands: tuple[tuple[Placement, ...], ...]
    result: tuple[Placement, ...]
    rows: int | None
    """The dimension of the mesh along which the image is split by rows."""
    group_parts: int
    """Into how many parts the groups are divided."""


def split(name: str, given: Sequence[Sequence[Placement]], mesh_size: Sequence[int], groups: int) -> Split:
    """The split that suits how the operands lie, so that as little as can be moves.

    Args:
        name: the map.
        given: the placements of each operand, one for each dimension of the mesh.
        mesh_size: processes along each dimension of the mesh.
        groups: of the convolution; 1 for a map that has none.
    """
    ways: list[Way] = []
    group_parts = 1
    for dimension, parts in enumerate(mesh_size):
        possible = [Way.BATCH]
        if Way.ROWS not in ways:
            possible.append(Way.ROWS)
        if groups == 1:
            possible.append(Way.CHANNELS)
        elif groups // group_parts % parts == 0:
            possible.append(Way.GROUPS)
        here = [placements[dimension] for placements in given]
        way = next((way for way in possible if _suits(PLACEMENTS[name][way][0], here)), Way.WHOLE)
        ways.append(way)
        group_parts *= parts if way is Way.GROUPS else 1
    table = PLACEMENTS[name]
    return Split(
        tuple(tuple(table[way][0][operand] for way in ways) for operand in range(len(given))),
        tuple(table[way][1] for way in ways),
        ways.index(Way.ROWS) if Way.ROWS in ways else None,
        group_parts,
    )


def _suits(wanted: Sequence[Placement], here: Sequence[Placement]) -> bool:
    """Whether an operand is split already as this way wants it."""
    return any(
        type(placement) is Shard and placement == want
        for placement, want in zip(here, wanted, strict=False)  # There may be no bias.
    )
