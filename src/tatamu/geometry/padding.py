"""Padding: what a padding argument stands for, and what each padding mode reads there."""

from __future__ import annotations

Padding = tuple[tuple[int, int], tuple[int, int]]
"""((top, bottom), (left, right)), in pixels."""

PaddingArgument = int | str | tuple[int, int] | Padding
"""What a user may pass as `padding`; see `resolve_padding`."""

PADDING_STRINGS = ("valid", "same", "same_upper", "same_lower")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def resolve_padding(
    padding: PaddingArgument,
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    input_hw: tuple[int, int],
) -> Padding:
    """The padding amounts that a padding argument stands for; all pairs are (height, width).

    `padding` is an int for all four sides, (h, w) for both sides of each axis, ((top, bottom), (left,
    right)), or

    - 'valid': none;
    - 'same': dilation·(kernel - 1) in total, the odd one at the bottom or right (torch's rule, for stride 1);
    - 'same_upper', 'same_lower': just enough for an output of ceil(input / stride), the odd one at the end
      ('same' of Keras, TensorFlow and JAX, SAME_UPPER of ONNX) or at the beginning (SAME_LOWER).

    Raises:
        ValueError: another string.
    """
    if isinstance(padding, str):
        rows, columns = (
            _named_padding(padding, kernel_size[i], stride[i], dilation[i], input_hw[i]) for i in (0, 1)
        )
        return rows, columns
    if not isinstance(padding, tuple):
        return (padding, padding), (padding, padding)
    height, width = padding
    return (
        height if isinstance(height, tuple) else (height, height),
        width if isinstance(width, tuple) else (width, width),
    )


def _named_padding(name: str, kernel: int, stride: int, dilation: int, size: int) -> tuple[int, int]:
    span = dilation * (kernel - 1)
    if name == "valid":
        return 0, 0
    if name == "same":
        return span // 2, span - span // 2
    if name in ("same_upper", "same_lower"):
        # (ceil(size / stride) - 1)·stride + span + 1 - size, written so that the size occurs once. Only
        # kernels smaller than the stride compare it; one that spans a single pixel needs no padding.
        total = span - (size - 1) % stride if span > 0 else 0
        if 0 < span < stride - 1:
            total = max(0, total)
        smaller, larger = total // 2, total - total // 2
        return (smaller, larger) if name == "same_upper" else (larger, smaller)
    raise ValueError(
        f"Invalid padding string {name!r}, should be one of {', '.join(map(repr, PADDING_STRINGS))}"
    )


def padded_source(position: int, size: int, padding_mode: str) -> int | None:
    """The pixel that a position of the padded axis reads; None where it reads a zero.

    `position` counts from the first pixel, so it is negative in the padding before it; `size` is the number
    of pixels.
    """
    if 0 <= position < size:
        return position
    if padding_mode == "reflect":
        return -position if position < 0 else 2 * (size - 1) - position
    if padding_mode == "replicate":
        return 0 if position < 0 else size - 1
    if padding_mode == "circular":
        return position + size if position < 0 else position - size
    return None
