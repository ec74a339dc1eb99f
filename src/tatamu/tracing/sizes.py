"""Sizes of inputs as they are written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tatamu.errors import InputSizeError

Size = tuple[int, ...]
SizeArgument = str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]]
"""One size, as '3x224x224' or (3, 224, 224), or a sequence of such, one for each input."""


def sizes(given: SizeArgument) -> tuple[Size, ...]:
    """The size of each input. One of three counts is one image, to which a batch of 1 is added.

    Raises:
        InputSizeError: something else was given.
    """
    if isinstance(given, str):
        return (_with_batch(_parsed(given)),)
    try:
        several = list(given)
    except TypeError:
        raise InputSizeError.of(given) from None
    if not several:
        raise InputSizeError.of(given)
    if all(isinstance(it, int) for it in several):
        return (_with_batch(_checked(several)),)
    return tuple(_with_batch(_parsed(it) if isinstance(it, str) else _checked(it)) for it in several)


def _parsed(text: str) -> Size:
    if not re.fullmatch(r"\s*\d+(\s*[x×X]\s*\d+)*\s*", text):
        raise InputSizeError.of(text)
    return tuple(map(int, re.findall(r"\d+", text)))


def _checked(given: object) -> Size:
    if not isinstance(given, Sequence) or not all(type(it) is int and it >= 0 for it in given):
        raise InputSizeError.of(given)
    return tuple(given)


def _with_batch(size: Size) -> Size:
    return (1, *size) if len(size) == 3 else size
