"""Write build/docs: every page of the repository as HTML, and the reference from docstrings (`make docs`).

The pages keep their places relative to each other, so that links between them, and pictures, are found. pdoc
makes the reference and lends its layout to the pages.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pdoc
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pdoc.doc import Module
from pdoc.extract import walk_specs
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

import tatamu

ROOT = Path(__file__).resolve().parents[1]
# The public names, and the parts of use by themselves. The function `explain` hides the module of its name.
MODULES = (
    "tatamu",
    "!tatamu.explain",
    "tatamu.adopt",
    "tatamu.solving",
    "tatamu.picture",
    "tatamu.tracing.trace",
    "tatamu.geometry",
    "tatamu.errors",
    "tatamu.reference",
)

NAVIGATION = (
    ("tatamu", "README.html"),
    ("Guide", "docs/guide.html"),
    ("ガイド", "docs/guide.ja.html"),
    ("From Keras", "docs/keras.html"),
    ("Keras から", "docs/keras.ja.html"),
    ("All documents", "docs/README.html"),
)


def modules() -> list[str]:
    """The modules of the reference, with their public names in place.

    pdoc looks for a name in the module itself, where some stand only after someone has asked for them.
    """
    vars(tatamu).update({name: getattr(tatamu, name) for name in tatamu.__all__})
    return list(walk_specs(MODULES))


def pages(root: Path = ROOT) -> list[PurePosixPath]:
    """Every Markdown page for readers, relative to `root`."""
    found = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return sorted(PurePosixPath(path.relative_to(root).as_posix()) for path in found)


def parse(text: str) -> list[Token]:
    """A page's tokens, as GitHub reads Markdown."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it; a heading is there once on its page."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def links(tokens: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    """Every link and picture, and the name of the attribute that holds its address."""
    for token in tokens:
        yield from links(token.children or ())
        if token.type in ("link_open", "image"):
            yield token, "href" if token.type == "link_open" else "src"


def build(out: Path) -> None:
    """Write everything into `out`, which is emptied before.

    Raises:
        Warning: pdoc could not read a module or resolve a name, where the caller turns warnings into errors.
    """
    shutil.rmtree(out, ignore_errors=True)
    pdoc.render.configure(docformat="google", template_directory=ROOT / "docs" / "templates")
    environment = pdoc.render.env
    environment.globals.update(pages=NAVIGATION, modules=modules(), root=_root_of_module)
    pdoc.pdoc(*MODULES, output_directory=out / "api")
    for page in pages():
        _write_page(page, out)
    shutil.copy(out / "README.html", out / "index.html")


def _root_of_module(module: Module) -> str:
    return "../" * (module.modulename.count(".") + 1)


def _write_page(page: PurePosixPath, out: Path) -> None:
    tokens = parse((ROOT / page).read_text(encoding="utf-8"))
    title = ""
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", slug(inline.content))
            title = title or inline.content
    for token, attribute in links(tokens):
        token.attrSet(attribute, _address(str(token.attrs[attribute]), page, out))
    target = out / page.with_suffix(".html")
    target.parent.mkdir(parents=True, exist_ok=True)
    renderer = MarkdownIt("commonmark", {"highlight": _highlighted})
    html = pdoc.render.env.get_template("page.html.jinja2").render(
        title=title,
        language="ja" if page.suffixes == [".ja", ".md"] else "en",
        html=renderer.renderer.render(tokens, renderer.options, {}),
        root="../" * (len(page.parts) - 1),
    )
    target.write_text(html, encoding="utf-8")


def _address(address: str, page: PurePosixPath, out: Path) -> str:
    """Where a link leads in what is written; a file that it names, such as a picture, is copied there."""
    path, mark, anchor = address.partition("#")
    if not path or "://" in path:
        return address
    if path.endswith(".md"):
        return f"{path.removesuffix('.md')}.html{mark}{anchor}"
    source = ROOT / page.parent / path
    target = out / page.parent / path
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return address


def _highlighted(code: str, language: str, _attributes: str) -> str:
    if language not in ("pycon", "python", "console"):
        return ""  # As it stands.
    html = highlight(code.strip(), get_lexer_by_name(language), HtmlFormatter(nowrap=True))
    return f'<pre class="pdoc-code codehilite"><code>{html}</code></pre>'


if __name__ == "__main__":
    build(ROOT / "build" / "docs")
