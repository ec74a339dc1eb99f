"""Which rows of an image each process has, computes and reads, when it is split by height. Plain integers."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.geometry import Axis, padded_source


def owned(size: int, parts: int) -> list[range]:
    """The rows that each part holds, as torch.chunk and DTensor divide them: the last ones may have fewer."""
    each = -(-size // parts)
    return [range(min(part * each, size), min((part + 1) * each, size)) for part in range(parts)]


@dataclass(frozen=True)
class Window:
    """What a part's rows of the output are computed from.

    `reads` are rows of the image, as they come one below the other, with those of the padding; None is a row
    of zeros. `before` and `after` are rows of zeros above and below them that need no memory. A convolution
    of these rows with that padding has exactly the part's rows of the output.
    """

    reads: tuple[int | None, ...]
    before: int
    after: int


def windows(axis: Axis, padding_mode: str, parts: int) -> list[Window]:
    """Each part's window; without rows where the part has none of the output."""
    return [_window(axis, padding_mode, outputs) for outputs in owned(axis.output, parts)]


def _window(axis: Axis, padding_mode: str, outputs: range) -> Window:
    if not outputs:
        return Window((), 0, 0)
    first = outputs[0] * axis.stride - axis.before
    end = outputs[-1] * axis.stride - axis.before + axis.effective_kernel
    reads = tuple(padded_source(position, axis.size, padding_mode) for position in range(first, end))
    inside = [index for index, row in enumerate(reads) if row is not None]
    if not inside:  # Kernels want at least one row.
        return Window(reads, 0, 0)
    before, after = inside[0], len(reads) - 1 - inside[-1]
    return Window(reads[before : len(reads) - after], before, after)
