"""``python -m tatamu``: a program runs as it would without, on other convolutions."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from children import ROOT, SECONDS

LAYER = "import sys, torch\nlayer = torch.nn.Conv2d(3, 4, 3)\ny = layer(torch.ones(1, 3, 8, 8))\n"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in a folder, with these arguments; warnings are errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def write(path: Path, program: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(program), encoding="utf-8")
    return path


def test_a_script_sees_what_python_would_show_it(tmp_path: Path) -> None:
    program = """
        import pickle, sys
        import beside
        class Own: pass
        assert type(pickle.loads(pickle.dumps(Own()))) is Own
        names = "__name__", "__file__", "__package__", "__spec__", "__doc__"
        print(sys.argv, sys.path[0], [globals()[name] for name in names], beside.value)
        print(sorted(set(globals()) - {"__cached__", "__loader__", "__annotations__"}))
        sys.exit(3 if "quick" in sys.argv else None)
    """
    write(tmp_path / "folder" / "train.py", program)
    write(tmp_path / "folder" / "beside.py", "value = 5")
    arguments = "folder/train.py", "quick", "-m", "--report"
    ours, theirs = run(tmp_path, "-m", "tatamu", *arguments), run(tmp_path, *arguments)
    assert (ours.stdout, ours.stderr, ours.returncode) == (theirs.stdout, theirs.stderr, theirs.returncode)
    assert ours.returncode == 3


def test_a_module_sees_what_python_would_show_it(tmp_path: Path) -> None:
    write(tmp_path / "package" / "__init__.py", "")
    write(
        tmp_path / "package" / "__main__.py",
        "import sys\nprint(sys.argv, __name__, __file__, __package__, __spec__.name)\n1 / 0",
    )
    ours = run(tmp_path, "-m", "tatamu", "-m", "package", "--lr", "1")
    theirs = run(tmp_path, "-m", "package", "--lr", "1")
    assert (ours.stdout, ours.returncode) == (theirs.stdout, theirs.returncode)
    assert ours.stderr.splitlines()[1:] == theirs.stderr.splitlines()[-len(ours.stderr.splitlines()) + 1 :]
    assert ours.stderr.splitlines()[1].startswith(f'  File "{tmp_path}')


def test_children_have_it_too_and_the_report_comes_last(tmp_path: Path) -> None:
    program = """
        import multiprocessing, torch
        def served(name=""):
            torch.nn.Conv2d(3, 4, 3)(torch.ones(1, 3, 8, 8))
            import tatamu
            print(name, tatamu.status().enabled, tatamu.status().forward, flush=True)
        if __name__ == "__main__":
            served("parent")
            for method in ("fork", "spawn"):
                child = multiprocessing.get_context(method).Process(target=served, args=(method,))
                child.start()
                child.join()
            torch.nn.Conv2d(3, 4, 3)(torch.ones(1, 5, 8, 8))
    """
    write(tmp_path / "train.py", program)
    result = run(tmp_path, "-m", "tatamu", "--report", "train.py")
    assert result.stdout.splitlines() == ["parent True 1", "fork True 2", "spawn True 1"]
    assert result.returncode == 1
    error, _, report = result.stderr.partition("2-D convolutions computed by tatamu")
    assert error.startswith("Traceback (most recent call last):\n")
    assert error.splitlines()[1].startswith(f'  File "{tmp_path / "train.py"}", line 13, in <module>')
    assert "expected input[1, 5, 8, 8] to have 3 channels" in error
    assert report.count("1×3×8×8") == 1
    assert "served: 1 forward, 0 backward" in report
    assert "left to torch: 1 (arguments that torch refuses)" in report


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["missing.py"], 2, "tatamu: can't open file 'missing.py': no such file"),
        (["-m", "missing.module"], 1, "tatamu: No module named missing.module"),
        (["--no-such-option", "train.py"], 2, "tatamu: No such option '--no-such-option'."),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: list[str], status: int, sentence: str) -> None:
    result = run(tmp_path, "-m", "tatamu", *arguments)
    assert (result.stdout, result.stderr.strip(), result.returncode) == ("", sentence, status)
