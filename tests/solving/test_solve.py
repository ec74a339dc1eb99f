"""Which arguments give a size, against every arrangement there is on small images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import tatamu
from tatamu import errors
from tatamu.solving import Solution, solve

LARGEST = 7
Sides = tuple[int, int]
Arguments = tuple[int, int, int, Sides]
"""Kernel, stride, dilation and (before, after)."""


def output(size: int, arguments: Arguments) -> int:
    """Counted: how often the kernel fits, one stride after the other."""
    kernel, stride, dilation, (before, after) = arguments
    return len(range(0, size + before + after - dilation * (kernel - 1), stride))


def reads_all(size: int, arguments: Arguments) -> bool:
    kernel, stride, dilation, (before, _) = arguments
    windows = range(output(size, arguments))
    read = {window * stride + tap * dilation - before for window in windows for tap in range(kernel)}
    return set(range(size)) <= read


def plainness(sizes: tuple[int, ...], arguments: Arguments) -> tuple[int, ...]:
    """What the docstring of `solve` counts, in its order."""
    kernel, stride, dilation, (before, after) = arguments
    extent = dilation * (kernel - 1) + 1
    count = [kernel % 2 == 0, stride > 2, dilation > 1, before != after, before + after > extent - 1]
    count += [extent > 7 * 2**times for times in range(20)]
    lossy = not all(reads_all(size, arguments) for size in sizes)
    total = sum(count) + 2 * lossy + 4 * (stride > 2 * extent)
    return total, abs(kernel - 3), kernel, stride, dilation, abs(before + after - (extent - 1))


def everything(sizes: tuple[int, ...], wanted: tuple[int, ...], fixed: dict[str, Any]) -> Iterator[Arguments]:
    """All arguments of kernels no larger than the image whose padding is fixed, or as `solve` tries it."""
    largest = min(sizes) + 2 * fixed.get("padding", 0)
    tried = {"kernel_size": largest, "stride": max(sizes) + 2 * fixed.get("padding", 0), "dilation": largest}
    ranges = [
        range(fixed[name], fixed[name] + 1) if name in fixed else range(1, most + 1)
        for name, most in tried.items()
    ]
    for kernel, stride, dilation in itertools.product(*ranges):
        extent = dilation * (kernel - 1) + 1
        if extent > largest:
            continue
        free = [
            (before, before + more) for before in range(extent) for more in (0, 1) if before + more < extent
        ]
        for before, after in [(fixed["padding"],) * 2] if "padding" in fixed else free:
            arguments = kernel, stride, dilation, (before, after)
            if all(output(size, arguments) == want for size, want in zip(sizes, wanted, strict=True)):
                yield arguments


def axis(solution: Solution, which: int) -> Arguments:
    return (
        solution.kernel_size[which],
        solution.stride[which],
        solution.dilation[which],
        solution.padding[which],
    )


def fixed_arguments() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "kernel_size": st.integers(1, 5),
            "stride": st.integers(1, 4),
            "dilation": st.integers(1, 3),
            "padding": st.integers(0, 3),
        },
    )


@given(st.integers(1, LARGEST), st.integers(1, LARGEST), fixed_arguments())
def test_nothing_is_plainer(size: int, wanted: int, fixed: dict[str, Any]) -> None:
    wanted = min(wanted, size)
    possible = [plainness((size,), arguments) for arguments in everything((size,), (wanted,), fixed)]
    try:
        found = [plainness((size,), axis(solution, 0)) for solution in solve(size, wanted, **fixed)]
    except errors.UnreachableSizeError:
        assert possible == []
        return
    assert found == sorted(found)
    if possible:  # A fixed kernel that is larger than the image is answered with padding.
        assert found[0] == min(possible)


@given(
    st.tuples(st.integers(1, LARGEST), st.integers(1, LARGEST)),
    st.tuples(st.integers(1, LARGEST), st.integers(1, LARGEST)),
    fixed_arguments(),
)
def test_arguments_that_serve_both_axes_come_first(
    sizes: tuple[int, int], wanted: tuple[int, int], fixed: dict[str, Any]
) -> None:
    wanted = min(wanted[0], sizes[0]), min(wanted[1], sizes[1])
    together = [plainness(sizes, arguments) for arguments in everything(sizes, wanted, fixed)]
    if together:
        first = solve(sizes, wanted, **fixed)[0]
        assert axis(first, 0) == axis(first, 1)
        assert plainness(sizes, axis(first, 0)) == min(together)


@given(st.integers(20, 60), st.integers(2, 12), st.integers(1, 13), st.integers(1, 9), st.integers(1, 2))
def test_no_other_padding_is_plainer(size: int, wanted: int, kernel: int, stride: int, dilation: int) -> None:
    fixed = {"kernel_size": kernel, "stride": stride, "dilation": dilation}
    possible = [plainness((size,), arguments) for arguments in everything((size,), (wanted,), fixed)]
    assume(possible)
    (found,) = solve(size, wanted, **fixed)
    assert plainness((size,), axis(found, 0)) == min(possible)


PADDINGS = [None, "valid", "same", "same_upper", "same_lower", 1, (0, 2), ((0, 1), (2, 0))]
IMAGES = st.integers(1, 70)


@given(
    st.tuples(IMAGES, IMAGES),
    st.tuples(IMAGES, IMAGES),
    st.sampled_from(PADDINGS),
    st.sampled_from([None, 1, 2, (1, 3)]),
)
def test_each_solution_gives_the_size(
    size: tuple[int, int], wanted: tuple[int, int], padding: Any, stride: Any
) -> None:
    if padding == "same" and stride not in (None, 1):
        return
    try:
        found = solve(size, wanted, padding=padding, stride=stride, count=3)
    except errors.UnreachableSizeError as error:
        assert "the nearest is" in str(error)  # noqa: PT017 - whether it is raised depends on the drawn sizes.
        return
    assert 1 <= len(found) <= 3
    for solution in found:
        layer = tatamu.Conv2d(1, 1, **solution.arguments, device="meta")
        assert tuple(layer(torch.empty(1, *size, device="meta")).shape[1:]) == wanted
        if stride is not None:
            assert solution.stride == (stride if isinstance(stride, tuple) else (stride, stride))


@given(st.integers(1, LARGEST), st.integers(1, 2 * LARGEST), st.integers(1, 5), st.integers(0, 2))
def test_the_nearest_size_is_named(size: int, wanted: int, kernel: int, padding: int) -> None:
    fixed = {"kernel_size": kernel, "padding": padding}
    choices = itertools.product(range(1, 30), range(1, 30))
    reached = {output(size, (kernel, stride, dilation, (padding, padding))) for stride, dilation in choices}
    reached -= {0}
    try:
        solve(size, wanted, **fixed)
    except errors.UnreachableSizeError as error:
        assert wanted not in reached
        nearest = min(reached, key=lambda other: (abs(other - wanted), other), default=None)
        said = "the kernel does not fit" if nearest is None else f"the nearest is {nearest}, with"
        assert said in str(error)  # noqa: PT017 - the same.
    else:
        assert wanted in reached


def test_the_nearest_size_may_be_a_stride_away() -> None:
    """With strides 2 and 3 there are 10 and 7 outputs."""
    with pytest.raises(errors.UnreachableSizeError, match=r"of 20 into 8; the nearest is 7, with .*stride=3"):
        solve(20, 8, kernel_size=1, padding=0)


@pytest.mark.parametrize(
    ("size", "wanted", "fixed", "first"),
    [
        (224, 112, {}, "kernel_size=3, stride=2, padding=1"),
        (224, 224, {}, "kernel_size=3, padding=1"),
        (28, 24, {}, "kernel_size=5"),
        (224, 56, {"kernel_size": 7, "stride": 4}, "kernel_size=7, stride=4, padding=3"),
        # With the usual padding of 8 the last four rows and columns would not be read.
        (39, 3, {"kernel_size": 17, "stride": 13}, "kernel_size=17, stride=13, padding=4"),
        (224, 112, {"kernel_size": 7}, "kernel_size=7, stride=2, padding=3"),
        (28, 14, {"kernel_size": 3, "stride": 1, "padding": 0}, "kernel_size=3, dilation=7"),
        ((224, 160), (112, 80), {}, "kernel_size=3, stride=2, padding=1"),
        (224, 112, {"padding": "same_upper"}, "kernel_size=3, stride=2, padding=((0, 1), (0, 1))"),
    ],
)
def test_what_one_would_write(size: Any, wanted: Any, fixed: dict[str, Any], first: str) -> None:
    assert str(solve(size, wanted, **fixed)[0]) == first


def test_what_is_not_plain_is_said() -> None:
    (solution,) = solve(9, 3, kernel_size=2, stride=3, dilation=1, padding=((0, 1), (0, 1)))
    assert solution.remarks == ("even kernel", "stride 3", "one-sided padding", "3 of 9 never read")


def test_it_can_be_asked_about_large_images() -> None:
    assert output(4096, axis(solve(4096, 2)[0], 0)) == 2
    with pytest.raises(errors.UnreachableSizeError, match="into 5000; the nearest is 4096, with"):
        solve(4096, 5000, padding="valid")


@pytest.mark.parametrize(
    ("size", "wanted", "fixed", "error"),
    [
        (0, 1, {}, errors.EmptyInputError),
        (4, 0, {}, errors.UnreachableSizeError),
        (4, 2, {"stride": 0}, errors.StrideError),
        (4, 2, {"padding": -1}, errors.NegativePaddingError),
        (4, 2, {"kernel_size": 0}, errors.KernelSizeError),
        (4, 2, {"padding": "smae"}, errors.PaddingNameError),
        (4, 2, {"padding": "same", "stride": 2}, errors.StridedSameError),
        (4, 2, {"dilation": (1, 2, 3)}, errors.ArgumentLengthError),
        (4, 2, {"kernel_size": 2.5}, errors.ArgumentTypeError),
    ],
)
def test_what_no_layer_takes_is_refused_as_the_layer_does(
    size: int, wanted: int, fixed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        solve(size, wanted, **fixed)
