"""What sums, products of matrices, normalisations and attention read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tatamu.tracing.fields.terms import (
    Term,
    blurred,
    expanded,
    free,
    mixed,
    permuted,
    resampled,
    with_dim,
)
from tatamu.tracing.fields.unions import Field, union
from tatamu.tracing.fields.views import Fields, each
from tatamu.tracing.steps import Step


def number_by_number(step: Step, fields: Fields) -> Field:
    """What reads of each input the element in the same place."""
    shape = step.outputs[0].shape
    return union(expanded(term, shape) for value in step.inputs for term in fields(value))


def copied(step: Step, fields: Fields) -> Field:
    """A copy of the last input, broadcast: what was there before is overwritten."""
    shape = step.outputs[0].shape
    return each(fields(step.inputs[-1]), lambda term: expanded(term, shape))


def everything(step: Step, fields: Fields) -> list[Field]:
    """Of operations that are not known: any element may read what any element of the inputs reads."""
    found = []
    for output in step.outputs:
        terms = (term for value in step.inputs for term in fields(value))
        found.append(union(blurred(term, output.shape) for term in terms))
    return found


def across(term: Term, dims: Iterable[int], shape: Sequence[int]) -> Term:
    """Elements read all along these dimensions, whose sizes stay."""
    for dim in dims:
        term = with_dim(mixed(term, dim), dim, free(shape[dim]))
    return term


def reduced(step: Step, fields: Fields) -> list[Field]:
    """Sums and the like over dimensions, which go unless they are kept."""
    value, given = step.inputs[0], step.arguments
    rank = len(value.shape)
    dims = given.get("dim")
    several = [dims] if isinstance(dims, int) else dims or range(rank)
    gone = sorted(it % rank for it in several) if rank else []
    kept = [it for it in range(rank) if it not in gone]
    found = each(fields(value), lambda term: _without(term, gone))
    if not given.get("keepdim"):
        found = each(found, lambda term: permuted(term, kept))
    return [found] * len(step.outputs)


def _without(term: Term, dims: Sequence[int]) -> Term:
    for dim in dims:
        term = mixed(term, dim)
    return term


def along(step: Step, fields: Fields) -> list[Field]:
    """Softmax, sorting, selection by values: elements read all along one dimension."""
    value, shape = step.inputs[0], step.outputs[0].shape
    dims = [step.arguments["dim"] % len(value.shape)] if value.shape else []
    found = each(fields(value), lambda term: across(term, dims, shape))
    return [found] * len(step.outputs)


def accumulated(step: Step, fields: Fields) -> Field:
    """Cumulative sums: elements read what is before them."""
    value = step.inputs[0]
    dim = step.arguments["dim"] % len(value.shape)
    reads = [range(it + 1) for it in range(value.shape[dim])]
    return each(fields(value), lambda term: resampled(term, dim, reads))


def layer_normalised(step: Step, fields: Fields) -> list[Field]:
    """Over the last dimensions."""
    value = step.inputs[0]
    rank, last = len(value.shape), len(step.arguments["normalized_shape"])
    dims = range(rank - last, rank)
    found = each(fields(value), lambda term: across(term, dims, value.shape))
    return [found, *_statistics(step, found)]


def group_normalised(step: Step, fields: Fields) -> list[Field]:
    """Over all pixels and the channels of a group."""
    value, groups = step.inputs[0], step.arguments["group"]
    inside = value.shape[1] // groups
    channels = [range(it // inside * inside, (it // inside + 1) * inside) for it in range(value.shape[1])]

    def change(term: Term) -> Term | None:
        return resampled(across(term, range(2, len(value.shape)), value.shape), 1, channels)

    found = each(fields(value), change)
    return [found, *_statistics(step, found)]


def batch_normalised(step: Step, fields: Fields) -> list[Field]:
    """Number by number with statistics of its own; over all pixels with those of the batch."""
    value, found = step.inputs[0], fields(step.inputs[0])
    if _is_training(step):
        dims = [it for it in range(len(value.shape)) if it != 1]
        found = each(found, lambda term: across(term, dims, value.shape))
    return [found, *_statistics(step, found)]


def _is_training(step: Step) -> bool:
    name = step.operator.removeprefix("aten.").partition(".")[0]
    return bool(step.arguments.get("training", name == "_batch_norm_with_update"))


def _statistics(step: Step, field: Field) -> list[Field]:
    """What the other outputs of a normalisation read, roughly."""
    return [union(blurred(term, it.shape) for term in field) for it in step.outputs[1:]]


def multiplied(step: Step, fields: Fields) -> Field:
    """Products of matrices, or of batches of them, with something added or nothing."""
    given, shape = step.arguments, step.outputs[0].shape
    names = [("mat1", "mat2"), ("batch1", "batch2"), ("self", "mat2")]
    left, right = next((given[a], given[b]) for a, b in names if a in given and b in given)
    added = fields(given["self"]) if given["self"] is not left else ()
    return union(
        [
            *(expanded(term, shape) for term in added),
            *(across(term, [-1 % len(shape)], shape) for term in fields(left)),
            *(across(term, [len(shape) - 2], shape) for term in fields(right)),
        ]
    )


def attended(step: Step, fields: Fields) -> list[Field]:
    """Attention: each query's element reads its query, and all keys and values."""
    given, shape = step.arguments, step.outputs[0].shape
    query, key, value = (fields(given[it]) for it in ("query", "key", "value"))
    rank = len(shape)
    found = union(
        [
            *(across(term, [rank - 1], shape) for term in query),
            *(_attended(term, shape) for term in key),
            *(with_dim(mixed(term, rank - 2), rank - 2, free(shape[-2])) for term in value),
        ]
    )
    return [found, *_statistics(step, found)]


def _attended(term: Term, shape: Sequence[int]) -> Term:
    return across(term, [len(shape) - 2, len(shape) - 1], shape)


def weighted(step: Step, fields: Fields) -> Field:
    """Matrix times vector, and vector times vector."""
    terms = []
    for value in step.inputs:
        for term in fields(value):
            last = mixed(term, len(term.dims) - 1)
            terms.append(expanded(replace(last, dims=last.dims[:-1]), step.outputs[0].shape))
    return union(terms)
