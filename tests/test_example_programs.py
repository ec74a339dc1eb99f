"""The examples that are whole programs, started as their users start them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m torch.distributed.run` is `torchrun`."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_two_processes_learn_the_digits_and_one_shows_the_progress() -> None:
    done = started("-m", "torch.distributed.run", "--nproc-per-node", "2", str(EXAMPLES / "ddp_digits.py"))
    assert done.returncode == 0, done.stderr
    (accuracy,) = re.findall(r"^2 processes: ([\d.]+)% of 360 held-out digits", done.stdout, re.MULTILINE)
    assert float(accuracy) >= 97
    (loss,) = re.findall(r"epoch 12: loss ([\d.]+)", done.stdout)
    assert float(loss) < 0.05
    assert not done.stderr


def test_without_torchrun_it_says_how_to_start_it() -> None:
    done = started(str(EXAMPLES / "ddp_digits.py"))
    assert done.returncode == 2
    assert done.stderr == "start it with: torchrun --nproc-per-node 2 examples/ddp_digits.py\n"


def test_a_model_of_transformers_is_trained_and_handed_back_to_torch() -> None:
    done = started(str(EXAMPLES / "finetune.py"))
    assert done.returncode == 0, done.stderr
    assert "tatamu computes 15 of its layers now" in done.stdout
    ((first, last),) = re.findall(r"first five steps: ([\d.]+), of the last five: ([\d.]+)", done.stdout)
    assert float(last) < float(first) / 2
    (difference,) = re.findall(r"outputs differ by (\S+) of the largest", done.stdout)
    assert float(difference) < 1e-5
    assert not done.stderr
