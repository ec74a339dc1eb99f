"""The page's arithmetic, sentences and lines to copy, run by Node.js, against tatamu and torch."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as torch_functional

import tatamu
from drawing.playground import keras_shapes as keras
from drawing.playground import vectors
from tatamu.drawing import playground

MODULES = Path(playground.__file__).parent
NODE = shutil.which("node")
COUNT = 300

pytestmark = pytest.mark.skipif(
    NODE is None, reason="Node.js, which runs the page's modules, is not installed"
)

Pair = tuple[
    dict[str, Any], dict[str, Any], dict[str, Any]
]  # settings, what is expected, what the page answers


@pytest.fixture(scope="module")
def answered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    source = random.Random(request.config.getoption("--seed"))
    settings = [*vectors.mistakes(), *(vectors.random_settings(source) for _ in range(COUNT))]
    file = tmp_path_factory.mktemp("vectors") / "vectors.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    script = Path(__file__).with_name("answers.mjs")
    finished = subprocess.run(
        [str(NODE), str(script), str(MODULES), str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    answers = json.loads(finished.stdout)
    return [(s, vectors.expected(s), answer) for s, answer in zip(settings, answers, strict=True)]


@pytest.fixture(scope="module")
def working(answered: list[Pair]) -> list[Pair]:
    found = [pair for pair in answered if pair[1]["sentence"] is None]
    assert len(found) > COUNT / 4
    return found


def test_everything_tatamu_says_the_page_says(answered: list[Pair]) -> None:
    for settings, expected, answer in answered:
        assert {key: answer.get(key) for key in expected} == expected, settings


def test_every_sentence_of_the_page_was_compared_with_several_values(answered: list[Pair]) -> None:
    source = (MODULES / "messages.mjs").read_text(encoding="utf-8")
    known = set(re.findall(r"^export function (\w+)", source, re.MULTILINE))
    compared: dict[str, set[str]] = {}
    for _, expected, answer in answered:
        if expected["sentence"]:
            compared.setdefault(answer["rule"], set()).add(expected["sentence"])
    assert set(compared) == known
    few = {rule: len(sentences) for rule, sentences in compared.items() if len(sentences) < 3}
    assert few == {"groups": 1}  # The page's least is 0, so there is one sentence only.


def test_a_mistake_names_settings_that_exist(answered: list[Pair]) -> None:
    for settings, _, answer in answered:
        assert set(answer.get("fields", ())) <= set(settings)


def test_the_address_holds_everything(answered: list[Pair]) -> None:
    for settings, _, answer in answered:
        assert answer["hash"] == vectors.address(settings)
        again = answer["again"]
        assert sorted(again.pop("apart")) == sorted(settings["apart"])
        # A string leaves the amounts, which it replaces, as they are by default.
        sides = again.pop("sides")
        assert settings["padding"] in vectors.STRINGS or sides == settings["sides"]
        assert again == {key: settings[key] for key in again}


def test_what_is_read_is_what_the_gradient_says(working: list[Pair]) -> None:
    """An output's derivative by the input is nonzero where it reads; of positive weights nothing cancels."""
    for settings, expected, answer in working[::3]:
        channels, (height, width) = settings["channels"], settings["size"]
        x = torch.ones(1, channels, height, width, dtype=torch.float64, requires_grad=True)
        (top, bottom), (left, right) = expected["padding"]
        mode = settings["mode"]
        padded = torch_functional.pad(x, (left, right, top, bottom), "constant" if mode == "zeros" else mode)
        padded.retain_grad()
        weight = torch.ones(
            settings["outChannels"], channels // settings["groups"], *settings["kernel"], dtype=torch.float64
        )
        stride, dilation = settings["stride"], settings["dilation"]
        y = torch_functional.conv2d(padded, weight, None, stride, 0, dilation, settings["groups"])
        assert list(y.shape[1:]) == answer["output"]
        outputs, rows, columns = answer["output"]
        for o, p, q in {(0, 0, 0), (outputs - 1, rows - 1, columns - 1), (outputs // 2, rows // 2, 0)}:
            x.grad = padded.grad = None
            y[0, o, p, q].backward(retain_graph=True)
            first, end = answer["channels"][o]
            inner = [at + before for before, at in ((top, 0), (left, 0))]
            reads = {
                (row + inner[0], column + inner[1])
                for row in answer["positions"][0][p]
                for column in answer["positions"][1][q]
            }
            marked = {tuple(cell[1:]) for cell in padded.grad[0].nonzero().tolist()}
            assert marked == reads
            assert {cell[0] for cell in padded.grad[0].nonzero().tolist()} == set(range(first, end))
            readers = answer["readers"]
            assert {tuple(cell[1:]) for cell in x.grad[0].nonzero().tolist()} == {
                (i, j)
                for i in range(height)
                for j in range(width)
                if p in readers[0][i] and q in readers[1][j]
            }
            of_position = answer["readersOfPosition"]
            assert marked == {
                (i, j)
                for i in range(len(of_position[0]))
                for j in range(len(of_position[1]))
                if p in of_position[0][i] and q in of_position[1][j]
            }
        x.grad = None
        y.sum().backward()
        never = {tuple(cell[1:]) for cell in (x.grad[0] == 0).nonzero().tolist()}
        unread_rows, unread_columns = map(set, answer["unread"])
        assert never == {
            (i, j) for i in range(height) for j in range(width) if i in unread_rows or j in unread_columns
        }


def test_the_numbers_in_the_drawing_are_a_convolution(working: list[Pair]) -> None:
    for settings, expected, answer in working[::2]:
        x = torch.tensor(answer["input"], dtype=torch.float64)
        (top, bottom), (left, right) = expected["padding"]
        mode = "constant" if settings["mode"] == "zeros" else settings["mode"]
        padded = torch_functional.pad(x, (left, right, top, bottom), mode)
        taps = torch.tensor(answer["taps"], dtype=torch.float64)
        weight = taps[None, None] / answer["divisor"]
        planes = torch_functional.conv2d(
            padded[:, None], weight, None, settings["stride"], 0, settings["dilation"]
        )[:, 0]
        first, end = answer["channels"][-1]
        bias = settings["outChannels"] if settings["bias"] else 0
        sums = torch.tensor(answer["sums"], dtype=torch.float64)
        torch.testing.assert_close(sums, planes[first:end].sum(0) + bias, atol=1e-9, rtol=0)
        # Planes are kept in float32: whole numbers are exact, so the divisor alone rounds.
        given = torch.tensor(answer["planes"], dtype=torch.float64).reshape(planes.shape)
        torch.testing.assert_close(given, planes, atol=1e-5, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_the_lines_to_copy_make_the_layer(working: list[Pair]) -> None:
    for settings, expected, answer in working:
        image = torch.empty(1, settings["channels"], *settings["size"], device="meta")
        with torch.device("meta"):
            ours = eval(answer["tatamu"], {"tatamu": tatamu})
            theirs = eval(answer["torch"], {"torch": torch})
        assert str(ours) == expected["text"]
        assert list(theirs(image).shape[1:]) == expected["output"], answer["torch"]
        assert sum(p.numel() for p in theirs.parameters()) == expected["parameters"]
        strided, dilated = max(settings["stride"]) > 1, max(settings["dilation"]) > 1
        assert (answer["keras"] is None) == (strided and dilated)
        if answer["keras"] is not None:
            height, width = settings["size"]
            shape = (1, height, width, settings["channels"])
            _, h, w, c = eval(answer["keras"], {"keras": keras})(shape)
            assert [c, h, w] == expected["output"], answer["keras"]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_torchs_line_computes_what_the_layer_computes(working: list[Pair]) -> None:
    """Sizes alone would not tell a padding on the wrong side."""
    for settings, _, answer in working[::5]:
        image = torch.rand(1, settings["channels"], *settings["size"], dtype=torch.float64)
        theirs = eval(answer["torch"], {"torch": torch}).double()
        ours = tatamu.Conv2d(**vectors.arguments(settings), dtype=torch.float64)
        ours.load_state_dict({key.split(".")[-1]: value for key, value in theirs.state_dict().items()})
        torch.testing.assert_close(ours(image), theirs(image))
