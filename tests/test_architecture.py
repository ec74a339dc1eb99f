"""Imports point one way, and the core does without torch. Read from the source, without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import children

PACKAGE = "tatamu"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE

# A part, a module or a folder directly under the package, may import itself and what stands before it.
LAYERS = (
    "errors",
    "geometry",
    "validate",
    "drawing",
    "engine",
    "layout",
    "precision",
    "launch",
    "gpu",
    "autograd",
    "distributed",
    "functional",
    "nn",
    "fused",
    "freezing",
    "adopt",
    "explain",
)
# Beside the layers: what each may import of the package. No layer may import them.
ASIDE = {
    "__main__": {"adopt"},
    "reference": {"geometry"},
    "solving": {"errors", "geometry", "validate"},
    "tracing": {*LAYERS, "solving"},
    "picture": {*LAYERS},
    "measuring": {*LAYERS, "reference"},
    "cli": {*LAYERS, "measuring", "picture", "solving", "tracing"},
}
# The package's own __init__ gathers the public names.
ROOT = "__init__"

# Foreign packages that a part must not import.
FORBIDDEN = {
    "__main__": {"numpy", "torch"},
    "errors": {"numpy", "torch"},
    "geometry": {"numpy", "torch"},
    "validate": {"numpy", "torch"},
    "reference": {"torch"},
    "solving": {"numpy", "torch"},
    "drawing": {"torch"},
    "tracing": {"numpy"},
    "picture": set(),
    "measuring": set(),
    "engine": {"numpy", "torch"},
    "layout": {"numpy"},
    "precision": {"numpy"},
    "launch": {"numpy"},
    "gpu": {"numpy"},
    "autograd": {"numpy"},
    "distributed": {"numpy"},
    "functional": {"numpy"},
    "nn": {"numpy"},
    "fused": {"numpy"},
    "freezing": {"numpy"},
    "adopt": {"numpy"},
    "explain": {"numpy"},
    "cli": {"numpy", "torch"},
}


def violations(source: Path) -> list[str]:
    """Every import under `source`, the package's folder, that breaks a rule above; one sentence each."""
    return [
        f"{path.relative_to(source)}:{line}: {complaint}"
        for path in sorted(source.rglob("*.py"))
        for line, target in _imports(path, source)
        if (complaint := _complaint(_part(path.relative_to(source)), target))
    ]


def _part(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def _imports(path: Path, source: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import in the file, those in functions and those for types alone too."""
    package = (PACKAGE, *path.relative_to(source).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            if module == PACKAGE:  # `from tatamu import engine` imports a part, or a public name.
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def _complaint(part: str, target: str) -> str | None:
    if part == ROOT:
        return None
    if part not in LAYERS and part not in ASIDE:
        return f"{part} has no place in LAYERS or ASIDE of tests/test_architecture.py"
    package, _, rest = target.partition(".")
    if package != PACKAGE:
        return f"{part} must not import {package}" if package in FORBIDDEN[part] else None
    imported = rest.partition(".")[0]
    allowed = ASIDE[part] if part in ASIDE else set(LAYERS[: LAYERS.index(part)])
    if imported in allowed | {part}:
        return None
    return f"{part} must not import {target}"


def test_every_module_has_been_read() -> None:
    """The check below would pass on an empty folder."""
    parts = {_part(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py")}
    assert {"geometry", "reference", "engine"} <= parts


def test_imports_point_one_way() -> None:
    assert violations(SOURCE) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("geometry.py", "import torch"),
        ("geometry.py", "import torch.nn.functional as F"),
        ("geometry.py", "from numpy import prod"),
        ("reference.py", "from torch import Tensor"),
        ("reference.py", "from tatamu.engine import planning"),
        ("engine/planning/direct.py", "def late():\n    import torch"),
        ("engine/planning/direct.py", "from tatamu.nn import Conv2d"),
        ("engine/kernels/direct.py", "from ...launch import forward"),
        ("engine/kernels/direct.py", "import tatamu.functional"),
        ("errors.py", "from tatamu import geometry"),
        ("errors.py", "from . import geometry"),
        ("launch.py", "from tatamu import reference"),
        ("launch.py", "from tatamu import conv2d"),
        ("autograd.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .nn import Conv2d"),
        ("functional.py", "import tatamu"),
        ("helpers.py", "import os"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    (found,) = violations(tmp_path)
    assert found.startswith(f"{file}:")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("__init__.py", "from tatamu.nn import Conv2d\nimport torch"),
        ("engine/kernels/direct.py", "from ..spec import ConvSpec\nfrom tatamu.geometry import Axis"),
        ("engine/__init__.py", "from .spec import ConvSpec\nimport llvmlite.ir\nfrom math import prod"),
        ("launch.py", "import torch\nfrom tatamu import engine, errors\nfrom . import geometry"),
        ("nn.py", "from tatamu.functional import conv2d\nfrom tatamu import errors"),
        ("reference.py", "import numpy\nfrom tatamu.geometry import Axis"),
    ],
)
def test_a_right_import_is_let_through(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    assert violations(tmp_path) == []


def test_what_writes_kernels_is_imported_when_one_is_compiled() -> None:
    program = "import sys, tatamu; print('tatamu.engine.kernels.ir' in sys.modules)"
    assert children.finish(children.start(program)) == "False\n"
