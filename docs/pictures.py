"""Draws the pictures of the documents: a line of pictures.txt names a file here, and its command."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tatamu.cli.main import main

HERE = Path(__file__).parent
LIST = HERE / "pictures.txt"


def listed() -> dict[str, str]:
    """The command of each picture, by the file's path from here."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    pairs = (line.split(": ", 1) for line in lines if line and not line.startswith("#"))
    return {file: command.strip() for file, command in pairs}


def draw(command: str, path: Path) -> int:
    """Draw what a command draws into a file; returns the command's exit status."""
    program, *arguments = shlex.split(command)
    if program != "tatamu":
        raise ValueError(f"a picture's command should begin with 'tatamu', but it is {command!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return main([*arguments, "-o", str(path)])


if __name__ == "__main__":
    sys.exit(max(draw(command, HERE / file) for file, command in listed().items()))
