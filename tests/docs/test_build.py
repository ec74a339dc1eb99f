"""`make docs` builds without a warning, links in it lead somewhere, and every public name is described."""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from pdoc.doc import Doc, Module

from docs import build

METHODS = (types.FunctionType, classmethod, staticmethod, property, cached_property)
MODULES = build.modules()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    build.build(out)
    return out


def undescribed(module: Module) -> Iterator[str]:
    """What has no docstring: the module, its public names, or the methods and properties of its classes."""
    if not module.docstring:
        yield module.fullname
    for member in module.members.values():
        if member.name.startswith("_"):
            continue
        if not member.docstring and not described_where_defined(member):
            yield member.fullname
        if inspect.isclass(member.obj):
            for name, it in vars(member.obj).items():
                if not name.startswith("_") and isinstance(it, METHODS) and not inspect.getdoc(it):
                    yield f"{member.fullname}.{name}"


def described_where_defined(member: Doc[Any]) -> bool:
    """Whether the part of the package that the name is from describes it: a constant has no docstring."""
    parts = [it for name, it in list(sys.modules.items()) if name.startswith(f"{member.modulename}.")]
    named = [Module(part).members.get(member.name) for part in parts]
    return any(it is not None and it.docstring for it in named)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_described(name: str) -> None:
    assert list(undescribed(Module.from_name(name))) == []


def test_what_is_not_described_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = '"""Described."""'
    lines = (
        described,
        f"class A:\n    {described}\n    @property\n    def b(self): ...",
        "def c(): ...",
        f"def d():\n    {described}",
        f"E = 1\n{described}",
        "F = 1\n_g = 1",
    )
    (tmp_path / "undescribed_names.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = Module.from_name("undescribed_names")
    assert list(undescribed(module)) == [f"undescribed_names.{name}" for name in ("A.b", "c", "F")]


def test_the_reference_has_a_page_for_each_module(site: Path) -> None:
    for name in MODULES:
        html = (site / "api" / f"{name.replace('.', '/')}.html").read_text(encoding="utf-8")
        assert "docs/guide.html" in html
    assert 'id="Conv2d.forward"' in (site / "api" / "tatamu.html").read_text(encoding="utf-8")


def test_every_page_and_every_link_is_there(site: Path) -> None:
    found = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    for page in build.pages():
        assert (site / page.with_suffix(".html")) in found
    dead = [
        (path.relative_to(site), address)
        for path, html in found.items()
        if "api" not in path.parts
        for address in re.findall(r'(?:href|src)="([^"#]+)[^"]*"', html)
        if not address.startswith(("https:", "data:")) and not (path.parent / address).exists()
    ]
    assert dead == []


def test_a_page_keeps_its_language_and_its_code(site: Path) -> None:
    html = (site / "docs" / "guide.ja.html").read_text(encoding="utf-8")
    assert 'lang="ja"' in html
    assert '<h2 id="受容野">受容野</h2>' in html
    assert '<span class="gp">&gt;&gt;&gt; </span>' in html
