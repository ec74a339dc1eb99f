"""Multiplication by small constant matrices, in registers: the transforms of Winograd's filters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction

from tatamu.engine.cook_toom import Matrix
from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import Code


def apply(code: Code, matrix: Matrix, vectors: Sequence[ir.Value]) -> list[ir.Value]:
    """``matrix`` times a column of float registers.

    Points p and -p make rows (of the input's and the weight's matrix) and columns (of the output's) that
    differ in signs alone: their even and odd parts are computed once.
    """
    matrix, held = _fold_columns(code, matrix, list(vectors))
    results: list[ir.Value | None] = [None] * len(matrix)
    for r, row in enumerate(matrix):
        if results[r] is not None:
            continue
        twin = next((s for s in range(r + 1, len(matrix)) if _mirrored(row, matrix[s])), None)
        if twin is None:
            results[r] = _combination(code, row, held)
            continue
        equal = [a == b for a, b in zip(row, matrix[twin], strict=True)]
        even = _combination(
            code, [a if same else Fraction(0) for a, same in zip(row, equal, strict=True)], held
        )
        odd = _combination(
            code, [Fraction(0) if same else a for a, same in zip(row, equal, strict=True)], held
        )
        results[r], results[twin] = code.builder.fadd(even, odd), code.builder.fsub(even, odd)
    return [result for result in results if result is not None]


def apply_2d(
    code: Code, rows: Matrix, columns: Matrix, load: Callable[[int, int], ir.Value]
) -> list[list[ir.Value]]:
    """``rows`` times a block times ``columns`` transposed; ``load`` gives the block's element (i, j)."""
    height, width = len(rows[0]), len(columns[0])
    half = [apply(code, rows, [load(i, j) for i in range(height)]) for j in range(width)]
    return [apply(code, columns, [half[j][i] for j in range(width)]) for i in range(len(rows))]


def _mirrored(a: Sequence[Fraction], b: Sequence[Fraction]) -> bool:
    """Whether ``b`` is ``a`` with some signs turned: at least one turned and one not."""
    return (
        all(abs(x) == abs(y) for x, y in zip(a, b, strict=True))
        and any(x == y != 0 for x, y in zip(a, b, strict=True))
        and any(x == -y != 0 for x, y in zip(a, b, strict=True))
    )


def _fold_columns(code: Code, matrix: Matrix, vectors: list[ir.Value]) -> tuple[Matrix, list[ir.Value]]:
    """Replace pairs of columns that differ in signs alone by the sum and the difference of their vectors."""
    columns = list(zip(*matrix, strict=True))
    folded: list[tuple[Sequence[Fraction], ir.Value]] = []
    used: set[int] = set()
    for j, column in enumerate(columns):
        if j in used:
            continue
        twin = next(
            (k for k in range(j + 1, len(columns)) if k not in used and _mirrored(column, columns[k])), None
        )
        if twin is None:
            folded.append((column, vectors[j]))
            continue
        used.add(twin)
        equal = [a == b for a, b in zip(column, columns[twin], strict=True)]
        both = code.builder.fadd(vectors[j], vectors[twin])
        difference = code.builder.fsub(vectors[j], vectors[twin])
        folded.append(([a if same else Fraction(0) for a, same in zip(column, equal, strict=True)], both))
        folded.append(
            ([Fraction(0) if same else a for a, same in zip(column, equal, strict=True)], difference)
        )
    return tuple(zip(*(column for column, _ in folded), strict=True)), [vector for _, vector in folded]


def _combination(code: Code, factors: Sequence[Fraction], vectors: Sequence[ir.Value]) -> ir.Value:
    """The sum of factors times vectors; factors of one are not multiplied by."""
    terms = [(factor, vector) for factor, vector in zip(factors, vectors, strict=True) if factor]
    terms.sort(key=lambda term: (term[0] != 1, abs(term[0]) != 1))  # Begin with what needs no multiplication.
    total: ir.Value | None = None
    for factor, vector in terms:
        if total is None:
            total = vector if factor == 1 else code.builder.fmul(_constant(vector, factor), vector)
        elif abs(factor) == 1:
            total = code.builder.fadd(total, vector) if factor == 1 else code.builder.fsub(total, vector)
        else:
            total = code.multiply_add(_constant(vector, factor), vector, total)
    return code.zero(vectors[0].type) if total is None else total


def _constant(like: ir.Value, value: Fraction) -> ir.Value:
    return _repeated(like.type.element, like.type.count, value)


@functools.cache  # Each is spelt out once, not at every use.
def _repeated(scalar: ir.Type, lanes: int, value: Fraction) -> ir.Constant:
    return ir.Constant(ir.VectorType(scalar, lanes), [float(value)] * lanes)
