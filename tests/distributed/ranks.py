"""Several processes of one torch.distributed group (gloo, one thread each), for a test to look at."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import children

PROGRAM = "from distributed.ranks import work; work()"


def run(function: str, ranks: int, folder: Path) -> list[Any]:
    """What `function`, as 'module:name', returns in each of the processes; `folder` is an empty one."""
    started = [
        children.start(
            PROGRAM,
            RANK=str(rank),
            WORLD_SIZE=str(ranks),
            OMP_NUM_THREADS="1",
            RANKS_FUNCTION=function,
            RANKS_FOLDER=str(folder),
        )
        for rank in range(ranks)
    ]
    for child in started:
        children.finish(child)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(ranks)]


def work() -> None:
    """What each process does."""
    torch.set_num_threads(1)
    folder, rank = Path(os.environ["RANKS_FOLDER"]), int(os.environ["RANK"])
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=int(os.environ["WORLD_SIZE"]))
    module, _, name = os.environ["RANKS_FUNCTION"].partition(":")
    torch.save(getattr(importlib.import_module(module), name)(), folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
