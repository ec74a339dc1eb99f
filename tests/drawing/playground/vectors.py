"""Settings of the playground at random, and what tatamu and torch say of them: what its page is held to.

Settings are those of `settings.mjs`. tatamu is asked through its layer on meta tensors, torch for what is in
the padding.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import torch
import torch.nn.functional as torch_functional

import tatamu
from tatamu.errors import TatamuError
from tatamu.geometry import Geometry, resolve_padding
from tatamu.validate import resolve

Settings = dict[str, Any]

STRINGS = ("valid", "same", "same_upper", "same_lower")
MODES = ("zeros", "reflect", "replicate", "circular")
KERNELS = ("identity", "box", "gauss", "sharpen", "edges", "sobelX", "sobelY", "emboss")
PICTURES = ("mountain", "tatami", "shapes", "rings")

PLAIN: Settings = {
    "channels": 4, "size": [7, 7], "inChannels": 4, "outChannels": 8, "kernel": [3, 3], "stride": [1, 1],
    "dilation": [1, 1], "apart": [], "padding": "int", "sides": [[0, 0], [0, 0]], "groups": 1, "bias": True,
    "mode": "zeros", "weights": "box", "picture": "rings", "depthwise": True,
}  # fmt: skip


def random_settings(source: random.Random) -> Settings:
    """About one in two is a layer that works; each rule is broken now and then."""

    def pair(name: str, values: list[int]) -> list[int]:
        one = source.choice(values)
        if source.random() < 0.5:
            return [one, one]
        settings["apart"].append(name)
        return [one, source.choice(values)]

    settings: Settings = dict(PLAIN, apart=[])
    settings["groups"] = source.choice([1, 1, 1, 1, 2, 2, 3, 4, 0])
    settings["inChannels"] = source.choice([1, 2, 3, 4, 6, 8, 12])
    if source.random() < 0.8 and settings["groups"]:
        settings["inChannels"] = settings["groups"] * source.choice([1, 1, 2, 3])
    settings["outChannels"] = max(settings["groups"], 1) * source.choice([0, 1, 1, 2, 2, 2, 3])
    settings["outChannels"] += source.random() < 0.05
    settings["channels"] = settings["inChannels"] if source.random() < 0.9 else source.randrange(9)
    settings["kernel"] = pair("kernel", [1, 1, 2, 2, 3, 3, 3, 4, 5, 5, 7] + [0] * (source.random() < 0.1))
    settings["stride"] = pair("stride", [1, 1, 1, 1, 2, 2, 3, 5] + [0] * (source.random() < 0.1))
    settings["dilation"] = pair("dilation", [1, 1, 1, 1, 1, 2, 2, 3] + [0] * (source.random() < 0.1))
    settings["size"] = [source.randrange(0 if source.random() < 0.1 else 1, 16) for _ in range(2)]
    settings["padding"] = source.choice(["int", "int", "pair", "sides", *STRINGS])
    least = -1 if source.random() < 0.08 else 0
    top, bottom, left, right = (source.randrange(least, 4) for _ in range(4))
    if settings["padding"] == "int":
        bottom = left = right = top
    elif settings["padding"] == "pair":
        bottom, right = top, left
    settings["sides"] = [[top, bottom], [left, right]]
    settings["bias"] = source.random() < 0.5
    settings["mode"] = source.choice(MODES)
    settings["weights"], settings["picture"] = source.choice(KERNELS), source.choice(PICTURES)
    settings["depthwise"] = source.random() < 0.5
    return apart(settings)


def apart(settings: Settings) -> Settings:
    """`settings` with "size" and "channels" among those apart where they differ, as an address says it."""
    size, channels = settings["size"], (settings["channels"], settings["inChannels"])
    named = [name for name in settings["apart"] if name not in ("size", "channels")]
    more = [name for name, (a, b) in (("size", size), ("channels", channels)) if a != b]
    return settings | {"apart": [*more, *named]}


def mistakes() -> list[Settings]:
    """Each rule that the page can break, broken with many values."""
    found: list[Settings] = []

    def add(**changes: Any) -> None:
        found.append(apart(PLAIN | changes))

    for n in (0, 1, 3, 7, 60, 97, 144, 1024):
        add(inChannels=n, channels=n, groups=5)
        add(outChannels=n, groups=4)
        add(channels=n)
        add(channels=n, size=[3, 4])
        add(channels=n, size=[4, 2])
        add(channels=n, inChannels=8, groups=4)
    for groups in (1, 2, 4):
        add(outChannels=0, groups=groups)
    add(groups=0)
    for k in (2, 3, 5):
        add(padding="same", stride=[k, k])
        add(padding="same", stride=[1, k], apart=["stride"])
        add(size=[k, 1], kernel=[k + 2, 4], dilation=[2, k], apart=["kernel", "dilation"])
        add(size=[2, 9], kernel=[5, 5], dilation=[k, k])
        for mode in ("reflect", "circular"):
            add(size=[k, k + 3], mode=mode, padding="int", sides=[[k + 1, k + 1]] * 2)
            add(size=[k + 3, k], mode=mode, padding="sides", sides=[[0, 1], [0, k + 1]])
            add(size=[k + 3, k], mode=mode, padding="same_upper", kernel=[5, 4 * k], apart=["kernel"])
    for i in (0, 1):
        zero = [[0, 2], [2, 0]][i]
        for name in ("stride", "dilation", "kernel", "size"):
            add(**{name: zero}, apart=[name])
            add(**{name: [0, 0]}, mode=MODES[i + 1])
            add(**{name: [0, 0]}, padding=STRINGS[i * 3])
    for width in (5, 6, 7):
        add(size=[0, width], sides=[[2, 2], [2, 2]])
        add(size=[width, 0], mode="replicate")
    add(size=[0, 5], padding="same_lower", stride=[3, 3], kernel=[1, 1])
    add(sides=[[-1, -1], [-1, -1]])
    add(padding="pair", sides=[[2, 2], [-1, -1]])
    add(padding="sides", sides=[[2, -1], [1, 0]])
    return found


def address(settings: Settings) -> str:
    """The settings as the page's address has them, after the #."""

    def pair(name: str) -> str:
        height, width = settings[name]
        return f"{height}x{width}" if name in settings["apart"] else f"{height}"

    (top, bottom), (left, right) = settings["sides"]
    given = {"int": f"{top}", "pair": f"{top}x{left}", "sides": f"{top}_{bottom}x{left}_{right}"}
    words = {
        "in": "x".join(map(str, (settings["channels"], *settings["size"]))),
        "c": "" if settings["inChannels"] == settings["channels"] else settings["inChannels"],
        "out": settings["outChannels"],
        "k": pair("kernel"),
        "s": pair("stride"),
        "p": given.get(settings["padding"], settings["padding"]),
        "d": "" if pair("dilation") == "1" else pair("dilation"),
        "g": "" if settings["groups"] == 1 else settings["groups"],
        "bias": "" if settings["bias"] else 0,
        "mode": settings["mode"].replace("zeros", ""),
        "w": settings["weights"].replace("sobelX", ""),
        "picture": settings["picture"].replace("mountain", ""),
        "depthwise": "" if settings["depthwise"] else 0,
    }
    return "&".join(f"{key}={word}" for key, word in words.items() if word != "")


def arguments(settings: Settings) -> dict[str, Any]:
    """The layer's arguments, as a user of Python gives them."""

    def pair(name: str) -> Any:
        return tuple(settings[name]) if name in settings["apart"] else settings[name][0]

    (top, bottom), (left, right) = settings["sides"]
    given = {"int": top, "pair": (top, left), "sides": ((top, bottom), (left, right))}
    return {
        "in_channels": settings["inChannels"],
        "out_channels": settings["outChannels"],
        "kernel_size": pair("kernel"),
        "stride": pair("stride"),
        "padding": given.get(settings["padding"], settings["padding"]),
        "dilation": pair("dilation"),
        "groups": settings["groups"],
        "bias": settings["bias"],
        "padding_mode": settings["mode"],
    }


def expected(settings: Settings) -> dict[str, Any]:
    """What the page should say: the sentence of the mistake, or the sizes and what is read."""
    input_size = (1, settings["channels"], *settings["size"])
    given = arguments(settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on weights without elements.
            layer = tatamu.Conv2d(**given, device="meta")
        size = layer(torch.empty(input_size, device="meta")).shape
    except TatamuError as error:
        return {"sentence": str(error)}
    weight_size = tuple(layer.weight.shape)
    names = ("stride", "padding", "dilation", "groups", "padding_mode")
    convolution = resolve(input_size, weight_size, None, *(given[name] for name in names))
    geometry = Geometry.of(input_size, weight_size, convolution)
    kernel = layer.kernel_size
    padding = resolve_padding(layer.padding, kernel, layer.stride, layer.dilation, input_size[2:])
    return {
        "sentence": None,
        "output": list(size[1:]),
        "padding": [list(sides) for sides in padding],
        "formula": geometry.formula.split("\n"),
        "parameters": sum(parameter.numel() for parameter in layer.parameters()),
        "macs": geometry.macs,
        "field": [field.size for field in geometry.receptive_field],
        "shown": [shown(settings["size"][i], padding[i], settings["mode"]) for i in (0, 1)],
        "text": str(layer),
    }


def shown(size: int, padding: tuple[int, int], mode: str) -> list[int | None]:
    """The pixel that each position of the padded axis shows, by torch's own padding; None for a zero."""
    pixels = torch.arange(1, size + 1, dtype=torch.float64).reshape(1, 1, size)
    padded = torch_functional.pad(pixels, padding, "constant" if mode == "zeros" else mode)
    return [int(value) - 1 if value else None for value in padded.flatten()]
