"""A network's layers as a table: `tatamu.trace`."""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich.console import Console, Group
from rich.text import Text
from torch.nn import Module

from tatamu.errors import ValueReadError
from tatamu.tracing import documents, writing
from tatamu.tracing.explanation import explained
from tatamu.tracing.loading import load
from tatamu.tracing.rows import Row, rows
from tatamu.tracing.sizes import Size, SizeArgument
from tatamu.tracing.table import WIDTH, Rows
from tatamu.tracing.walk import Walk, walk

__all__ = ["Trace", "trace"]


@dataclass(frozen=True)
class Trace:
    """What a network does with inputs of some sizes; printed, it is a table.

    Attributes:
        model: what was traced: its import path or file, or its class's name.
        sizes: of the inputs, each with its batch.
        rows: one for each layer, in the order of their work; where the network fails, those before.
        parameters: number of elements of all parameters, each counted once.
        macs: multiply-adds of all rows.
        problem: where and why the network fails, a fact a line; empty where it does not.
        walk: every single operation, and what failed.
    """

    model: str
    sizes: tuple[Size, ...]
    rows: tuple[Row, ...]
    parameters: int
    macs: int
    problem: tuple[str, ...]
    walk: Walk

    @property
    def fits(self) -> bool:
        """Whether the network runs to its end."""
        return not self.problem

    @property
    def summary(self) -> str:
        """The totals, in one line."""
        given = ", ".join(map(writing.size, self.sizes))
        parameters, macs = writing.count(self.parameters) or "no", writing.count(self.macs) or "no"
        return f"{self.model} on {given}: {parameters} parameters, {macs} multiply-adds"

    def __rich__(self) -> Group:
        """For `rich.print`: the table, the totals, and what is wrong."""
        problem = [Text(line, "bold red" if number == 0 else "") for number, line in enumerate(self.problem)]
        return Group(Rows(self.rows), Text(), Text(self.summary, "bold"), *problem)

    def __str__(self) -> str:
        file = io.StringIO()
        Console(file=file, width=WIDTH, color_system=None).print(self)
        return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())

    def _repr_html_(self) -> str:
        return documents.fragment(self.summary, self.rows, self.problem)

    def to_html(self) -> str:
        """The table as one page that needs nothing else."""
        return documents.page(self.model, self.summary, self.rows, self.problem)

    def to_markdown(self) -> str:
        """The table in GitHub's Markdown."""
        return documents.markdown(self.summary, self.rows, self.problem)

    def to_json(self) -> str:
        """All figures; sizes of images are (height, width), in pixels."""
        return documents.json_text(self.model, self.walk, self.rows, self.parameters, self.problem)


def trace(model: Module | str, size: SizeArgument) -> Trace:
    """Follow inputs of a size through a network, layer by layer; nothing is computed.

    For each layer: its path, its arguments, the size that comes out, the receptive field and its jump,
    parameters, multiply-adds, and the technique by which tatamu would compute it. The network runs in eval
    mode on tensors that have sizes and no memory. It stays as it is; its weights may be real or on 'meta'.

    Receptive fields are those of the first input, propagated through every operation (residual additions,
    concatenations, views, windows of attention), by which input rows and columns each element reads; see
    Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019.
    "whole": an operation on the whole image was on the way.

    Args:
        model: a module, `package.module:Model` or `path/file.py:Model`.
        size: '3x224x224' or (3, 224, 224): one image, as a batch of 1. Four counts have the batch first. A
            sequence of sizes is one for each input.

    Returns:
        A `Trace`; one of a network whose sizes do not fit says where it breaks (`Trace.problem`).

    Raises:
        ModelError: there is no such model, or it cannot be made or copied.
        InputSizeError: the size is none.
    """
    if isinstance(model, str):
        name, walked = model, _walked(model, size)
    else:
        name, walked = type(model).__name__, walk(model, size)
    found = rows(walked)
    macs = sum(it.macs for it in found)
    return Trace(name, walked.sizes, found, sum(walked.parameters.values()), macs, explained(walked), walked)


def _walked(spec: str, size: SizeArgument) -> Walk:
    walked = walk(load(spec), size)
    if walked.failure is not None and isinstance(walked.failure.error, ValueReadError):
        # What it reads may be its own: then a model that has values gets farther.
        return walk(load(spec, values=True), size)
    return walked
