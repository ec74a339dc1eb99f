"""Learn to read handwritten digits in several processes, with a CNN of tatamu layers.

    torchrun --nproc-per-node 2 examples/ddp_digits.py

The network, the digits and the accuracy that is wanted are those of `examples/digits.py`. Each process has
its own part of every batch, and DistributedDataParallel averages the gradients: nothing here is special to
tatamu.
"""

from __future__ import annotations

import gc
import sys
import time

import torch
import torch.distributed as dist
from digits import ACCURACY_WANTED, BATCH, EPOCHS, HELD_OUT, SEED, Digits, digits, network
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from tatamu import Conv2d


def train(data: Digits, progress: Progress) -> DistributedDataParallel:
    """The trained network: each process trains on its part, and all come to the same parameters."""
    torch.manual_seed(SEED)
    model = DistributedDataParallel(network(Conv2d))
    dataset = TensorDataset(data.images, data.labels)
    sampler = DistributedSampler(dataset, seed=SEED)
    loader = DataLoader(dataset, BATCH // dist.get_world_size(), sampler=sampler)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    task = progress.add_task("training", total=EPOCHS)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)  # Another order in each epoch.
        total = torch.zeros(())
        for images, labels in loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(labels)
        schedule.step()
        mean = summed(total).item() / sampler.total_size
        progress.update(task, advance=1, description=f"epoch {epoch + 1}: loss {mean:.4f}")
    return model


def accuracy(model: DistributedDataParallel, data: Digits) -> float:
    """On the held-out digits, of which each process reads its part."""
    part = slice(dist.get_rank(), None, dist.get_world_size())
    model.eval()
    with torch.no_grad():
        # BatchNorm's running statistics are each process's own, and DDP sends the first one's to all.
        right = model(data.held_out_images[part]).argmax(1) == data.held_out_labels[part]
    return summed(right.float().sum()).item() / HELD_OUT


def summed(value: Tensor) -> Tensor:
    """The sum over all processes."""
    dist.all_reduce(value)
    return value


def main() -> int:
    """Returns 1 if the digits were not learnt."""
    if not dist.is_torchelastic_launched():
        print("start it with: torchrun --nproc-per-node 2 examples/ddp_digits.py", file=sys.stderr)
        return 2
    start = time.perf_counter()
    dist.init_process_group("gloo")
    first = dist.get_rank() == 0
    data = digits()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, disable=not first) as progress:
        model = train(data, progress)
    found = accuracy(model, data)
    if first:
        print(
            f"{dist.get_world_size()} processes: {found:.2%} of {HELD_OUT} held-out digits, "
            f"in {time.perf_counter() - start:.1f} s"
        )
    # gloo's threads abort a process that ends while they hold tensors: nothing may hold the group, and nobody
    # may leave while others still send.
    del model
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()
    if found >= ACCURACY_WANTED:
        return 0
    if first:
        print(f"should be at least {ACCURACY_WANTED:.0%}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
