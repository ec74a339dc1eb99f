"""Mistakes in what is to be drawn."""

from __future__ import annotations

from collections.abc import Sequence

from tatamu.errors.base import TatamuError, listed


class PictureTooLargeError(TatamuError, ValueError):
    """More cells, channels or frames than can be made out."""

    @classmethod
    def of_cells(cls, cells: int, most: int, numbers: bool) -> PictureTooLargeError:
        """`cells` lie along the longest side."""
        what = "with its numbers " if numbers else ""
        return cls(
            f"the picture would be {cells} cells long, and {what}at most {most} can be made out; draw a smaller input: "
            f"the arithmetic is the same"
        )

    @classmethod
    def of_channels(cls, channels: int, most: int) -> PictureTooLargeError:
        """`channels` are read for each number."""
        return cls(
            f"each number would be summed over {channels} channels, and at most {most} can be shown; draw fewer "
            f"channels, or without numbers"
        )

    @classmethod
    def of_frames(cls, frames: int, most: int) -> PictureTooLargeError:
        """`frames` are the positions that are written."""
        return cls(
            f"the picture would have {frames} frames, one for each number that is written, and at most {most} are drawn; "
            f"draw a smaller input"
        )


class PictureFormError(TatamuError, ValueError):
    """A file name whose ending is no form of a picture."""

    @classmethod
    def of(cls, path: object, known: Sequence[str]) -> PictureFormError:
        """`known` are the endings that there are."""
        return cls(f"a picture's file name should end in {listed(known)}, but got {str(path)!r}")
