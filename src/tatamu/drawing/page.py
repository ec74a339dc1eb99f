"""A drawing as an HTML page of its own that steps through the frames: buttons, a slider, arrow keys."""

from __future__ import annotations

import json
from html import escape
from importlib import resources

from tatamu.drawing import svg
from tatamu.drawing.shapes import Drawing


def page(drawing: Drawing) -> str:
    """The page; it loads nothing."""
    text = resources.files("tatamu.drawing").joinpath("page.html").read_text(encoding="utf-8")
    for name, value in (
        ("title", escape(drawing.title)),
        ("last", str(drawing.frames - 1)),
        ("milliseconds", str(round(1000 * drawing.seconds))),
        # A closing tag in a string would end the script.
        ("captions", json.dumps(drawing.captions, ensure_ascii=False).replace("</", "<\\/")),
        ("picture", svg.stepped(drawing)),
    ):
        text = text.replace(f"{{{{{name}}}}}", value)
    return text
