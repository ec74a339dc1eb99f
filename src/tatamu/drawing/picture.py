"""A picture: one drawing, in every form."""

from __future__ import annotations

import base64
from html import escape
from os import PathLike
from pathlib import Path

from tatamu.drawing import page, raster, svg
from tatamu.drawing.shapes import Drawing
from tatamu.errors import PictureFormError, PictureFrameError

FORMS = (".svg", ".gif", ".png", ".html")


class Picture:
    """What `tatamu.draw` makes: it shows itself in a notebook, and is saved as SVG, GIF, PNG or HTML."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing

    @property
    def title(self) -> str:
        """What is drawn, in a line."""
        return self._drawing.title

    @property
    def frames(self) -> int:
        """How many frames there are: one for each position that is written."""
        return self._drawing.frames

    @property
    def best_frame(self) -> int:
        """The frame that explains most by itself."""
        return self._drawing.still

    def svg(self, frame: int | None = None) -> str:
        """An SVG document: animated, or one frame, counted from 0.

        Raises:
            PictureFrameError: there is no such frame.
        """
        if frame is None and self.frames > 1:
            return svg.animated(self._drawing)
        return svg.still(self._drawing, self._frame(frame))

    def png(self, frame: int | None = None) -> bytes:
        """A PNG file of one frame, counted from 0; of the one that explains most if none is given.

        Raises:
            PictureFrameError: there is no such frame.
        """
        return raster.png(self._drawing, self._frame(frame))

    def gif(self) -> bytes:
        """An animated GIF file."""
        return raster.gif(self._drawing)

    def html(self) -> str:
        """A page of its own that steps through the frames."""
        return page.page(self._drawing)

    def save(self, path: str | PathLike[str], frame: int | None = None) -> Path:
        """Write the picture; the ending of the name chooses the form: .svg, .gif, .png or .html.

        Args: frame: for .svg and .png, only this frame, counted from 0. SVG and GIF are animated otherwise, a
                PNG shows the frame that explains most, and HTML steps.

        Returns:
            The path that was written.

        Raises:
            PictureFormError: another ending, or one that has no single frame.
            PictureFrameError: there is no such frame.
        """
        target = Path(path)
        ending = target.suffix.lower()
        if ending not in FORMS:
            raise PictureFormError.of(path, FORMS)
        if frame is not None and ending not in (".svg", ".png"):
            raise PictureFormError.of_still(path)
        if ending == ".svg":
            target.write_text(self.svg(frame), encoding="utf-8", newline="\n")
        elif ending == ".html":
            target.write_text(self.html(), encoding="utf-8", newline="\n")
        else:
            target.write_bytes(self.gif() if ending == ".gif" else self.png(frame))
        return target

    def _frame(self, frame: int | None) -> int:
        if frame is None:
            return self._drawing.still
        if not 0 <= frame < self.frames:
            raise PictureFrameError.of(frame, self.frames)
        return frame

    def _repr_html_(self) -> str:
        """The animation as an image: what is in it cannot touch the notebook's own styles."""
        data = base64.b64encode(self.svg().encode()).decode()
        text = escape(f"{self.title}. {self._drawing.description}")
        return f'<img src="data:image/svg+xml;base64,{data}" alt="{text}">'
