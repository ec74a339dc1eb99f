"""What a position of a feature map sees, against a walk back through the layers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geometry.cases import axes
from tatamu.geometry import Axis, ReceptiveField


@given(st.lists(axes(), min_size=1, max_size=4), st.integers(-3, 3))
def test_receptive_field_of_a_chain(chain: list[Axis], position: int) -> None:
    seen = {position}
    for axis in reversed(chain):
        seen = {
            p * axis.stride + tap * axis.dilation - axis.before for p in seen for tap in range(axis.kernel)
        }
    field = ReceptiveField.through(chain)
    start = field.start + position * field.jump
    assert (start, start + field.size - 1) == (min(seen), max(seen))
    assert field.centre + position * field.jump == (min(seen) + max(seen)) / 2


def test_receptive_field_of_one_layer_and_of_none() -> None:
    assert ReceptiveField.through([]) == ReceptiveField(size=1, jump=1, start=0)
    stem = Axis(224, 7, 2, 1, 3, 3).receptive_field
    assert stem == ReceptiveField(7, 2, -3)
