"""The layers to measure: one text file per network in `layers/`, a line per layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tatamu.geometry import Convolution, Geometry

_FOLDER = Path(__file__).parent / "layers"
NETWORKS = tuple(sorted(path.stem for path in _FOLDER.glob("*.txt")))


@dataclass(frozen=True)
class Layer:
    """A convolution on a square image, without bias.

    Attributes:
        name: the layer's path in the network, as torchvision has it where it has the network.
        kernel, padding: of height and width.
        size: height and width of the input, in pixels.
        times: how often the network has a layer of these sizes; `name` is the first of them.
    """

    network: str
    name: str
    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: int
    padding: tuple[int, int]
    dilation: int
    groups: int
    size: int
    times: int

    def geometry(self, batch: int) -> Geometry:
        """All of its sizes, with a batch of images."""
        vertical, horizontal = self.padding
        return Geometry.of(
            (batch, self.in_channels, self.size, self.size),
            (self.out_channels, self.in_channels // self.groups, *self.kernel),
            Convolution(
                (self.stride, self.stride),
                ((vertical, vertical), (horizontal, horizontal)),
                (self.dilation, self.dilation),
                self.groups,
            ),
        )

    def __str__(self) -> str:
        """What it computes, such as '3×3 s2 128→128 g32 @56'; 'dw 7×7 96 @56' is depthwise."""
        text = f"{self.kernel[0]}×{self.kernel[1]}"
        text += f" s{self.stride}" if self.stride > 1 else ""
        text += f" d{self.dilation}" if self.dilation > 1 else ""
        if self.groups == self.in_channels == self.out_channels:
            return f"dw {text} {self.in_channels} @{self.size}"
        text += f" {self.in_channels}→{self.out_channels}"
        return text + (f" g{self.groups}" if self.groups > 1 else "") + f" @{self.size}"


def load(network: str) -> tuple[Layer, ...]:
    """The layers of one of `NETWORKS`, in the order in which they occur.

    Raises:
        ValueError: a line that is not a name and nine integers, of which two may be a pair such as 1x7.
    """
    path = _FOLDER / f"{network}.txt"
    return tuple(
        _parsed(network, number, line)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.strip() and not line.startswith("#")
    )


def load_all(networks: Iterable[str]) -> tuple[Layer, ...]:
    """The layers of several networks; one that an earlier network has too is left out."""
    found: dict[Geometry, Layer] = {}
    for network in networks:
        for layer in load(network):
            found.setdefault(layer.geometry(1), layer)
    return tuple(found.values())


def _parsed(network: str, number: int, line: str) -> Layer:
    name, *fields = line.split()
    try:
        inputs, outputs, kernel, stride, padding, dilation, groups, size, times = fields
        return Layer(
            *(network, name, int(inputs), int(outputs), _pair(kernel), int(stride), _pair(padding)),
            *(int(dilation), int(groups), int(size), int(times)),
        )
    except ValueError as error:
        raise ValueError(
            f"line {number} of {network}.txt should be a name and nine integers (kernel and padding may be a "
            f"height and a width, 1x7), not {line!r}"
        ) from error


def _pair(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width or height)
