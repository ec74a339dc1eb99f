"""Every form of a kernel is the convolution, or the gradient of one: identities of rational numbers."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest

from tatamu.engine.cook_toom import Matrix
from tatamu.engine.winograd_forms import MISSING, AxisForm, Form, axis_forms, whole_form

LAYERS = [
    (1, 1),
    (2, 1),
    (3, 1),
    (5, 1),
    (7, 1),
    (11, 1),
    (1, 2),
    (2, 2),
    (3, 2),
    (5, 2),
    (7, 2),
    (11, 4),
    (3, 5),
]
FORMS = [form for layer in LAYERS for form in axis_forms(*layer)] + [whole_form(n) for n in (1, 2, 3, 5, 6)]
EXPANDING = [
    form for kernel, stride in LAYERS for shift in range(stride) for form in axis_forms(kernel, stride, shift)
]


def _times(matrix: Matrix, vector: list[Fraction]) -> list[Fraction]:
    return [sum((a * v for a, v in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


def _numbers(count: int) -> list[Fraction]:
    return [Fraction(random.randint(-99, 99)) for _ in range(count)]


def _tile(form: AxisForm, source: list[Fraction], weight: list[Fraction]) -> list[Fraction]:
    """The results of a tile, as the kernel computes them: the products of all sub-kernels are summed."""
    filters, sums = form.filtering, [Fraction(0)] * form.products
    for first, taps in form.subkernels:
        seen = source[first :: form.step][: form.inputs]
        chosen = [Fraction(0) if tap == MISSING else weight[tap] for tap in taps]
        factors = _times(filters.weight, chosen), _times(filters.input, seen)
        sums = [s + a * b for s, a, b in zip(sums, *factors, strict=True)]
    return _times(filters.output, sums)


@pytest.mark.parametrize("form", FORMS + EXPANDING, ids=str)
def test_a_tile_is_the_sum_of_its_terms(form: AxisForm) -> None:
    source, weight = _numbers(form.span), _numbers(form.kernel)
    expected = [Fraction(0)] * form.outputs
    for result, tap, pixel in form.terms:
        expected[result] += weight[tap] * source[pixel]
    assert _tile(form, source, weight) == expected


@pytest.mark.parametrize("form", FORMS + EXPANDING, ids=str)
def test_it_says_how_large_its_matrices_are(form: AxisForm) -> None:
    filters = form.filtering
    assert (form.outputs, form.taps) == (filters.outputs, filters.taps)
    assert (form.products, form.inputs) == (filters.products, filters.inputs)


@pytest.mark.parametrize("form", EXPANDING, ids=str)
def test_terms_of_a_gradient_are_those_of_the_forward_pass(form: AxisForm) -> None:
    assert form.shift is not None
    found = {(i + form.shift, tap, pixel + form.first) for i, tap, pixel in form.terms}
    # In the forward pass result `q` sums over the padded positions stride · q + tap.
    positions = range(form.shift, form.shift + form.outputs)
    pairs = itertools.product(range(-form.kernel, form.outputs + form.kernel), range(form.kernel))
    assert found == {
        (form.stride * q + tap, tap, q) for q, tap in pairs if form.stride * q + tap in positions
    }


def test_names_tell_forms_apart() -> None:
    forms = {Form(down, across) for down in FORMS for across in FORMS} | {Form(one, one) for one in EXPANDING}
    assert len({form.name for form in forms}) == len(forms)


def test_taps_are_numbered_through_the_kernel() -> None:
    form = Form(*(AxisForm(3, 1, 5, 2),) * 2)
    none = MISSING
    assert form.subkernels() == [
        (0, 0, [0, 1, 3, 4]),
        (0, 2, [2, none, 5, none]),
        (2, 0, [6, 7, none, none]),
        (2, 2, [8, none, none, none]),
    ]
