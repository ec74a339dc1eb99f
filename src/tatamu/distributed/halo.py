"""Processes that hold an image by rows give one another the rows that their windows read.

The rows next to one's own are known as a halo. Here a window may read any rows, from any process: strides,
rows that do not divide evenly and kernels larger than a part are no special cases. Each process sends a row
to another one at most once, and all of them in one collective call.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

# Those that torch.compile can trace.
from torch.distributed._functional_collectives import all_to_all_single, wait_tensor

from tatamu.distributed.rows import Window, owned


class Halo:
    """Of images (N, C, H, W) of a group of processes, each of which holds some of the rows.

    Args:
        height: H, of all rows together.
        windows: what each process reads.
        rank: which of the processes this one is.
    """

    def __init__(self, height: int, windows: Sequence[Window], rank: int) -> None:
        self.rank = rank
        mine = owned(height, len(windows))
        self.owned = mine[self.rank]
        reads = [[row for row in window.reads if row is not None] for window in windows]
        wanted = [sorted(set(rows)) for rows in reads]
        self.sent = [[row - self.owned.start for row in rows if row in self.owned] for rows in wanted]
        """Which of this process's rows each one reads, counted from the first of them."""
        self.received = [[row for row in wanted[self.rank] if row in part] for part in mine]
        """Which rows of each process this one reads."""
        place = {row: index for index, row in enumerate(wanted[self.rank])}
        self.places = [place[row] for row in reads[self.rank]]
        """Where, among the different rows that this process reads, is the one it reads first, second, …"""
        self.as_they_are = self.places == list(range(len(place)))
        self.zeros = len(windows[self.rank].reads) - len(self.places)
        """A window lies in the image (what padding there is has been taken off) or holds zeros alone."""
        self.needed = any(row not in mine[rank] for rank, rows in enumerate(wanted) for row in rows)
        """Whether any process reads rows that it does not hold."""

    def gather(self, images: Tensor, group: ProcessGroup) -> Tensor:
        """The rows that this process reads, (N, C, its reads, W), of images of which it holds its rows."""
        pieces = [_rows(images, rows) for rows in self.sent]
        found = torch.cat(self._exchange(pieces, self.received, group), 2)  # The one copy of the part.
        if self.zeros:
            return images.new_zeros(_with_rows(images, self.zeros))
        return found if self.as_they_are else found.index_select(2, _index(self.places, images))

    def scatter(self, grads: Tensor, group: ProcessGroup) -> Tensor:
        """The transpose of `gather`: gradients of the rows read, summed into those of the rows held."""
        counts = [len(rows) for rows in self.received]
        if self.zeros or not self.as_they_are:
            places = [] if self.zeros else self.places
            total = grads.new_zeros(_with_rows(grads, sum(counts)))
            grads = total.index_add_(2, _index(places, grads), grads.narrow(2, 0, len(places)))
        pieces = list(torch.split(grads, counts, 2))
        total = grads.new_zeros(_with_rows(grads, len(self.owned)))
        for rows, piece in zip(self.sent, self._exchange(pieces, self.sent, group), strict=True):
            total.index_add_(2, _index(rows, grads), piece)
        return total

    def _exchange(
        self, pieces: list[Tensor], rows: Sequence[Sequence[int]], group: ProcessGroup
    ) -> list[Tensor]:
        """What each process has for this one, so many rows, for what this one has for each of them."""
        own = pieces[self.rank]
        n, c, _, w = own.shape
        others = [0 if rank == self.rank else len(it) for rank, it in enumerate(rows)]
        received = own.new_empty(0)
        if self.needed:
            pieces = [it.narrow(2, 0, 0) if rank == self.rank else it for rank, it in enumerate(pieces)]
            size = own.element_size()
            exchanged = all_to_all_single(  # Of bytes: not every backend knows every dtype.
                torch.cat([it.reshape(-1) for it in pieces]).view(torch.uint8),
                [count * n * c * w * size for count in others],
                [it.numel() * size for it in pieces],
                group,
            )
            received = wait_tensor(exchanged).view(own.dtype)  # type: ignore[no-untyped-call]  # torch's.
        parts = torch.split(received, [count * n * c * w for count in others])
        found = [part.view(n, c, count, w) for part, count in zip(parts, others, strict=True)]
        found[self.rank] = own
        return found


def _with_rows(images: Tensor, rows: int) -> tuple[int, int, int, int]:
    n, c, _, w = images.shape
    return n, c, rows, w


def _rows(images: Tensor, rows: Sequence[int]) -> Tensor:
    """Some rows of images; no copy where they are adjacent."""
    if not rows or rows[-1] - rows[0] == len(rows) - 1:
        return images.narrow(2, rows[0] if rows else 0, len(rows))
    return images.index_select(2, _index(rows, images))


def _index(rows: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(rows, dtype=torch.int64, device=like.device)
