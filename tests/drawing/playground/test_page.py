"""The page as one file, and the files it is joined from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tatamu.drawing import playground
from tatamu.drawing.playground.page import page

FILES = sorted(
    path for path in Path(playground.__file__).parent.iterdir() if path.suffix in {".mjs", ".css", ".html"}
)


def test_it_is_one_file_without_anything_from_elsewhere() -> None:
    text = page()
    assert not re.search(r"https?://|//cdn|@import|^import |^export ", text, re.MULTILINE)
    assert "default-src 'none'" in text
    assert text.count("<script") == text.count("<style") == 1


def test_every_colour_that_is_used_is_there() -> None:
    text = page()
    assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= set(re.findall(r"--([\w-]+): light-dark\(#", text))


def test_every_module_is_in_it_once() -> None:
    modules = [path.stem for path in FILES if path.suffix == ".mjs"]
    assert len(modules) > 10
    for name in modules:
        assert page().count(f"const module_{name} = ") == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_are_small_and_lines_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    assert len(lines) < 400
    assert [line for line in lines if len(line) > 120] == []


def test_both_languages_have_the_same_words() -> None:
    keys = {}
    for name in ("english", "japanese"):
        text = (FILES[0].parent / f"{name}.mjs").read_text(encoding="utf-8")
        # Only Japanese explains the layer's sentences, which are English.
        shared = re.sub(r"  glossary: \{.*?\},\n", "", text, flags=re.DOTALL)
        keys[name] = re.findall(r"^( +)(\w+):", shared, re.MULTILINE)
    assert len(keys["english"]) > 100
    assert keys["japanese"] == keys["english"]


def test_japanese_explains_every_sentence() -> None:
    folder = FILES[0].parent
    japanese = (folder / "japanese.mjs").read_text(encoding="utf-8")
    messages = (folder / "messages.mjs").read_text(encoding="utf-8")
    (glossary,) = re.findall(r"  glossary: \{(.*?)\},\n", japanese, re.DOTALL)
    explained = set(re.findall(r"^    (\w+):", glossary, re.MULTILINE))
    assert explained == set(re.findall(r"^export function (\w+)", messages, re.MULTILINE))
