"""`tatamu shape`, as the command line calls it."""

from __future__ import annotations

import pytest
import torch

import tatamu
from cli.commands import complaint, run

SPANS = "and the kernel spans"
LAST = "the last 2 rows: 12 + 0 + 0 - 1 is not a multiple of 3"
SAME_UPPER = {"stride": 2, "padding": "same_upper"}
STEM = ("shape", "3x224x224", "--out-channels", "64", "-k", "7", "-s", "2", "-p", "3")


def facts(*arguments: str) -> dict[str, str]:
    """What is shown, by its name; the first line has none."""
    result = run("shape", *arguments)
    assert (result.status, result.stderr) == (0, "")
    first, _, *lines = result.stdout.splitlines()
    found, name = {"": first}, ""
    for line in lines:
        name = line[:18].strip() or name
        found[name] = f"{found[name]}\n{line[18:]}" if name in found else line[18:]
    return found


def test_the_first_layer_of_resnet() -> None:
    """Its parameters and multiply-adds are published."""
    assert run(*STEM, "--no-bias").stdout == (
        "3 × 224 × 224 → 64 × 112 × 112\n\n"
        "height and width  floor((224 + 3 + 3 - 1·(7 - 1) - 1) / 2) + 1 = 112\n"
        "parameters        9,408 = 64·3·7·7\n"
        "multiply-adds     118,013,952 = 1·64·112·112 outputs of 3·7·7 products each\n"
        "receptive field   7 × 7 pixels, the next one 2 × 2 further; the first begins at row -3, column -3\n"
        "never read        no row and no column\n"
        "unused padding    the last row and column of padding: 224 + 3 + 3 - 7 is not a multiple of 2\n"
    )


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["-k", "3x5"], {"kernel_size": (3, 5)}),
        (["-k", "3", "-s", "2x1", "-p", "1x2"], {"kernel_size": 3, "stride": (2, 1), "padding": (1, 2)}),
        (["-k", "3", "-p", "0:1x2:3"], {"kernel_size": 3, "padding": ((0, 1), (2, 3))}),
        (["-k", "4", "-p", "same", "-d", "2x1"], {"kernel_size": 4, "padding": "same", "dilation": (2, 1)}),
        (
            ["-k", "3", "-s", "2", "-p", "same_upper"],
            {"kernel_size": 3, "stride": 2, "padding": "same_upper"},
        ),
        (["-k", "3", "-g", "2", "--no-bias"], {"kernel_size": 3, "groups": 2, "bias": False}),
        (
            ["-k", "3", "-p", "2", "--padding-mode", "reflect"],
            {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
        ),
    ],
)
@pytest.mark.parametrize("size", [(4, 9, 12), (2, 4, 9, 12)])
def test_every_argument_is_the_layers(
    size: tuple[int, ...], options: list[str], arguments: dict[str, object]
) -> None:
    layer = tatamu.Conv2d(4, 6, **arguments, device="meta")  # type: ignore[arg-type]  # Of several types.
    output = layer(torch.empty(size, device="meta")).shape
    found = facts("x".join(map(str, size)), "--out-channels", "6", *options)
    assert found[""] == f"{' × '.join(map(str, size))} → {' × '.join(map(str, output))}"
    parameters = sum(parameter.numel() for parameter in layer.parameters())
    assert found["parameters"].startswith(f"{parameters} = ")


@pytest.mark.parametrize(
    ("size", "options", "said"),
    [
        ("8x9", ["-k", "3", "-s", "2"], "the last row: 8 + 0 + 0 - 3 is not a multiple of 2"),
        (
            "7x7",
            ["-k", "3", "-s", "4"],
            f"rows and columns 3 (1 of 7): the stride is 4, {SPANS} 3",
        ),
        (
            "12x9",
            ["-k", "1", "-s", "3x1"],
            f"rows 1–2, 4–5, 7–8 (6 of 12): the stride is 3, {SPANS} 1\n{LAST}",
        ),
        (
            "9x21",
            ["-k", "3", "-s", "1x2", "-d", "1x2"],
            "columns 1, 3, 5, … (10 of 21): stride 2 and dilation 2 share the factor 2",
        ),
        (
            "9x11",
            ["-k", "2", "-s", "1x3", "-d", "1x4"],
            "columns 1–2, 5, 8–9 (5 of 11): no other window fills the gaps of dilation 4",
        ),
        ("9x9", ["-k", "3", "-p", "1"], "no row and no column"),
    ],
)
def test_what_is_never_read_and_why(size: str, options: list[str], said: str) -> None:
    assert facts(f"1x{size}", "--out-channels", "1", *options)["never read"] == said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["3x8x8", "-k", "3", "-p", "-1"], "negative padding is not supported, but got padding=-1"),
        (["3x8x8", "-k", "3", "-p", "smae"], "did you mean 'same'?"),
        (["3x8x8", "-k", "3", "-p", "same", "-s", "2"], "padding='same' is not supported for strided"),
        (["3x8x8", "-k", "3", "--padding-mode", "zero"], "did you mean 'zeros'?"),
        (["3x8x8", "-k", "3", "-g", "2"], "in_channels must be divisible by groups"),
        (["3x8x8", "-k", "9"], "it takes 1 more rows and 1 more columns"),
        (["3x0x8", "-k", "1", "-p", "1"], "the height and the width are at least 1"),
        (["3x8x8", "--solve", "99", "-k", "3", "-p", "0"], "a height of 8 into 99; the nearest is 6, with"),
    ],
)
def test_what_is_impossible_is_said_as_the_layer_says_it(arguments: list[str], sentence: str) -> None:
    assert sentence in complaint("shape", *arguments, "--out-channels", "4", status=1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["3x8", "-k", "3"], "'3x8' is not a size CxHxW or NxCxHxW, such as 3x224x224"),
        (["3x8x8", "-k", "3x3x3"], "'3x3x3' is not a number or HEIGHTxWIDTH, such as 3 or 3x5"),
        (
            ["3x8x8", "-k", "3", "-p", "1:2:3"],
            "a number, HEIGHTxWIDTH, TOP:BOTTOMxLEFT:RIGHT or one",
        ),
        (["3x8x8"], "Missing option '-k' / '--kernel-size'"),
        (["3x8x8", "--solve", "4", "--padding-mode", "reflect"], "leave out --padding-mode"),
    ],
)
def test_what_is_written_wrongly_is_said(arguments: list[str], sentence: str) -> None:
    assert sentence in complaint("shape", *arguments, "--out-channels", "4")


def test_without_output_channels_there_is_no_shape() -> None:
    assert "Missing option '--out-channels'" in complaint("shape", "3x8x8", "-k", "3")


def test_the_other_way() -> None:
    lines = run("shape", "3x224x224", "--solve", "112").stdout.splitlines()
    assert lines[0] == "224 × 224 → 112 × 112, the plainest first:"
    assert lines[2] == "Conv2d(…, kernel_size=3, stride=2, padding=1)"
    assert any(line.endswith("   even kernel") for line in lines)


def test_what_is_given_is_fixed_when_solving() -> None:
    lines = run("shape", "3x224x160", "--solve", "56x40", "-k", "7", "-p", "3").stdout.splitlines()
    assert lines[0] == "224 × 160 → 56 × 40, the plainest first:"
    assert lines[2].startswith("Conv2d(…, kernel_size=7, stride=4, padding=3)")
    assert all("kernel_size=7" in line and "padding=3" in line for line in lines[2:])
