"""The pages for readers: two languages say the same, links lead somewhere, every block of code is run."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path, PurePosixPath
from pkgutil import resolve_name
from urllib.parse import unquote

import pytest
from markdown_it.token import Token

from cli.commands import run
from docs.build import ROOT, links, pages, parse, slug
from tatamu.cli.main import commands as cli

PAGES = pages()
JAPANESE = [page for page in PAGES if page.name.endswith(".ja.md")]
TRAIN = """
import torch
from torch.nn import Conv2d, ReLU, Sequential

model = Sequential(Conv2d(3, 8, 3), ReLU(), Conv2d(8, 8, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    model(torch.randn(2, 3, 8, 8)).square().mean().backward()
    optimizer.step()
"""
"""A program that has never heard of tatamu."""
FIGURE = re.compile(r"\d[\d.,]*\d")
"""A number of more than one digit; others may be words in the other language."""
PLAN = re.compile(r"\b(direct|planar|winograd)$", re.MULTILINE)
"""How a layer would be computed, which depends on the machine."""
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def english(page: PurePosixPath) -> PurePosixPath:
    return page.with_name(page.name.replace(".ja.md", ".md"))


def text(page: PurePosixPath) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def skeleton(tokens: Sequence[Token]) -> Iterator[tuple[str, ...]]:
    """What two languages have in common: headings, code, pictures, lists, and tables with their figures."""
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            yield "heading", token.tag
        elif token.type in ("fence", "code_block"):
            yield "code", token.info, token.content
        elif token.type in ("tr_open", "list_item_open"):
            yield (token.type,)
        elif token.type in ("th_open", "td_open"):
            yield "cell", *FIGURE.findall(tokens[place + 1].content)
        for child in token.children or ():
            if child.type == "image":
                yield "picture", str(child.attrs["src"])


def anchors(page: PurePosixPath) -> set[str]:
    tokens = parse(text(page))
    return {slug(after.content) for token, after in pairwise(tokens) if token.type == "heading_open"}


def dead_links(page: PurePosixPath, written: str, root: Path = ROOT) -> list[str]:
    """Links of a page whose file or heading is not there."""
    dead = []
    for token, attribute in links(parse(written)):
        address = unquote(str(token.attrs[attribute]))
        if "://" in address:
            continue
        path, _, anchor = address.partition("#")
        target = (root / page.parent / path).resolve() if path else root / page
        there = target.exists()
        if there and anchor:
            there = anchor in anchors(PurePosixPath(target.relative_to(root).as_posix()))
        if not there:
            dead.append(address)
    return dead


def blocks(kind: str) -> list[tuple[str, int, str]]:
    """Every fenced block of a kind: its page, its line, and what is in it. Those in Japanese are the same."""
    return [
        (str(page), (token.map or [0])[0] + 1, token.content)
        for page in PAGES
        if page not in JAPANESE
        for token in parse(text(page))
        if token.type == "fence" and token.info == kind
    ]


def test_the_pages_have_been_found() -> None:
    assert {"README.md", "README.ja.md", "docs/guide.ja.md", "docs/keras.md"} <= set(map(str, PAGES))


@pytest.mark.parametrize("page", JAPANESE, ids=str)
def test_two_languages_say_the_same(page: PurePosixPath) -> None:
    assert list(skeleton(parse(text(page)))) == list(skeleton(parse(text(english(page)))))


@pytest.mark.parametrize(
    "other",
    [
        "# A\n\n## B\n\n```pycon\n>>> 1\n```\n\n![q](p.svg)\n",
        "# A\n\n```pycon\n>>> 2\n```\n\n![q](p.svg)\n",
        "# A\n\n```pycon\n>>> 1\n```\n\n![q](other.svg)\n",
        "# A\n\n![q](p.svg)\n\n```pycon\n>>> 1\n```\n",
        "# A\n\n```pycon\n>>> 1\n```\n\n![q](p.svg)\n\n| a |\n| --- |\n| 1.5 |\n",
    ],
)
def test_what_one_language_lacks_is_found(other: str) -> None:
    page = parse("# A\n\n```pycon\n>>> 1\n```\n\n![q](p.svg)\n")
    assert list(skeleton(page)) != list(skeleton(parse(other)))


@pytest.mark.parametrize("page", JAPANESE, ids=str)
def test_two_languages_link_to_each_other_at_the_top(page: PurePosixPath) -> None:
    for here, there in ((page, english(page)), (english(page), page)):
        assert f"]({there.name})" in text(here).split("\n")[2]


@pytest.mark.parametrize("page", JAPANESE, ids=str)
def test_no_line_breaks_between_japanese_characters(page: PurePosixPath) -> None:
    """A browser shows a line break as a space, which Japanese does not put between words."""
    for token in parse(text(page)):
        children = token.children or []
        for before, between, after in zip(children, children[1:], children[2:], strict=False):
            if between.type == "softbreak":
                assert before.type == after.type == "image", before.content


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: PurePosixPath) -> None:
    assert dead_links(page, text(page)) == []


def test_a_dead_link_is_found() -> None:
    written = "[a](guide.md) [b](none.md) [c](#here) [d](guide.md#stride) [e](guide.md#none) ![f](none.svg)"
    page = PurePosixPath("docs/keras.md")
    assert dead_links(page, written) == ["none.md", "#here", "guide.md#none", "none.svg"]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_picture_is_described(page: PurePosixPath) -> None:
    for token, attribute in links(parse(text(page))):
        assert attribute == "href" or token.content, token.attrs


def test_every_document_is_in_the_index() -> None:
    index = set(re.findall(r"\]\(([^)]+)\)", (ROOT / "docs" / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= index


def test_every_block_is_of_a_kind_that_is_run() -> None:
    kinds = {
        (str(page), token.info)
        for page in PAGES
        for token in parse(text(page))
        if token.type == "fence" and token.info not in ("pycon", "console")
    }
    assert kinds == set()


@pytest.mark.parametrize(("page", "line", "block"), blocks("pycon"))
def test_a_block_of_python_is_seen_by_doctest(page: str, line: int, block: str) -> None:
    """pytest runs the examples of each page; a block without a prompt would not be one."""
    assert block.startswith(">>> "), (page, line)
    assert block.endswith("\n\n"), "doctest takes the fence for output unless a blank line ends it"


@pytest.mark.parametrize(("page", "line", "block"), blocks("console"))
def test_a_console_block_does_what_it_says(
    page: str, line: int, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With prompts it is run, and prints what stands there; without, what it names exists."""
    monkeypatch.chdir(tmp_path)
    if not block.startswith("$ "):
        assert [command for command in commands(block) if not exists(command)] == [], (page, line)
        return
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    for session in block.removeprefix("$ ").split("\n$ "):
        command, _, expected = session.partition("\n")
        printed = output(shlex.split(command), tmp_path)
        expected = re.sub(PLAN, "...", expected)
        assert doctest.OutputChecker().check_output(expected, printed, OPTIONS), printed


def output(command: list[str], folder: Path) -> str:
    """What a command prints, in the folder that it is run in."""
    if command[0] == "tatamu":
        result = run(*command[1:])
        return result.stdout + result.stderr
    assert command[:3] == ["python", "-m", "tatamu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    program = subprocess.run(
        [sys.executable, *command[1:]],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return program.stdout


def commands(block: str) -> list[list[str]]:
    """The words of each command, without variables that are set for it."""
    lines = block.replace("\\\n", " ").splitlines()
    words = (shlex.split(line, comments=True) for line in lines)
    return [[word for word in command if not re.match("[A-Z]+=", word)] for command in words]


def exists(command: list[str]) -> bool:
    """Whether a command's target of make, or its module and the tests it names, is there."""
    if command[0] == "make" and len(command) > 1:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        return re.search(rf"^{command[1]}:", makefile, flags=re.MULTILINE) is not None
    paths = [word for word in command if word.startswith("tests/")]
    return (
        command[:2] in ([".venv/bin/python", "-m"], ["python", "-m"])
        and find_spec(command[2]) is not None
        and all((ROOT / path).exists() for path in paths)
    )


@pytest.mark.parametrize(
    "command", ["make nothing", "make", "python -m nothing", "python -m pytest tests/none.py"]
)
def test_a_command_that_is_not_there_is_found(command: str) -> None:
    assert not exists(command.split())


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_name_in_a_sentence_is_there(page: PurePosixPath) -> None:
    inline = [
        child.content
        for token in parse(text(page))
        for child in token.children or ()
        if child.type == "code_inline"
    ]
    assert [code for code in inline if not known(code)] == []


def known(code: str) -> bool:
    """Whether what a sentence names of tatamu exists: `tatamu shape …`, `tatamu.draw(…)`, `make docs`."""
    if found := re.match(r"tatamu ([a-z]+)\b", code):
        return found[1] in cli.commands
    if found := re.match(r"tatamu((?:\.[A-Za-z_]\w*)+)", code):
        try:
            resolve_name(f"tatamu{found[1]}")
        except (ImportError, AttributeError):
            return False
    if found := re.fullmatch(r"make ([\w-]+)", code):
        return exists(["make", found[1]])
    return True


@pytest.mark.parametrize("code", ["tatamu sing", "tatamu.sing(model)", "tatamu.Conv2d.sing", "make nothing"])
def test_a_name_that_is_not_there_is_found(code: str) -> None:
    assert not known(code)
