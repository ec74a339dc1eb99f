"""All sizes of a convolution, against torch and against counting."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geometry.cases import axes, windows
from tatamu.geometry import Axis, Convolution, Geometry, PaddingArgument, resolve_padding

RESNET_STEM = Geometry.of((1, 3, 224, 224), (64, 3, 7, 7), Convolution((2, 2), ((3, 3), (3, 3))))


@given(axes(), axes())
def test_output_size_is_torchs(rows: Axis, columns: Axis) -> None:
    geometry = Geometry(2, 4, 6, 2, rows, columns)
    x = torch.empty(geometry.input_size, device="meta")
    w = torch.empty(geometry.weight_size, device="meta")
    x = torch.nn.functional.pad(x, (columns.before, columns.after, rows.before, rows.after))
    y = torch.nn.functional.conv2d(
        x, w, stride=(rows.stride, columns.stride), dilation=(rows.dilation, columns.dilation), groups=2
    )
    assert geometry.output_size == tuple(y.shape)


@given(axes(), axes())
def test_work_of_the_gradients(rows: Axis, columns: Axis) -> None:
    geometry = Geometry(2, 4, 6, 2, rows, columns)
    per_position = [len(phase.taps) for phase in rows.grad_input_phases]
    taps_of_rows = sum(per_position[pixel % rows.stride] for pixel in range(rows.size))
    per_position = [len(phase.taps) for phase in columns.grad_input_phases]
    taps_of_columns = sum(per_position[pixel % columns.stride] for pixel in range(columns.size))
    assert geometry.grad_input_macs == 2 * 4 * 3 * taps_of_rows * taps_of_columns
    assert geometry.grad_weight_reduction == 2 * len(windows(rows)) * len(windows(columns))
    assert geometry.grad_weight == (rows.grad_weight, columns.grad_weight)
    sizes = {(row.axis.output, column.axis.output) for row, column in geometry.grad_input_phases}
    assert sum(phase.axis.output for phase in rows.grad_input_phases) == rows.size
    assert max(sizes) <= (rows.size, columns.size)


@given(axes(), axes(), st.sampled_from([1, 2, 4]), st.booleans())
def test_work_parameters_and_traffic(rows: Axis, columns: Axis, groups: int, bias: bool) -> None:
    geometry = Geometry(3, 4, 8, groups, rows, columns)
    layer = torch.nn.Conv2d(4, 8, (rows.kernel, columns.kernel), groups=groups, bias=bias, device="meta")
    parameters = sum(parameter.numel() for parameter in layer.parameters())
    positions = len(windows(rows)) * len(windows(columns))
    assert geometry.weight_size == tuple(layer.weight.shape)
    assert geometry.parameters(bias) == parameters
    assert geometry.macs == 3 * positions * layer.weight.numel()
    assert geometry.reduction == layer.weight[0].numel()
    elements = 3 * 4 * rows.size * columns.size + parameters + 3 * 8 * positions
    assert geometry.bytes_moved(2, bias) == 2 * elements


def test_a_layer_known_by_heart() -> None:
    """The first layer of ResNet-50: the sizes and the 118 million multiply-adds are published."""
    assert RESNET_STEM.output_size == (1, 64, 112, 112)
    assert RESNET_STEM.macs == 118_013_952
    assert RESNET_STEM.parameters(bias=False) == 9408


def test_formula_shows_the_numbers_of_each_axis() -> None:
    geometry = Geometry.of((1, 1, 224, 20), (1, 1, 7, 3), Convolution((2, 1), ((3, 3), (0, 1)), (1, 2)))
    assert geometry.formula == (
        "height: floor((224 + 3 + 3 - 1·(7 - 1) - 1) / 2) + 1 = 112\n"
        "width: floor((20 + 0 + 1 - 2·(3 - 1) - 1) / 1) + 1 = 17"
    )


@given(axes(), axes(), st.sampled_from(["zeros", "circular"]))
def test_geometry_gives_back_what_it_was_made_of(rows: Axis, columns: Axis, mode: str) -> None:
    convolution = Convolution(
        (rows.stride, columns.stride),
        ((rows.before, rows.after), (columns.before, columns.after)),
        (rows.dilation, columns.dilation),
        2,
        mode,
    )
    input_size, weight_size = (5, 6, rows.size, columns.size), (4, 3, rows.kernel, columns.kernel)
    geometry = Geometry.of(input_size, weight_size, convolution)
    assert (geometry.input_size, geometry.weight_size) == (input_size, weight_size)
    assert geometry.convolution == convolution
    assert geometry.padding == convolution.padding
    assert geometry.kernel_size == weight_size[2:]
    assert geometry.effective_kernel == (rows.effective_kernel, columns.effective_kernel)
    assert geometry == Geometry(5, 6, 4, 2, rows, columns, mode)
    assert hash(geometry) == hash(Geometry.of(input_size, weight_size, convolution))


class Symbol:
    """A size that can be calculated with, and does not let itself be hashed, compared or branched on."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __add__(self, other: int | Symbol) -> Symbol:
        return Symbol(self.value + _value(other))

    def __sub__(self, other: int | Symbol) -> Symbol:
        return Symbol(self.value - _value(other))

    def __rsub__(self, other: int) -> Symbol:
        return Symbol(other - self.value)

    def __mul__(self, other: int | Symbol) -> Symbol:
        return Symbol(self.value * _value(other))

    def __floordiv__(self, other: int | Symbol) -> Symbol:
        return Symbol(self.value // _value(other))

    def __mod__(self, other: int) -> Symbol:
        return Symbol(self.value % other)

    __radd__, __rmul__ = __add__, __mul__

    def _refuse(self, *_: object) -> bool:
        raise AssertionError("a symbolic size was hashed, compared or branched on")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _refuse
    __hash__ = _refuse


def _value(number: int | Symbol) -> int:
    return number.value if isinstance(number, Symbol) else number


@pytest.mark.parametrize("kernel", [1, 3, 4])
@pytest.mark.parametrize("padding", [1, "same_upper", "same_lower"])
def test_symbolic_sizes_flow_through(kernel: int, padding: PaddingArgument) -> None:
    def output_size(batch: int, height: int, width: int) -> tuple[int, ...]:
        stride, dilation = (2, 2), (1, 1)
        resolved = resolve_padding(padding, (kernel, kernel), stride, dilation, (height, width))
        convolution = Convolution(stride, resolved, dilation)
        return Geometry.of((batch, 3, height, width), (5, 3, kernel, kernel), convolution).output_size

    symbols: list[int] = [Symbol(2), Symbol(17), Symbol(24)]  # type: ignore[list-item]  # They stand for ints.
    assert tuple(map(_value, output_size(*symbols))) == output_size(2, 17, 24)
