"""`tatamu draw`, as the command line calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cli.commands import complaint, run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["conv.svg", "conv.gif", "conv.png", "conv.html"])
def test_the_ending_chooses_the_form(name: str, folder: Path) -> None:
    result = run("draw", "-i", "4", "-k", "3", "-s", "1", "-p", "1", "-o", name)
    assert (result.status, result.stdout) == (0, f"{name}: Conv2d(1, 1, kernel_size=3, padding=1)\n")
    assert (folder / name).stat().st_size > 1000


def test_without_a_name_it_says_which_it_took(folder: Path) -> None:
    result = run("draw", "-k", "3", "-s", "2")
    assert result.stdout == "conv2d_1_1_kernel_size_3_stride_2.svg: Conv2d(1, 1, kernel_size=3, stride=2)\n"
    assert [path.name for path in folder.iterdir()] == ["conv2d_1_1_kernel_size_3_stride_2.svg"]


def test_all_arguments_of_the_layer(folder: Path) -> None:
    options = (
        "-i 4x6x7 --out-channels 8 -k 2x3 -s 2x1 -p 1:0x0:2 -d 1x2 -g 2 --no-bias --padding-mode replicate"
    )
    result = run("draw", *options.split(), "-o", "all.svg")
    assert result.stdout == (
        "all.svg: Conv2d(4, 8, kernel_size=(2, 3), stride=(2, 1), padding=((1, 0), (0, 2)), dilation=(1, 2), "
        "groups=2, bias=False, padding_mode='replicate')\n"
    )
    assert "input 4 × 6 × 7" in (folder / "all.svg").read_text(encoding="utf-8")


def test_as_many_output_channels_as_groups_where_none_are_said() -> None:
    assert run("draw", "-i", "6x5x5", "-k", "3", "-g", "6", "-o", "x.svg").stdout.startswith(
        "x.svg: Conv2d(6, 6, "
    )


def test_stills(folder: Path) -> None:
    assert run("draw", "-i", "5", "-k", "3", "--still", "-o", "best.svg").status == 0
    assert run("draw", "-i", "5", "-k", "3", "--still", "8", "-o", "last.svg").status == 0
    assert "output row 0, column 1 reads" in (folder / "best.svg").read_text(encoding="utf-8")
    assert "output row 2, column 2 reads" in (folder / "last.svg").read_text(encoding="utf-8")
    sentence = complaint("draw", "-i", "5", "-k", "3", "--still", "9", "-o", "no.svg", status=1)
    assert sentence == "the picture has 9 frames, 0 to 8, but got frame 9"
    run("draw", "-i", "5", "-k", "3", "--still", "0", "-o", "one.png")
    run("draw", "-i", "5", "-k", "3", "--still", "8", "-o", "other.png")
    with Image.open("one.png") as one, Image.open("other.png") as other:
        assert one.size == other.size
        assert one.tobytes() != other.tobytes()


def test_numbers_gradients_and_pooling(folder: Path) -> None:
    for name, *options in (
        ("a", "--numbers"), ("b", "--numbers", "7"), ("c", "--transposed"),
        ("d", "--pool", "max", "--numbers"), ("e", "--pool", "average", "-p", "1"),
    ):  # fmt: skip
        assert run("draw", "-i", "5", "-k", "3", "-s", "2", *options, "-o", f"{name}.svg").status == 0
    texts = [(folder / f"{name}.svg").read_text(encoding="utf-8") for name in "abcde"]
    assert texts[0] != texts[1]
    assert "Gradient of the input of Conv2d(1, 1, kernel_size=3, stride=2)" in texts[2]
    assert "MaxPool2d(3, stride=2)" in texts[3]
    assert "AvgPool2d(3, stride=2, padding=1)" in texts[4]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ("-i 5", 2, "Missing option '-k' / '--kernel-size'"),
        ("-i 5x5x5x5 -k 3", 2, "'5x5x5x5' is not a size H, HxW or CxHxW"),
        ("-i 5 -k 3 -o conv.jpg", 1, "should end in '.svg', '.gif', '.png' or '.html'"),
        ("-i 5 -k 3 -o nowhere/conv.svg", 1, "No such file or directory: 'nowhere/conv.svg'"),
        ("-i 2 -k 3", 1, "Kernel size can't be greater than actual input size"),
        ("-i 3x5x5 -k 3 -g 2", 1, "in_channels must be divisible by groups"),
        ("-i 5 -k 3 -s 0", 1, "non-positive stride is not supported"),
        ("-i 224 -k 7", 1, "the picture would be 224 cells long"),
        ("-i 5 -k 3 --pool max -g 2", 2, "--pool max takes no --groups"),
        ("-i 5 -k 3 --pool average -d 2", 2, "--pool average takes no --dilation"),
        ("-i 2x5x5 -k 3 --pool max", 2, "draws one channel"),
        ("-i 5 -k 3 --pool max -p same", 1, "its padding is one number for each axis"),
        ("-i 5 -k 3 --pool max --transposed", 1, "the gradient of a maximum"),
        ("-i 5 -k 3 --pool max -p 2", 1, "pad should be at most half"),
        ("-i 5 -k 3 --numbers abc", 2, "'abc' is neither a seed nor taps"),
        ("-i 5 -k 3 --numbers 1,2", 1, "a seed or the 9 taps of the weight (1, 1, 3, 3), but got 2 numbers"),
        ("-i 5 -k 3 --pool max --numbers 1,2", 1, "a seed for MaxPool2d(3), which has no weight"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: str, status: int, sentence: str) -> None:
    assert sentence in complaint("draw", *arguments.split(), status=status)
