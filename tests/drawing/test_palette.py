"""Text can be read on what lies under it, and the hues are told apart by everyone."""

from __future__ import annotations

from itertools import combinations

import pytest

from tatamu.drawing.palette import HUES, THEMES, paints

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency",
# 2009, at full strength; on linear RGB.
DEFICIENCIES = {
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
READABLE = 4.5
"""WCAG 2.2, level AA, for text."""
LARGE = 3.0
"""The same for large text and for what is no text."""
APART = 12.0
"""Differences (CIE 1976) from some 2 on are seen at all; this is plain at a glance."""


def linear(colour: str) -> tuple[float, ...]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return tuple(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)


def contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    lights = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05 for r, g, b in (a, b))
    return lights[1] / lights[0]


def mixed(over: str, under: str, opacity: float) -> tuple[float, ...]:
    parts = (
        round(opacity * int(over[at : at + 2], 16) + (1 - opacity) * int(under[at : at + 2], 16))
        for at in (1, 3, 5)
    )
    return linear("#" + "".join(f"{part:02x}" for part in parts))


def lab(rgb: tuple[float, ...]) -> tuple[float, float, float]:
    r, g, b = (min(1.0, max(0.0, part)) for part in rgb)
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    )
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("theme", THEMES)
def test_text_is_readable(theme: str) -> None:
    paint = paints(theme)
    paper = paint["paper"].fill
    assert paper is not None
    for style in ("ink", "strong", "muted", *(f"{hue}-ink" for hue in HUES)):
        assert contrast(linear(paint[style].fill), linear(paper)) >= READABLE, style
    for hue in HUES:
        tint = paint[f"{hue}-tint"].fill
        assert contrast(linear(paint["ink"].fill), linear(tint)) >= READABLE
        for window in HUES:
            glow = paint[f"{window}-tap"]
            for under in (tint, paper):
                lit = mixed(glow.fill, under, glow.opacity)
                assert contrast(linear(paint["ink"].fill), lit) >= READABLE, (hue, window)
                assert contrast(linear(paint[f"{window}-deep"].fill), lit) >= READABLE, (hue, window)
        copied = mixed(paint[f"{hue}-copy"].fill, paper, paint[f"{hue}-copy"].opacity)
        assert contrast(linear(paint["muted"].fill), copied) >= READABLE
        assert contrast(linear(paint[f"{hue}-edge"].stroke), linear(tint)) >= LARGE


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("tone", ["ink", "tint"])
def test_hues_are_told_apart(theme: str, deficiency: str, tone: str) -> None:
    def seen(hue: str) -> tuple[float, float, float]:
        rgb = linear(paints(theme)[f"{hue}-{tone}"].fill)
        matrix = DEFICIENCIES[deficiency]
        return lab(tuple(sum(m * part for m, part in zip(row, rgb, strict=True)) for row in matrix))

    for a, b in combinations(HUES, 2):
        distance = sum((p - q) ** 2 for p, q in zip(seen(a), seen(b), strict=True)) ** 0.5
        assert distance >= (APART if tone == "ink" else APART / 3), (a, b, distance)
