"""Where weights of channel lanes are read: each place once, in the order of memory."""

from __future__ import annotations

import itertools
import random

import numpy as np

from tatamu.engine.group_lanes import GroupLanes
from tatamu.engine.kernels.job import Word
from tatamu.engine.lowering.lane_weights import WeightAxes
from tatamu.engine.tables import Table


def test_panels_hold_every_weight() -> None:
    """By NumPy: the weight that a panel's step and a lane lead to is the one of that channel and tap."""
    chosen = random.Random(0)
    for _ in range(200):
        groups, m, c, h, w = 4, *(chosen.randint(1, 4) for _ in range(4))
        order = chosen.sample(range(4), 4)
        size = (groups * m, c, h, w)
        memory = np.arange(groups * m * c * h * w).reshape([size[axis] for axis in order])
        weight = memory.transpose([order.index(axis) for axis in range(4)])
        sm, sc, sh, sw = (stride // weight.itemsize for stride in weight.strides)
        lanes = GroupLanes(groups, c, m, 8)
        table = Table(1)
        words = WeightAxes(lanes, sc, (sh, sw), m * sm, sm).words(table, (h, w))
        table.set_job(0, {})
        flat, run = table.words, words[Word.WEIGHT_RUN]
        for d, i, j in itertools.product(range(c), range(h), range(w)):
            step = d * words[Word.PANEL_CHANNEL] + i * words[Word.PANEL_ROW] + j * words[Word.PANEL_COLUMN]
            place = flat[words[Word.WEIGHT_TAP_TABLE] + step // run] + step % run
            for register in range(lanes.registers):
                for lane in range(min(lanes.result_lanes, groups * m - register * lanes.result_lanes)):
                    listed = flat[words[Word.WEIGHT_LANE_TABLE] + lane]
                    if words[Word.WEIGHT_M]:
                        assert listed == lane * words[Word.WEIGHT_M]
                    found = place + listed + register * words[Word.WEIGHT_BLOCK]
                    assert memory.reshape(-1)[found] == weight[register * lanes.result_lanes + lane, d, i, j]
