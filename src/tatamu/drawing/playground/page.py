"""The playground's page as one file: no server, no network, no build tool.

The parts are written by hand beside this module: `page.html`, `page.css` and ES modules, `*.mjs`. Each module
is joined as a function of its own, whose result is what it exports: names in different modules cannot meet.
"""

from __future__ import annotations

import re
from importlib.resources import files

from tatamu.drawing.palette import HUES, THEMES, Paint, paints

_MAIN = "main.mjs"
_IMPORT = re.compile(r'^import (\{[^}]*\}|\* as \w+) from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function (\w+)|const (\w+))", re.MULTILINE)


def page() -> str:
    """The whole page: HTML, to be written to a file and opened in a browser."""
    parts = {"page.css": _text("page.css"), "palette": _palette(), "main.mjs": _script()}
    text = _text("page.html")
    for name, part in parts.items():
        text = text.replace(f"/* {name} */", part)
    return text


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _palette() -> str:
    """The colours of all pictures as CSS variables, each for light and for dark."""
    light, dark = (_colours(paints(theme)) for theme in THEMES)
    return "\n".join(f"--{name}: light-dark({light[name]}, {dark[name]});" for name in light)


def _colours(painted: dict[str, Paint]) -> dict[str, str | None]:
    found = {name: painted[name].fill for name in ("paper", "ink", "muted")}
    found["faint"] = painted["faint"].stroke
    for hue in HUES:
        tint = painted[f"{hue}-tint"]
        found |= {f"{hue}-tint": tint.fill, f"{hue}-line": tint.stroke}
        found |= {f"{hue}-tap": painted[f"{hue}-tap"].fill, f"{hue}-deep": painted[f"{hue}-deep"].fill}
        found[hue] = painted[f"{hue}-edge"].stroke
    return found


def _script() -> str:
    joined: dict[str, str] = {}
    _add(_MAIN, joined)
    return "\n".join(joined.values())


def _add(name: str, joined: dict[str, str]) -> None:
    """Put the module behind those that it imports."""
    if name in joined:
        return
    text = _text(name)
    for imported in _IMPORT.finditer(text):
        _add(imported[2], joined)
    exports = ", ".join(found[1] or found[2] for found in _EXPORT.finditer(text))
    body = _EXPORT.sub("", _IMPORT.sub(_as_constant, text))
    joined[name] = f"const {_variable(name)} = (() => {{\n{body}\nreturn {{ {exports} }};\n}})();\n"


def _as_constant(imported: re.Match[str]) -> str:
    names = imported[1].removeprefix("* as ").replace(" as ", ": ")
    return f"const {names} = {_variable(imported[2])};\n"


def _variable(name: str) -> str:
    return f"module_{name.removesuffix('.mjs')}"
