from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.cases import axis, drawn
from tatamu import reference
from tatamu.engine import taps
from tatamu.geometry import PADDING_MODES, Axis


@st.composite
def axes(draw: st.DrawFn) -> tuple[Axis, str]:
    mode = draw(st.sampled_from(PADDING_MODES))
    return axis(drawn(draw), mode, 12, 7), mode


def reads(one: Axis, mode: str) -> Counter[tuple[int, int, int]]:
    """(output, tap, pixel) of every product of the definition."""
    found: Counter[tuple[int, int, int]] = Counter()
    for output in range(one.output):
        for tap in range(one.kernel):
            at = output * one.stride + tap * one.dilation - one.before
            pixel = reference.source(at, one.size, mode)
            if pixel is not None:
                found[output, tap, pixel] += 1
    return found


@given(axes())
def test_forward_reads_what_the_definition_reads(given_axis: tuple[Axis, str]) -> None:
    one, mode = given_axis
    found = taps.forward(one, mode)
    assert (found.grid, found.first, found.step) == (one.output, 0, 1)
    got = Counter(
        (output, weight, pixel)
        for output in range(found.grid)
        for number, (weight, _) in enumerate(found.taps)
        for pixel in found.sources(output, number)
    )
    assert got == reads(one, mode)


@given(axes())
def test_grad_input_gathers_every_read_once(given_axis: tuple[Axis, str]) -> None:
    """The same products, from the pixels: each belongs to one phase, and misses no copy of itself."""
    one, mode = given_axis
    got: Counter[tuple[int, int, int]] = Counter()
    targets = []
    for phase in taps.grad_input(one, mode):
        for position in range(phase.grid):
            pixel = phase.first + position * phase.step
            targets.append(pixel)
            for number, (weight, _) in enumerate(phase.taps):
                for output in phase.sources(position, number):
                    got[output, weight, pixel] += 1
    assert sorted(targets) == list(range(one.size))
    assert got == reads(one, mode)


@given(axes())
def test_inside_needs_no_list(given_axis: tuple[Axis, str]) -> None:
    """Inside, the one source of a tap is a constant step away; outside, a list or a zero stands for it."""
    one, mode = given_axis
    for found in (taps.forward(one, mode), *taps.grad_input(one, mode)):
        for number, (_, offset) in enumerate(found.taps):
            low, high = found.inside(offset)
            assert 0 <= low <= high <= found.grid
            for position in range(low, high):
                assert position not in found.listed
                assert found.sources(position, number) == (position * found.stride + offset,)
            if not found.listed and low < high:
                outside = (*range(low), *range(high, found.grid))
                assert not any(found.sources(position, number) for position in outside)
