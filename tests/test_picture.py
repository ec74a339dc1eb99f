"""`tatamu.draw`: layers, pooling and geometries, their numbers those of torch."""

from __future__ import annotations

import re

import pytest
import torch

import tatamu
from drawing.parsing import Document, grids
from tatamu import errors, picture
from tatamu.geometry import Convolution, Geometry


def final(drawn: picture.Picture) -> list[torch.Tensor]:
    """The grids of numbers in the last frame, left to right."""
    rows = grids(Document(drawn.svg(drawn.frames - 1)).seen())
    return [torch.tensor(it, dtype=torch.float64)[None, None] for it in rows]


def test_seeded_numbers_are_small_integers_and_their_convolution() -> None:
    for seed in range(3):
        layer = tatamu.Conv2d(1, 1, 3, 2, bias=False)
        input, kernel, output = final(tatamu.draw(layer, (7, 5), numbers=seed))
        assert input.unique().tolist() == input.unique().round().tolist()
        assert (input.shape[2:], kernel.shape[2:]) == ((7, 5), (3, 3))
        torch.testing.assert_close(output, torch.nn.functional.conv2d(input, kernel, stride=2))
    assert tatamu.draw(layer, 5, numbers=1).svg() == tatamu.draw(layer, 5, numbers=1).svg()
    assert tatamu.draw(layer, 5, numbers=1).svg() != tatamu.draw(layer, 5, numbers=2).svg()


def test_given_taps_are_the_weight() -> None:
    sobel = [1, 0, -1, 2, 0, -2, 1, 0, -1]
    input, kernel, output = final(tatamu.draw(tatamu.Conv2d(1, 1, 3, bias=False), 6, numbers=sobel))
    assert kernel.flatten().tolist() == sobel
    torch.testing.assert_close(output, torch.nn.functional.conv2d(input, kernel))


def test_the_taps_of_one_kernel_are_those_of_all_channels() -> None:
    depthwise = tatamu.Conv2d(2, 2, (1, 2), groups=2)
    texts = Document(tatamu.draw(depthwise, 4, numbers=[0.5, -3]).svg(0)).seen().texts
    assert [text.text for text in texts].count(
        "−3"
    ) == 2 + 1  # In both kernels, and on the one input that is read.
    with pytest.raises(
        errors.PictureNumbersError, match=r"the 4 taps .* or the 2 of one kernel .* got 3 numbers"
    ):
        tatamu.draw(depthwise, 4, numbers=[1, 2, 3])


@pytest.mark.parametrize("kind", [tatamu.Conv2d, torch.nn.Conv2d])
@pytest.mark.parametrize("batched", [False, True])
def test_a_given_input_is_seen_with_the_layers_own_numbers(
    kind: type[torch.nn.Conv2d], batched: bool
) -> None:
    layer = kind(1, 1, (2, 3), padding=(0, 1), padding_mode="circular")
    input = torch.randn(2, 1, 4, 5)
    drawn = tatamu.draw(layer, input if batched else input[0])
    shown = final(drawn)
    torch.testing.assert_close(shown[0][..., 1:-1], input[:1].double(), atol=0.006, rtol=0.06)
    torch.testing.assert_close(shown[1], layer.weight.detach().double(), atol=0.006, rtol=0.06)
    torch.testing.assert_close(shown[-1], layer(input)[:1].detach().double(), atol=0.006, rtol=0.06)
    assert not input.requires_grad
    assert layer.weight.grad is None


def test_the_gradient_of_a_given_input_is_that_of_the_sum() -> None:
    layer = tatamu.Conv2d(1, 1, 3, 2, 1)
    input = torch.randn(1, 1, 5, 5)
    shown = final(tatamu.draw(layer, input, transposed=True))
    (expected,) = torch.autograd.grad(layer(it := input.clone().requires_grad_()).sum(), it)
    torch.testing.assert_close(shown[-1], expected.double(), atol=0.006, rtol=0.06)
    # The kernel is drawn as it lies: turned by 180°.
    torch.testing.assert_close(shown[1], layer.weight.detach().double().flip(2, 3), atol=0.006, rtol=0.06)
    assert not input.requires_grad


def test_seeded_gradients_are_torchs() -> None:
    layer = tatamu.Conv2d(1, 1, 2, 2)
    spread, turned, result = final(tatamu.draw(layer, 6, numbers=5, transposed=True))
    gradient = spread[..., 1:-1:2, 1:-1:2]
    assert len(gradient.unique()) > 2
    expected = torch.nn.functional.conv_transpose2d(gradient, turned.flip(2, 3), stride=2)
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.AvgPool2d(3, 1),
        torch.nn.AvgPool2d((2, 3), 2, (1, 1)),
        torch.nn.MaxPool2d(2),
        torch.nn.MaxPool2d(2, 1, 0, 2),
    ],
)
def test_pooling(layer: torch.nn.Module) -> None:
    drawn = tatamu.draw(layer, (6, 5), numbers=0)
    input, output = final(drawn)
    if input.shape[2:] != (6, 5):
        input = input[..., 1:-1, 1:-1]
    torch.testing.assert_close(output, layer(input), atol=0.006, rtol=0)
    name = type(layer).__name__
    assert drawn.title.startswith(f"{name}(")
    again = eval(drawn.title, {name: type(layer)})
    torch.testing.assert_close(again(input), layer(input))


def test_a_picture_is_named_as_the_layer_is_written() -> None:
    for arguments in (
        "1, 1, kernel_size=3",
        "4, 2, kernel_size=(1, 3), stride=2, padding=((0, 0), (1, 2)), groups=2, padding_mode='reflect'",
        "1, 1, kernel_size=1, bias=False",
        "2, 2, kernel_size=3, padding='same', dilation=(1, 2)",
        "1, 1, kernel_size=2, stride=(2, 1), padding='same_lower'",
    ):
        written = f"Conv2d({arguments})"
        layer = eval(written, {"Conv2d": tatamu.Conv2d})
        assert tatamu.draw(layer).title == written


def test_a_geometry_has_its_own_size() -> None:
    geometry = Geometry.of((1, 2, 4, 6), (2, 1, 3, 3), Convolution(groups=2))
    drawn = tatamu.draw(geometry)
    assert (drawn.title, drawn.frames) == ("Conv2d(2, 2, kernel_size=3, groups=2)", 8)
    assert tatamu.draw(geometry, numbers=0).frames == 16
    with pytest.raises(errors.PictureSubjectError, match="takes no size beside a Geometry"):
        tatamu.draw(geometry, 5)


def test_mistakes_are_said_in_the_layers_own_sentences() -> None:
    layer = tatamu.Conv2d(2, 2, 5)
    with pytest.raises(errors.KernelTooLargeError):
        tatamu.draw(layer, 3)
    with pytest.raises(errors.InputChannelsError):
        tatamu.draw(layer, torch.randn(3, 8, 8))
    with pytest.raises(errors.ArgumentTypeError, match=r"got size=str '5'"):
        tatamu.draw(layer, "5")  # type: ignore[arg-type]  # The mistake.
    with pytest.raises(errors.InputDimensionsError):
        tatamu.draw(layer, torch.randn(5, 5))
    with pytest.raises(errors.PictureSubjectError, match="but got Linear"):
        tatamu.draw(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (torch.nn.MaxPool2d(2, ceil_mode=True), "ceil_mode"),
        (torch.nn.AvgPool2d(2, count_include_pad=False), "not the mean of all"),
        (torch.nn.AvgPool2d(2, divisor_override=3), "not the mean of all"),
    ],
)
def test_pooling_that_is_no_plain_one_is_refused(layer: torch.nn.Module, sentence: str) -> None:
    with pytest.raises(errors.PictureSubjectError, match=sentence):
        tatamu.draw(layer, 4)


def test_what_is_not_to_be_drawn() -> None:
    with pytest.raises(errors.PoolPaddingError, match="pad should be at most half of effective kernel size"):
        tatamu.draw(torch.nn.MaxPool2d(2, 2, 2), 4)
    with pytest.raises(errors.PictureSubjectError, match="the gradient of a maximum"):
        tatamu.draw(torch.nn.MaxPool2d(2), 4, transposed=True)
    with pytest.raises(
        errors.PictureSubjectError, match=r"real numbers, but got an input of torch\.complex64"
    ):
        tatamu.draw(
            tatamu.Conv2d(1, 1, 2, dtype=torch.complex64), torch.randn(1, 3, 3, dtype=torch.complex64)
        )
    with pytest.raises(errors.PictureTooLargeError, match="summed over 16 channels, and at most 4"):
        tatamu.draw(tatamu.Conv2d(16, 1, 3), 5, numbers=0)
    with pytest.raises(errors.PictureTooLargeError, match="17 cells long, and with its numbers at most 16"):
        tatamu.draw(tatamu.Conv2d(1, 1, 3), 17, numbers=0)


def test_importing_tatamu_does_not_import_pictures() -> None:
    import children  # noqa: PLC0415 - this test's alone.

    program = "import sys, tatamu; print([it for it in ('PIL', 'tatamu.drawing') if it in sys.modules])"
    assert children.finish(children.start(program)) == "[]\n"
    assert "draw" in tatamu.__all__
    with pytest.raises(AttributeError, match=re.escape("module 'tatamu' has no attribute 'drawn'")):
        tatamu.drawn  # noqa: B018 - asking is the test.
