"""The search for the plainest solutions, and for the nearest size where there is none."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from tatamu.geometry import Axis
from tatamu.solving.plainness import Candidate, least_key
from tatamu.solving.problem import Problem


def plainest(problems: Sequence[Problem], count: int) -> list[Candidate]:
    """The solutions that serve all of the axes with the same arguments, the plainest first."""
    found: list[Candidate] = []
    for kernel, dilations in problems[0].kernels(min(problem.largest_extent for problem in problems)):
        lossy = any(problem.output * kernel < problem.size for problem in problems)
        for dilation in dilations:
            for stride in _strides(problems, dilation * (kernel - 1) + 1):
                # A larger stride is never plainer.
                if len(found) == count and least_key(kernel, stride, dilation, lossy) > found[-1].key:
                    break
                made = min(_candidates(problems, kernel, stride, dilation), default=None)
                if made is not None:
                    insort(found, made)
                    del found[count:]
    return found


def _strides(problems: Sequence[Problem], extent: int) -> range:
    ends = [problem.strides(extent) for problem in problems]
    smallest = max(low for low, _ in ends)
    largest = min((high for _, high in ends if high is not None), default=smallest)
    return range(smallest, largest + 1)


def nearest(problem: Problem) -> tuple[int, str] | None:
    """The size nearest to what is wanted that can be had, and how; None where there is none."""
    wanted = problem.output
    reachable = {
        max(sizes[0], min(wanted, sizes[-1]))
        for kernel, dilations in problem.kernels(problem.largest_extent)
        for dilation in dilations
        for sizes in problem.outputs(kernel, dilation)
    }
    for output in sorted(reachable, key=lambda size: (abs(size - wanted), size)):
        for candidate in plainest((replace(problem, output=output),), 1):
            axis = candidate.axes[0]
            padding = (axis.before, axis.after) if problem.padding is None else problem.padding
            solved = Problem(axis.size, output, axis.kernel, axis.stride, padding, axis.dilation)
            return output, solved.described
    return None


def _candidates(problems: Sequence[Problem], kernel: int, stride: int, dilation: int) -> Iterator[Candidate]:
    """One for each padding that serves all axes; named ones may come to other amounts on each."""
    named = isinstance(problems[0].padding, str)
    choices = [list(problem.paddings(kernel, stride, dilation)) for problem in problems]
    for amounts in product(*choices):
        if named or len(set(amounts)) == 1:
            yield Candidate.of(
                tuple(
                    Axis(problem.size, kernel, stride, dilation, *sides)
                    for problem, sides in zip(problems, amounts, strict=True)
                )
            )
