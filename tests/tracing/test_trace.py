"""A trace as its users see it: rows, totals, and the forms it can be written in."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

import tatamu
from tatamu.tracing.rows import Row
from tatamu.tracing.trace import trace
from tracing.architectures import ARCHITECTURES


class Net(nn.Module):
    """A residual block, a functional convolution with a parameter of the model's own, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm, self.drop = nn.BatchNorm2d(8), nn.Dropout()
        self.block = nn.Sequential(nn.ReLU(inplace=True), tatamu.Conv2d(8, 8, 3, padding="same"))
        self.weight = nn.Parameter(torch.zeros(4, 12, 1, 3))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.norm(self.stem(x)))
        y = torch.cat([x + self.block(x), functional.max_pool2d(x[:, :4], 3, 1, 1)], 1)
        result: Tensor = self.head(functional.conv2d(y, self.weight, stride=(1, 2)))
        return result


def figures(row: Row) -> tuple[object, ...]:
    window = row.windows and tuple((it.size, it.jump and int(it.jump), it.start) for it in row.windows)
    return row.path, row.layer, row.output, window, row.parameters, row.macs


def test_one_row_a_layer() -> None:
    found = trace(Net(), "3x16x16")
    whole, stem = (16, None, 0), "Conv2d(3, 8, 3"
    three, seven, eleven = (3, 2, -1), (7, 2, -3), (11, 4, -3)
    assert [figures(row) for row in found.rows] == [
        ("stem", f"{stem}, stride=2, padding=1, bias=False)", (1, 8, 8, 8), (three, three), 216, 64 * 216),
        ("norm", "BatchNorm2d(8)", (1, 8, 8, 8), (three, three), 16, 0),
        ("block.0", "ReLU()", (1, 8, 8, 8), (three, three), 0, 0),
        ("block.1", "Conv2d(8, 8, 3, padding=same)", (1, 8, 8, 8), (seven, seven), 584, 64 * 576),
        ("", "add()", (1, 8, 8, 8), (seven, seven), 0, 0),
        ("", "max_pool2d()", (1, 4, 8, 8), (seven, seven), 0, 0),
        ("", "cat(dim=1)", (1, 12, 8, 8), (seven, seven), 0, 0),
        ("", "conv2d(12, 4, (1, 3), stride=(1, 2))", (1, 4, 8, 3), (seven, eleven), 144, 24 * 144),
        ("head.0", "AdaptiveAvgPool2d(1)", (1, 4, 1, 1), (whole, whole), 0, 0),
        ("head.1", "Flatten()", (1, 4), (whole, whole), 0, 0),
        ("head.2", "Linear(4, 10)", (1, 10), (whole, whole), 50, 40),
    ]  # fmt: skip
    assert sum(row.share for row in found.rows) == pytest.approx(1)
    assert [bool(row.plan) for row in found.rows if row.macs] == [True, True, True, False]
    assert found.parameters == sum(it.numel() for it in Net().parameters())
    assert found.macs == sum(row.macs for row in found.rows)
    assert found.fits


@pytest.mark.parametrize("name", ["ResNet", "ConvNeXtV2", "ViT", "SegFormer"])
def test_parameters_add_up(name: str) -> None:
    """Rows have every parameter that the output depends on, each once."""
    model, size = ARCHITECTURES[name].make().eval(), ARCHITECTURES[name].size
    model(torch.randn(size)).logits.sum().backward()
    found = trace(model, size)
    assert found.parameters == sum(it.numel() for it in model.parameters())
    used = sum(it.numel() for it in model.parameters() if it.grad is not None)
    assert sum(row.parameters for row in found.rows) == used


def test_a_module_that_is_called_twice_is_two_rows_with_parameters_in_the_first() -> None:
    shared = nn.Conv2d(3, 3, 1)
    found = trace(nn.Sequential(shared, nn.ReLU(), shared), "3x8x8")
    assert [(row.path, row.parameters, row.macs) for row in found.rows] == [
        ("0", 12, 576),
        ("1", 0, 0),
        ("0", 0, 576),
    ]


def broken() -> nn.Module:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.conv1(x) + self.conv2(x)
            return result

    return nn.Sequential(nn.ReLU(), Block())


def test_where_it_does_not_fit() -> None:
    found = trace(broken(), "3x16x16")
    assert not found.fits
    assert [row.path for row in found.rows] == ["0", "1.conv1", "1.conv2"]
    text = "\n".join(found.problem)
    for word in ("1×3×14×14", "1.conv1", "1×3×16×16", "1.conv2", "add"):
        assert word in text
    assert "".join(text.split()) in "".join(str(found).split())


# ---- Forms.


@pytest.mark.parametrize("name", ["ResNet", "MobileViT", "Swin", "DETR"])
def test_the_table_fits_a_hundred_columns(name: str) -> None:
    lines = str(trace(ARCHITECTURES[name].make(), ARCHITECTURES[name].size)).splitlines()
    assert max(map(len, lines)) <= 100
    words = ["path", "layer", "output", "reads", "jump", "params", "mult-adds", "share", "plan"]
    assert lines[0].split() == words


def test_the_table_has_every_figure() -> None:
    text = str(trace(Net(), "3x64x64"))
    row = next(line for line in text.splitlines() if "BatchNorm2d(8)" in line)
    assert row.split() == ["norm", "BatchNorm2d(8)", "1×8×32×32", "3", "2", "16"]
    assert text.splitlines()[-1] == "Net on 1×3×64×64: 1.01 K parameters, 880 K multiply-adds"
    assert "whole" in text


def test_rich_prints_it_at_the_terminals_width(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=140).print(trace(Net(), "3x64x64"))
    assert "Conv2d(3, 8, 3, stride=2, padding=1, bias=False) 1×8×32×32" in capsys.readouterr().out


def test_json() -> None:
    found = json.loads(trace(Net(), "3x16x16").to_json())
    assert found["inputs"] == [[1, 3, 16, 16]]
    assert (found["fits"], found["failure"]) == (True, None)
    assert (found["parameters"], found["multiply_adds"]) == (1010, 54_184)
    convolution, pooling = found["layers"][7], found["layers"][8]
    assert convolution["receptive_field"] == {
        "size": [7, 11], "jump": [2, 4], "start": [-3, -3], "whole_image": [False, False],
    }  # fmt: skip
    assert pooling["receptive_field"]["whole_image"] == [True, True]
    assert pooling["receptive_field"]["jump"] == [None, None]


def test_json_of_what_does_not_fit() -> None:
    failure = json.loads(trace(broken(), "3x16x16").to_json())["failure"]
    assert (failure["path"], failure["function"]) == ("1", "add")
    assert [(it["size"], it["set_by"]["path"]) for it in failure["tensors"]] == [
        ([1, 3, 14, 14], "1.conv1"), ([1, 3, 16, 16], "1.conv2"),
    ]  # fmt: skip


def test_markdown() -> None:
    lines = trace(Net(), "3x16x16").to_markdown().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 11
    assert {line.count("|") for line in table} == {10}
    assert "```" in trace(broken(), "3x16x16").to_markdown()


class Page(HTMLParser):
    """The cells of a page's table, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[int] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += 1
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_whole_and_loads_nothing() -> None:
    for text in (trace(Net(), "3x16x16").to_html(), trace(Net(), "3x16x16")._repr_html_()):
        page = Page(text)
        assert page.open == []
        assert page.rows == [9] * 12
        assert page.loads == []
        assert "http" not in text.replace("http-equiv", "")
    assert re.search(r"<pre>.*1\.conv1.*</pre>", trace(broken(), "3x16x16").to_html(), re.DOTALL)


def test_html_of_names_with_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd.py").write_text(
        "from torch import nn\nmodel = nn.Sequential()\nmodel.add_module('<b>', nn.ReLU())\n"
    )
    monkeypatch.chdir(tmp_path)
    page = trace("odd.py:model", "3x4x4").to_html()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_a_model_that_reads_values_of_its_own_is_made_for_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reads.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Model(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.register_buffer('times', torch.tensor(3))\n"
        "    def forward(self, x):\n"
        "        return x.repeat(1, int(self.times.item()), 1, 1) + 1\n"
    )
    monkeypatch.chdir(tmp_path)
    found = trace("reads.py:Model", "3x4x4")
    assert found.problem == ()
    assert found.rows[-1].output == (1, 9, 4, 4)
