"""Numbers as they are written, and formulas that come out as they say."""

from __future__ import annotations

import re

import pytest
import torch
from torch.nn import functional

from drawing import cases
from tatamu.drawing.numbers import Formula, Numbers, formula, text
from tatamu.drawing.scene import Frame, Rule, Scene
from tatamu.geometry import Convolution, Geometry


def evaluated(it: Formula) -> tuple[float, float]:
    """What a formula's terms come to, and what it says that they come to."""
    terms = " ".join(term for block in it.blocks for line in block for term in line)
    tail, _, result = it.tail.replace("≈", "=").rpartition("=")
    sum_of = f"{it.head.split('=')[1]} {terms} {tail}".replace("−", "-").replace("·", "*")
    assert re.fullmatch(r"[-+*/(), .\d∞maxe]*", sum_of)
    value = eval(sum_of.replace("∞", "float('inf')"))
    return float(value), float(result.replace("−", "-"))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (3, "3"),
        (-2.0, "−2"),
        (0.5, "0.5"),
        (1.666, "1.67"),
        (-12.34, "−12.34"),
        (0.0312, "0.031"),
        (0.0, "0"),
        (-0.0077, "−0.008"),
        (0.0999, "0.1"),
        (-0.00012, "−1e−04"),
        (123456.7, "1e+05"),
        (123.456, "123"),
        (99999, "99999"),
        (-0.0, "0"),
        (float("-inf"), "−∞"),
        (float("nan"), "nan"),
        (2.9999999, "3"),
    ],
)
def test_how_a_number_is_written(value: float, written: str) -> None:
    assert text(value) == written


@pytest.mark.parametrize("transposed", [False, True])
def test_every_formula_comes_out_as_it_says_and_as_torch_does(transposed: bool) -> None:
    for _ in range(25):
        geometry = cases.geometry(channels=True)
        input = torch.randint(-4, 6, geometry.input_size).double().requires_grad_()
        weight = torch.randint(-2, 3, geometry.weight_size).double()
        bias = torch.randint(-2, 3, (geometry.out_channels,)).double()
        output = cases.output(geometry, input, weight, bias)
        grad_output = torch.randint(-2, 4, output.shape).double()
        (grad_input,) = torch.autograd.grad(output, input, grad_output)
        if transposed:
            numbers = Numbers(grad_output[0].tolist(), weight.tolist(), grad_input[0].tolist())
        else:
            numbers = Numbers(input[0].tolist(), weight.tolist(), output[0].tolist(), bias.tolist())
        scene = Scene.of(geometry, transposed)
        for channel in range(scene.written_channels):
            for row, column in scene.positions:
                value, said = evaluated(formula(scene, numbers, Frame(row, column, channel)))
                assert value == said == numbers.written[channel][row][column], geometry


@pytest.mark.parametrize("rule", [Rule.MEAN, Rule.MAXIMUM])
def test_pooling_comes_out_as_it_says(rule: Rule) -> None:
    geometry = Geometry.of((1, 1, 5, 4), (1, 1, 3, 2), Convolution((2, 1), ((1, 1), (1, 1))))
    input = torch.randint(-4, 6, (1, 1, 5, 4)).double()
    pool = functional.avg_pool2d if rule is Rule.MEAN else functional.max_pool2d
    scene = Scene.of(geometry, rule=rule)
    numbers = Numbers(input[0].tolist(), [], pool(input, (3, 2), (2, 1), 1)[0].tolist())
    for row, column in scene.positions:
        value, said = evaluated(formula(scene, numbers, Frame(row, column, 0)))
        assert value == pytest.approx(numbers.written[0][row][column])
        assert said == pytest.approx(value, abs=0.005)


def test_a_formula_names_its_channel_where_there_are_several() -> None:
    geometry = Geometry.of((1, 1, 3, 3), (2, 1, 3, 3), Convolution())
    weight = torch.ones(2, 1, 3, 3).tolist()
    numbers = Numbers(torch.ones(1, 3, 3).tolist(), weight, [[[9.0]], [[9.0]]])
    assert formula(Scene.of(geometry), numbers, Frame(0, 0, 1)).head.startswith("output[1, 0, 0] =")
