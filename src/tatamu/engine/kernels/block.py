"""Some of a grid's places that are worked on together: pixels, or Winograd's tiles."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels.ir import Int
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.packing import Job


@dataclass(frozen=True)
class Block:
    """A rectangle of each of some images."""

    image0: Int
    images: Int
    row0: Int
    rows: Int
    column0: Int
    columns: Int

    @property
    def places(self) -> Int:
        """Their number."""
        return self.images * self.rows * self.columns

    @staticmethod
    def of(job: Job, image0: Int, number: Int, grid: tuple[Int, Int]) -> Block:
        """The block of a number, of the images from ``image0`` on; ``grid`` has rows and columns."""
        row0 = (number // job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_H]
        column0 = (number % job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_W]
        return Block(
            image0=image0,
            images=(job[Word.IMAGES] - image0).minimum(job[Word.IMAGES_A_TASK]),
            row0=row0,
            rows=(grid[0] - row0).minimum(job[Word.BLOCK_H]),
            column0=column0,
            columns=(grid[1] - column0).minimum(job[Word.BLOCK_W]),
        )
