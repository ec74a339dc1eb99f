"""docs/compatibility.md says the truth: what it claims has a test, and nothing promised is left out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "compatibility.md"

PROMISED = (
    "`nn.Conv2d`", "`F.conv2d`", "`torch.conv2d`", "`aten.convolution`", "`LazyConv2d`", "unbatched",
    "'same'", "double backward", "transposed convolution", "1-D and 3-D", "quantised and sparse",
    "`enable`", "`disable`", "`status`", "`python -m tatamu`", "`warmup`", "`convert`", "`revert`",
    "`torch.compile(fullgraph=True)`", "dynamic shapes", "AOTAutograd", "`torch.export`", "FX tracing",
    "ONNX export", "FakeTensor", "CPU autocast", "`torch.func`", "vmap", "grad", "jacrev", "jacfwd",
    "per-sample gradients", "activation checkpointing", "CUDA graphs", "`torch.utils.flop_counter`",
    "profiler names", "pickling", "`copy.deepcopy`", "`torch.save`", "`torch.load` (`weights_only`)",
    "pruning", "weight norm", "spectral norm", "`fuse_conv_bn_eval`", "state_dict",
    "`DataLoader` workers", "threads", "ResNet", "ConvNeXt", "ConvNeXtV2", "MobileNetV1", "MobileNetV2",
    "MobileViT", "RegNet", "EfficientNet", "SegFormer", "ViT", "CLIP vision", "Swin", "DETR", "UperNet",
    "DDP", "FSDP2", "DTensor", "split by height",
)  # fmt: skip
"""What the page must have a row for, in the words of its first column."""


def rows(page: str) -> list[tuple[str, str]]:
    """(feature, proof) of each row of its tables."""
    found = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "feature" and set(cells[0]) != {"-"}:
            found.append((cells[0], cells[-1]))
    return found


def mistakes(page: str) -> list[str]:
    """What is wrong with a page: one sentence each."""
    found = []
    for feature, proof in rows(page):
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proof)
        if not tests or "".join(proof.split()) != "".join(f"`{path}::{name}`" for path, name in tests):
            found.append(f"{feature}: its proof is not a list of tests")
        for path, name in tests:
            if name not in functions(ROOT / path):
                found.append(f"{feature}: there is no {path}::{name}")
    supported, _, unsupported = page.partition("## Not supported")
    named = " | ".join(feature for feature, _ in rows(supported))
    found += [
        f"{promise} has no row"
        for promise in PROMISED
        if not re.search(rf"(?<!\w){re.escape(promise)}(?!\w)", named)
    ]
    found += [f"a row is under 'Not supported': {feature}" for feature, _ in rows(unsupported)]
    return found


@cache
def functions(path: Path) -> set[str]:
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_claim_has_a_test_and_every_promise_a_row() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(rows(page)) > 30
    assert mistakes(page) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("test_flop_counter`", "test_flop_count`"),
        ("tests/pytorch/test_opinfo.py::test_vmap", "tests/pytorch/test_opinfos.py::test_vmap"),
        ("`tests/pytorch/test_features.py::test_onnx_export`", "by hand"),
        ("| ONNX export |", "| export |"),
        ("ConvNeXt, ", ""),
        (
            "## Not supported",
            "## Not supported\n\n| ONNX export | no | `tests/test_nn.py::test_lazy_layer` |\n",
        ),
    ],
)
def test_a_page_that_says_too_much_or_too_little_is_found(old: str, new: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert old in page
    assert len(mistakes(page.replace(old, new))) == 1
