"""Mistakes in what is to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tatamu.errors.base import TatamuError, listed


class PictureTooLargeError(TatamuError, ValueError):
    """More cells, channels or frames than can be made out."""

    @classmethod
    def of_cells(cls, cells: int, most: int, numbers: bool) -> PictureTooLargeError:
        """`cells` lie along the longest side."""
        what = "with its numbers " if numbers else ""
        return cls(
            f"the picture would be {cells} cells long, and {what}at most {most} can be made out; draw a "
            "smaller input, whose arithmetic is the same"
        )

    @classmethod
    def of_channels(cls, channels: int, most: int) -> PictureTooLargeError:
        """`channels` are read for each number."""
        return cls(
            f"each number would be summed over {channels} channels, and at most {most} can be shown; draw "
            "fewer channels, or without numbers"
        )

    @classmethod
    def of_frames(cls, frames: int, most: int) -> PictureTooLargeError:
        """`frames` are the positions that are written."""
        return cls(
            f"the picture would have {frames} frames, one for each position that is written, and at most "
            f"{most} are drawn; draw a smaller input"
        )


class PictureFormError(TatamuError, ValueError):
    """A file name whose ending is no form of a picture."""

    @classmethod
    def of(cls, path: object, known: Sequence[str]) -> PictureFormError:
        """`known` are the endings that there are."""
        return cls(f"a picture's file name should end in {listed(known)}, but got {str(path)!r}")

    @classmethod
    def of_still(cls, path: object) -> PictureFormError:
        """A single frame was asked for."""
        return cls(f"{str(path)!r} would show all frames; a single one is written as '.svg' or '.png'")


class PictureFrameError(TatamuError, ValueError):
    """A frame that there is not."""

    @classmethod
    def of(cls, frame: int, frames: int) -> PictureFrameError:
        """`frames` are counted from 0."""
        return cls(f"the picture has {frames} frames, 0 to {frames - 1}, but got frame {frame}")


class PictureNumbersError(TatamuError, ValueError):
    """Numbers that do not fill a kernel."""

    @classmethod
    def of_taps(cls, count: int, weight_size: Sequence[int]) -> PictureNumbersError:
        """`count` were given for a weight of this size."""
        taps, each = prod(weight_size), prod(weight_size[2:])
        all_or_one = f"{taps} taps of the weight {tuple(weight_size)}"
        if taps != each:
            all_or_one += f" or the {each} of one kernel for all channels"
        return cls(f"numbers should be a seed or the {all_or_one}, but got {count} numbers")

    @classmethod
    def of_pooling(cls, layer: str) -> PictureNumbersError:
        """`layer` has no weight."""
        return cls(f"numbers should be a seed for {layer}, which has no weight to give them to")


class PictureSubjectError(TatamuError, TypeError):
    """Something that is no layer that can be drawn."""

    @classmethod
    def of(cls, subject: object) -> PictureSubjectError:
        """`subject` as it was given."""
        return cls(
            f"draw() takes a Conv2d, an AvgPool2d, a MaxPool2d or a Geometry, but got "
            f"{type(subject).__name__}"
        )

    @classmethod
    def of_size(cls, subject: object) -> PictureSubjectError:
        """A size was given beside a geometry."""
        return cls(f"draw() takes no size beside a Geometry, which has one, but got size={subject!r}")

    @classmethod
    def of_pooling(cls, layer: object, reason: str) -> PictureSubjectError:
        """`reason` says what cannot be drawn."""
        return cls(f"draw() has no picture of {layer}: {reason}")

    @classmethod
    def of_numbers(cls, dtype: object) -> PictureSubjectError:
        """`dtype` has no place in a cell."""
        return cls(
            f"draw() shows real numbers, but got an input of {dtype}; draw its real or its imaginary part"
        )


class PoolPaddingError(TatamuError, RuntimeError):
    """Padding so wide that a pooling window could lie in it altogether."""

    @classmethod
    def of(cls, padding: int, kernel: int, dilation: int) -> PoolPaddingError:
        """All of one axis; the phrase is torch's."""
        return cls(
            f"pad should be at most half of effective kernel size, but got pad={padding}, "
            f"kernel_size={kernel} and dilation={dilation}"
        )
