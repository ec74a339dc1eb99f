"""Several processes of one torch.distributed group (gloo, one thread each), for a test to look at."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import children

PROGRAM = "from distributed.ranks import work; work()"


def run(functions: Sequence[str], ranks: int, folder: Path) -> list[dict[str, Any]]:
    """What each function, as 'module:name', returns in each of the processes; `folder` is an empty one."""
    started = [
        children.start(
            PROGRAM,
            RANK=str(rank),
            WORLD_SIZE=str(ranks),
            OMP_NUM_THREADS="1",
            RANKS_FUNCTIONS=" ".join(functions),
            RANKS_FOLDER=str(folder),
        )
        for rank in range(ranks)
    ]
    try:
        for child in started:
            children.finish(child)
    finally:  # Where one has failed, the others wait for it.
        for child in started:
            if child.poll() is None:
                child.kill()
                child.communicate()
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(ranks)]


def work() -> None:
    """What each process does."""
    torch.set_num_threads(1)
    folder, rank = Path(os.environ["RANKS_FOLDER"]), int(os.environ["RANK"])
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=int(os.environ["WORLD_SIZE"]))
    found = {}
    for function in os.environ["RANKS_FUNCTIONS"].split():
        module, _, name = function.partition(":")
        found[function] = getattr(importlib.import_module(module), name)()
    torch.save(found, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
