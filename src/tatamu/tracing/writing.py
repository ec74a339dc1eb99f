"""Layers and sizes as one writes them: short."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from tatamu.geometry import Geometry
from tatamu.tracing.fields.queries import Window
from tatamu.tracing.steps import Call, Step

_DEFAULTS = (
    "stride=1", "padding=0", "dilation=1", "groups=1", "ceil_mode=False", "count_include_pad=True",
    "output_padding=0", "eps=1e-05", "momentum=0.1", "affine=True", "track_running_stats=True", "bias=True",
    "elementwise_affine=True", "inplace=True", "inplace=False", "start_dim=1", "end_dim=-1", "device=None",
)  # fmt: skip
_NAMES = ("kernel_size", "in_features", "out_features", "num_features", "output_size", "normalized_shape")
"""Of arguments that come first and need no name."""


def module(call: Call) -> str:
    """A module with its arguments: 'Conv2d(3, 64, 7, stride=2, padding=3)'."""
    extra = " ".join(call.extra.split())
    extra = re.sub(r"\((\d+)(?:,|(?:, \1)+)\)", r"\1", extra)
    for name in _NAMES:
        extra = extra.replace(f"{name}=", "")
    parts = [it for it in re.split(r", (?![^()]*\))", extra) if it and it not in _DEFAULTS]
    # A pooling's stride is its kernel unless another is given.
    if call.kind.endswith(("Pool2d", "Pool1d", "Pool3d")) and f"stride={parts[0]}" in parts:
        parts.remove(f"stride={parts[0]}")
    return f"{call.kind}({', '.join(parts)})"


def function(step: Step) -> str:
    """A function of torch with the arguments that matter: 'cat(dim=1)', 'conv2d(3, 64, 7, stride=2)'."""
    parts: list[str] = []
    if step.geometry is not None:
        parts = _convolution(step.geometry)
    elif isinstance(step.arguments.get("dim"), int):
        parts = [f"dim={step.arguments['dim']}"]
    return f"{step.function}({', '.join(parts)})"


def _convolution(geometry: Geometry) -> list[str]:
    how = geometry.convolution
    padding = tuple(it[0] if it[0] == it[1] else it for it in how.padding)
    named = (
        ("stride", _pair(how.stride), "1"),
        ("padding", _pair(padding), "0"),
        ("dilation", _pair(how.dilation), "1"),
        ("groups", str(how.groups), "1"),
    )
    counts = [str(geometry.in_channels), str(geometry.out_channels), _pair(geometry.kernel_size)]
    return counts + [f"{name}={value}" for name, value, default in named if value != default]


def _pair(values: Sequence[object]) -> str:
    return str(values[0]) if values[0] == values[1] else str(tuple(values))


def size(shape: Sequence[int]) -> str:
    """A size: '1×64×112×112'."""
    return "×".join(map(str, shape)) if shape else "one number"


def window(windows: Sequence[Window] | None) -> str:
    """How much an element reads: '7', '7×5', 'whole image'; a dash where it reads nothing."""
    if not windows:
        return "–"
    if all(it.is_whole for it in windows):
        return "whole"
    return _both(["whole" if it.is_whole else str(it.size) for it in windows])


def jump(windows: Sequence[Window] | None) -> str:
    """How far apart the windows of neighbours are: '2', '2×1', '1/2'."""
    if not windows or all(it.jump is None for it in windows):
        return "–"
    return _both(["–" if it.jump is None else _fraction(it.jump) for it in windows])


def _both(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else "×".join(words)


def _fraction(value: Fraction) -> str:
    return str(value) if value.denominator <= 64 else f"{float(value):.2f}"


def count(number: int) -> str:
    """A count in three digits: '9.40 K', '11.7 M', '4.09 G'; nothing for none."""
    if number < 1000:
        return str(number) if number else ""
    for unit, sign in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if number >= unit * 0.9995:
            return f"{number / unit:#.3g}".rstrip(".") + f" {sign}"
    return str(number)
