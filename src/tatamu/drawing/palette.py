"""Colours, light and dark, of everything that is drawn.

Four hues, told apart by people who see few colours (blue, orange, bluish green and reddish purple after Okabe
and Ito, "Color Universal Design", 2008), and each is named in words beside it. A hue has a tint for cells, a
line between them, a strong tone for what is happening, a glow that lies over cells under the kernel, and a
deep tone for small figures on that glow.
"""

from __future__ import annotations

from dataclasses import dataclass

HUES = ("blue", "orange", "green", "purple")

_TONES = {  # tint, line, strong, glow, deep
    "light": {
        "blue": ("#d3e6f8", "#74a9d8", "#0b57a8", "#4a9be6", "#0a3d6b"),
        "orange": ("#fde4c3", "#e3a857", "#b35900", "#f7951b", "#6a3400"),
        "green": ("#c9eee2", "#5cb89d", "#007a5a", "#2fb892", "#004a3b"),
        "purple": ("#f2dcec", "#cb8fbd", "#9a3480", "#d272bb", "#5f1f50"),
    },
    "dark": {
        "blue": ("#1b3d5c", "#4a83b5", "#74b8ff", "#3b85cc", "#d5ebff"),
        "orange": ("#523614", "#b37f3d", "#ffb840", "#b8741f", "#ffe3ba"),
        "green": ("#11473b", "#3d977d", "#5ae0b0", "#279878", "#cafff0"),
        "purple": ("#4a2743", "#a0658f", "#f58fcb", "#a95694", "#ffdcf4"),
    },
}
_PLAIN = {  # paper, ink, muted ink, faint line
    "light": ("#ffffff", "#1b2430", "#586574", "#b4bec8"),
    "dark": ("#12171d", "#e8edf2", "#9eabb8", "#4b5866"),
}
THEMES = ("light", "dark")


@dataclass(frozen=True)
class Paint:
    """How a style is painted; None for what it has not."""

    fill: str | None = None
    stroke: str | None = None
    width: float = 1
    dashed: bool = False
    opacity: float = 1
    """Of the fill."""
    bold: bool = False


def paints(theme: str) -> dict[str, Paint]:
    """Every style's paint in a theme, 'light' or 'dark'."""
    paper, ink, muted, faint = _PLAIN[theme]
    found = {
        "paper": Paint(paper),
        "ink": Paint(ink),
        "strong": Paint(ink, bold=True),
        "muted": Paint(muted),
        "faint": Paint(paper, faint, dashed=True),
        "faintline": Paint(None, faint, dashed=True),
        "rule": Paint(None, muted),
        "hatch": Paint(None, muted),
    }
    for hue, (tint, line, strong, glow, deep) in _TONES[theme].items():
        found |= {
            f"{hue}-tint": Paint(tint, line),
            f"{hue}-copy": Paint(tint, line, dashed=True, opacity=0.45),
            f"{hue}-copyline": Paint(None, line, dashed=True),
            f"{hue}-line": Paint(None, line),
            f"{hue}-edge": Paint(None, strong, 2.5),
            f"{hue}-frame": Paint(None, strong, 1.5, dashed=True),
            f"{hue}-tap": Paint(glow, line, opacity=0.45),
            f"{hue}-link": Paint(None, strong),
            f"{hue}-ink": Paint(strong, bold=True),
            f"{hue}-deep": Paint(deep, bold=True),
        }
    return found
