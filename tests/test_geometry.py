from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tatamu.geometry import (
    PADDING_STRINGS,
    Axis,
    Convolution,
    Geometry,
    PaddingArgument,
    ReceptiveField,
    resolve_padding,
)

Triple = tuple[int, int, int]
RESNET_STEM = Geometry.of((1, 3, 224, 224), (64, 3, 7, 7), Convolution((2, 2), ((3, 3), (3, 3))))


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    axis = Axis(
        size=draw(st.integers(1, 14)),
        kernel=draw(st.integers(1, 5)),
        stride=draw(st.integers(1, 6)),
        dilation=draw(st.integers(1, 4)),
        before=draw(st.integers(0, 7)),
        after=draw(st.integers(0, 7)),
    )
    assume(axis.effective_kernel <= axis.padded)
    return axis


def products(axis: Axis) -> set[Triple]:
    """Every (pixel, output, tap) of the definition, found by walking the padded axis."""
    starts = [p for p in range(axis.padded) if p % axis.stride == 0]
    found = set()
    for output, start in enumerate(starts):
        reads = [start + tap * axis.dilation for tap in range(axis.kernel)]
        if reads[-1] < axis.padded:
            found |= {(read - axis.before, output, tap) for tap, read in enumerate(reads)}
    return {(pixel, output, tap) for pixel, output, tap in found if 0 <= pixel < axis.size}


def windows(axis: Axis) -> list[tuple[int, int]]:
    """First and last padded pixel of every place where the effective kernel fits, one stride apart."""
    every = [(p, p + axis.dilation * (axis.kernel - 1)) for p in range(0, axis.padded, axis.stride)]
    return [(first, last) for first, last in every if last < axis.padded]


@given(axes())
def test_output_is_the_number_of_places_where_the_kernel_fits(axis: Axis) -> None:
    assert axis.output == len(windows(axis))
    assert axis.effective_kernel == windows(axis)[0][1] + 1


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


@given(axes())
def test_grad_input_phases_hold_every_product_once(axis: Axis) -> None:
    found: list[Triple] = []
    covered: list[int] = []
    for phase in axis.grad_input_phases:
        flipped = phase.taps[::-1]
        assert phase.axis.stride == 1
        assert phase.axis.kernel == len(phase.taps)
        assert phase.axis.size == axis.output
        assert phase.axis.output > 0
        for position in range(phase.axis.output):
            pixel = phase.first + axis.stride * position
            covered.append(pixel)
            for place, tap in enumerate(flipped):
                output = position + place * phase.axis.dilation - phase.axis.before
                if 0 <= output < axis.output:
                    found.append((pixel, output, tap))
    assert sorted(covered) == list(range(axis.size))
    assert len(found) == len(set(found))
    assert set(found) == products(axis)


@given(axes())
def test_grad_weight_is_a_convolution_that_holds_every_product_once(axis: Axis) -> None:
    gradient = axis.grad_weight
    assert gradient.output == axis.kernel
    assert gradient.kernel == axis.output
    assert gradient.after <= axis.after
    # The products of that convolution: its outputs are the taps, its taps are the outputs.
    assert {(pixel, output, tap) for pixel, tap, output in products(gradient)} == products(axis)


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


def test_phases_without_taps_where_the_stride_steps_over_pixels() -> None:
    first, second = Axis(size=4, kernel=1, stride=2).grad_input_phases
    assert (first.taps, first.axis.output) == (range(1), 2)
    assert (len(second.taps), second.axis.output) == (0, 2)


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
    assert RESNET_STEM.receptive_field == (ReceptiveField(7, 2, -3), ReceptiveField(7, 2, -3))


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


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        ((1, 3), ((1, 1), (3, 3))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ("valid", ((0, 0), (0, 0))),
    ],
)
def test_plain_paddings(padding: PaddingArgument, expected: object) -> None:
    assert resolve_padding(padding, (3, 3), (1, 1), (1, 1), (8, 8)) == expected


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 4), st.integers(1, 4))
def test_same_is_torchs(height: int, width: int, dilation_h: int, dilation_w: int) -> None:
    layer = torch.nn.Conv2d(
        1, 1, (height, width), padding="same", dilation=(dilation_h, dilation_w), device="meta"
    )
    left, right, top, bottom = layer._reversed_padding_repeated_twice
    resolved = resolve_padding("same", (height, width), (1, 1), (dilation_h, dilation_w), (9, 9))
    assert resolved == ((top, bottom), (left, right))


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 7), st.integers(1, 4))
def test_same_upper_and_lower(size: int, kernel: int, stride: int, dilation: int) -> None:
    output = -(-size // stride)
    total = max(0, (output - 1) * stride + dilation * (kernel - 1) + 1 - size)
    # The other axis has other numbers: an exchange of the two would show.
    pairs = (kernel, 2), (stride, 1), (dilation, 1), (size, 50)
    (top, bottom), columns = resolve_padding("same_upper", *pairs)
    assert (top, bottom) == (total // 2, total - total // 2)
    assert Axis(size, kernel, stride, dilation, top, bottom).output == output
    assert columns == (0, 1)
    assert resolve_padding("same_lower", *pairs) == ((bottom, top), (1, 0))


def test_same_upper_differs_from_torchs_padding_of_one() -> None:
    """A published example: input 6, kernel 3, stride 2 is padded at the end alone."""
    assert resolve_padding("same_upper", (3, 3), (2, 2), (1, 1), (6, 6)) == ((0, 1), (0, 1))


@pytest.mark.parametrize("name", ["SAME", "same upper", "", "full"])
def test_an_unknown_padding_string_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Invalid padding string") as caught:
        resolve_padding(name, (3, 3), (1, 1), (1, 1), (8, 8))
    assert all(repr(known) in str(caught.value) for known in PADDING_STRINGS)


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
