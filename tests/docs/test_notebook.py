"""The notebook runs from top to bottom, shows what it promises, and is stored without outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "understanding_conv2d.ipynb"


@pytest.fixture(scope="module")
def stored() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_stored_without_outputs(stored: nbformat.NotebookNode) -> None:
    nbformat.validate(stored)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert code
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_it_runs_and_shows_pictures(stored: nbformat.NotebookNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONWARNINGS", "error::DeprecationWarning:tatamu")
    notebook = nbformat.from_dict(stored)
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith(("tatamu.draw(", "Conv2d(")):
            (output,) = cell.outputs
            assert "data:image/svg+xml" in output.data["text/html"], cell.source
        if cell.source.endswith('tatamu.trace(Net(), "3x64x64")'):
            assert "mend: padding=1 in block.conv2" in cell.outputs[0].data["text/html"]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", ()) for output in outputs) == 2
