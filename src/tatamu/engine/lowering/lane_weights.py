"""Weights of kernels whose lanes are channels: how they lie in memory and in panels."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass

from tatamu.engine.group_lanes import GroupLanes
from tatamu.engine.kernels.job import Word
from tatamu.engine.spec import ElementType
from tatamu.engine.tables import Table
from tatamu.engine.target import Target


def patterns(groups: GroupLanes, element: ElementType, target: Target) -> list[int]:
    """The words of the permutation for each channel of a group; see `kernels/permutation.py`.

    A lane is moved as units of what the target's instruction moves: 4 bytes, or single ones.
    """
    unit = 1 if target.name == "neon" else 4
    units = element.compute_bytes // unit
    words: list[int] = []
    for channel in range(groups.source):
        numbers = [lane * units + part for lane in groups.pattern(channel) for part in range(units)]
        packed = struct.pack(f"<{len(numbers)}{'b' if unit == 1 else 'i'}", *numbers)
        words += struct.unpack(f"<{len(packed) // 8}q", packed)
    return words


@dataclass(frozen=True)
class WeightAxes:
    """Elements from one weight to the next along each axis, as seen by a pass."""

    groups: GroupLanes
    depth: int
    """From a channel that is summed over to the next."""
    taps: tuple[int, int]
    """From a row, and a column, of the kernel to the next."""
    group: int
    channel: int
    """From a result channel to the next of its group."""

    def words(self, table: Table, kernel: tuple[int, int]) -> dict[Word, int]:
        """How `define_pack_lanes` reads them. Panels have them in the order of memory: soonest read."""
        sizes, steps = (self.groups.source, *kernel), (self.depth, *self.taps)
        outermost = sorted(range(3), key=lambda axis: (sizes[axis] == 1, -steps[axis], axis))
        places = [
            sum(place * steps[axis] for place, axis in zip(at, outermost, strict=True))
            for at in itertools.product(*(range(sizes[axis]) for axis in outermost))
        ]
        panel_steps = [1, 1, 1]
        for number, axis in enumerate(outermost):
            for further in outermost[number + 1 :]:
                panel_steps[axis] *= sizes[further]
        run = _run(places)
        lanes = self.groups.places(self.group, self.channel)
        step = lanes[1] - lanes[0] if len(lanes) > 1 else 1
        regular = lanes == [lane * step for lane in range(len(lanes))] and step > 0
        return {
            Word.PACKED_TAPS: len(places),
            Word.PANEL_CHANNEL: panel_steps[0],
            Word.PANEL_ROW: panel_steps[1],
            Word.PANEL_COLUMN: panel_steps[2],
            Word.WEIGHT_RUN: run,
            Word.WEIGHT_TAP_TABLE: table.append(places[::run]),
            Word.WEIGHT_LANE_TABLE: table.append(lanes),
            Word.WEIGHT_M: step if regular and run > 1 else 0,
            Word.WEIGHT_BLOCK: self.groups.together * self.group,
        }


def _run(places: list[int]) -> int:
    """How many places follow one another, throughout."""
    run = next((n for n in range(1, len(places)) if places[n] != places[0] + n), len(places))
    while len(places) % run or any(
        places[at + n] != places[at] + n for at in range(0, len(places), run) for n in range(run)
    ):
        run -= 1
    return run
