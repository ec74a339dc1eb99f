"""What elements read is what becomes NaN in a real pass: of every operation, and of whole architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tatamu
from tatamu.tracing.fields.propagation import propagated
from tatamu.tracing.fields.queries import windows
from tatamu.tracing.steps import Value
from tatamu.tracing.walk import walk
from tracing.architectures import ARCHITECTURES
from tracing.reality import assert_real


class Function(nn.Module):
    """A function of the input and of some modules."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Any:
        return self.function(x, *self.parts)


def conv(inputs: int, outputs: int, kernel: Any = 3, **arguments: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, **arguments)


def same(inputs: int, outputs: int, kernel: int = 3, **arguments: Any) -> nn.Conv2d:
    return conv(inputs, outputs, kernel, padding=kernel // 2, **arguments)


def after(function: Callable[[Tensor], Any], first: nn.Module | None = None) -> nn.Module:
    return Function(lambda x, part: function(part(x)), first or same(3, 4))


def resized(**arguments: Any) -> nn.Module:
    return after(lambda x: functional.interpolate(x, **arguments))


def written(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :2] = x[:, 2:]
    y[:, 2:, 1:] = x[:, :2, :-1]
    return y


def written_through_views(x: Tensor) -> Tensor:
    first, second = x.split(2, 1)
    first.add_(second.roll(1, 3))
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4)[:, 1:]


def tokens(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros(1, 1, x.shape[1]).to(x), x.flatten(2).transpose(1, 2)], 1)


def window_attention(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    x = (
        x.roll((-1, -1), (2, 3))
        .reshape(n, c, h // 4, 4, w // 4, 4)
        .permute(0, 2, 4, 3, 5, 1)
        .reshape(-1, 16, c)
    )
    x = (x @ x.transpose(1, 2)).softmax(-1) @ x
    x = x.reshape(n, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)
    return x.roll((1, 1), (2, 3))


def half_shuffled(x: Tensor, first: nn.Module, second: nn.Module) -> Tensor:
    left, right = first(x).chunk(2, 1)
    return functional.channel_shuffle(torch.cat([second(left), right], 1), 2)


class SqueezeExcite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


RESIZED = [
    resized(size=size, mode=mode)
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
    for size in ((20, 31), (5, 3), (9, 8))
]
CASES: dict[str, nn.Module] = {
    "strides, dilation, 1x1 between": nn.Sequential(
        conv(3, 4, stride=2), same(4, 4, dilation=2), conv(4, 4, 1, stride=2)
    ),
    "height and width differ": conv(3, 4, (1, 3), stride=(2, 1), padding=(0, 1), dilation=(1, 2)),
    "ours, padding by sides": tatamu.Conv2d(3, 4, 3, 2, padding=((0, 1), (2, 0))),
    "ours, same_lower": tatamu.Conv2d(3, 4, 4, 2, padding="same_lower"),
    "ours, reflected": tatamu.Conv2d(3, 4, 3, padding=2, padding_mode="reflect"),
    "ours, circular": tatamu.Conv2d(3, 4, 3, padding=2, padding_mode="circular"),
    "ours, replicated": tatamu.Conv2d(3, 4, 3, padding=3, padding_mode="replicate"),
    "poolings": nn.Sequential(same(3, 4), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, 1, 1)),
    "transposed": nn.Sequential(
        conv(3, 4, stride=2), nn.ConvTranspose2d(4, 4, 3, 2, 1, 1), nn.ConvTranspose2d(4, 2, 2, 3)
    ),
    "transposed, dilated": nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, dilation=2),
    "GroupNorm": nn.Sequential(conv(3, 4, stride=4), nn.GroupNorm(2, 4)),
    "GroupNorm of a concatenation": Function(
        lambda x, a, norm: norm(torch.cat([a(x), x[:, :2].detach() * 0 + 1], 1)),
        same(3, 2),
        nn.GroupNorm(2, 4),
    ),
    "InstanceNorm": nn.Sequential(conv(3, 4, stride=4), nn.InstanceNorm2d(4)),
    "LayerNorm over channels": after(lambda x: functional.layer_norm(x.permute(0, 2, 3, 1), (4,))),
    "LayerNorm over pixels": after(lambda x: functional.layer_norm(x, x.shape[2:])),
    "residual": Function(
        lambda x, a, b: functional.relu(a(x) + b(x), inplace=True), same(3, 4, 5), conv(3, 4, 1)
    ),
    "a cross": Function(
        lambda x, a, b, c: c(a(x) + b(x)),
        conv(3, 4, (1, 5), padding=(0, 2)),
        conv(3, 4, (5, 1), padding=(2, 0)),
        conv(4, 4),
    ),
    "concatenation": Function(lambda x, a, b: torch.cat([a(x), b(x)], 1), same(3, 4), conv(3, 2, 1)),
    "depthwise after concatenation": Function(
        lambda x, a, b, c: c(torch.cat([a(x), b(x)], 1)), same(3, 4), conv(3, 2, 1), conv(6, 12, groups=6)
    ),
    "channel shuffle": Function(
        lambda x, a, b, c: functional.channel_shuffle(c(torch.cat([a(x), b(x)], 1)), 2),
        same(3, 4),
        conv(3, 2, 1),
        conv(6, 12, groups=3),
    ),
    "split and shuffle": Function(
        half_shuffled,
        same(3, 4),
        same(2, 2),
    ),
    "stacked and unbound": Function(
        lambda x, a: torch.stack([a(x), a(x).flip(2)], 1).unbind(1)[1], same(3, 4)
    ),
    "squeeze and excite": nn.Sequential(conv(3, 4, stride=4), SqueezeExcite()),
    "reflection": nn.Sequential(conv(3, 4, padding=2, padding_mode="reflect"), same(4, 4)),
    "replication": nn.Sequential(conv(3, 4, padding=3, padding_mode="replicate"), same(4, 4)),
    "circular": nn.Sequential(conv(3, 4, padding=2, padding_mode="circular"), same(4, 4)),
    "zeros, and cropped": nn.Sequential(nn.ZeroPad2d((3, -1, -2, 4)), same(3, 4)),
    "pixel shuffle": nn.Sequential(same(3, 8), nn.PixelShuffle(2), conv(2, 3), nn.PixelUnshuffle(2)),
    "unfold": nn.Unfold((3, 2), dilation=2, padding=1, stride=2),
    "Tensor.unfold": after(lambda x: x.unfold(2, 4, 3)),
    "global pooling": nn.Sequential(
        conv(3, 4, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ),
    "adaptive pooling": nn.Sequential(
        conv(3, 4, stride=2), nn.AdaptiveMaxPool2d((2, 3)), nn.AdaptiveAvgPool2d((3, 4))
    ),
    "Linear after Flatten": nn.Sequential(conv(3, 2, stride=4), nn.Flatten(), nn.Linear(2 * 5 * 4, 5)),
    "one pixel": nn.Sequential(conv(3, 4, (20, 16)), nn.Flatten(), nn.Linear(4, 5)),
    "every other pixel": after(lambda x: x[:, :, 1:-1:2, ::3]),
    "four phases": after(lambda x: torch.cat([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)),
    "rolled and flipped": after(lambda x: x.roll((2, -1), (2, 3)).flip(3)),
    "repeated": after(lambda x: x.repeat(1, 2, 1, 3)),
    "cumulative": after(lambda x: x.cumsum(2)),
    "maximum along an axis": after(lambda x: x.max(3)),
    "softmax along an axis": after(lambda x: x.softmax(2)),
    "written": after(written),
    "written through views": after(written_through_views),
    "tokens": after(tokens, conv(3, 4, 2, stride=2)),
    "tokens and back": Function(
        lambda x, a, b: b(tokens(a(x))[:, 1:].transpose(1, 2).reshape(1, 4, 10, 8)),
        conv(3, 4, 2, stride=2),
        same(4, 4),
    ),
    "attention": after(
        lambda x: functional.scaled_dot_product_attention(*[tokens(x)[:, None]] * 3), conv(3, 4, 4, stride=4)
    ),
    "windows of attention, shifted": after(window_attention),
    "bilinear, corners aligned": resized(size=(27, 31), mode="bilinear", align_corners=True),
    "bilinear, by a factor": resized(scale_factor=2.5, mode="bilinear"),
    "nearest, by a factor": resized(scale_factor=0.7, mode="nearest"),
    "bilinear, antialiased": resized(size=(7, 5), mode="bilinear", antialias=True),
    "bicubic, antialiased": resized(size=(7, 5), mode="bicubic", antialias=True),
}


@pytest.mark.parametrize("name", CASES)
def test_what_reads_a_pixel_becomes_nan(name: str) -> None:
    assert_real(CASES[name], (1, 3, 20, 16))


@pytest.mark.parametrize("model", RESIZED)
def test_interpolation(model: nn.Module) -> None:
    assert_real(model, (1, 3, 9, 8))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures(name: str) -> None:
    """Of every module of each: shapes as in a real pass, and the same elements read a pixel."""
    assert_real(ARCHITECTURES[name].make(), ARCHITECTURES[name].size)


def test_what_is_not_known_may_read_everything_and_says_so() -> None:
    walked = walk(after(torch.linalg.svdvals), (1, 3, 8, 8))
    assert walked.failure is None
    assert isinstance(walked.output, Value)
    field = propagated(walked)[walked.output.number]
    assert [it.is_exact for it in field] == [False]
    assert all(it.is_whole for it in windows(field, 2) or ())
