"""Every picture that the documents show is what its command draws."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import pictures

MOST_BYTES = 60_000
LISTED = pictures.listed()
SHOWN = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"")


@pytest.mark.parametrize("file", LISTED)
def test_a_picture_is_what_its_command_draws(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / Path(file).name
    assert pictures.draw(LISTED[file], path) == 0, capsys.readouterr().err
    kept = (pictures.HERE / file).read_bytes()
    assert path.read_bytes() == kept, f"docs/{file} is not what {LISTED[file]!r} draws; run 'make pictures'"
    assert len(kept) < MOST_BYTES


def test_every_picture_of_the_gallery_is_listed_and_shown() -> None:
    folder = pictures.HERE / "gallery"
    kept = {f"gallery/{path.name}" for path in folder.glob("*.svg")}
    shown = {
        f"gallery/{a or b}" for a, b in SHOWN.findall((folder / "README.md").read_text(encoding="utf-8"))
    }
    assert kept == shown == {file for file in LISTED if file.startswith("gallery/")}


def test_the_gallery_says_the_command_of_each() -> None:
    text = (pictures.HERE / "gallery" / "README.md").read_text(encoding="utf-8")
    for file, command in LISTED.items():
        if file.startswith("gallery/"):
            assert f"`{command}`" in text, file
