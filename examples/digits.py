"""Learn to read handwritten digits with a CNN of tatamu layers, and with the same CNN of torch's.

Both start from the same seed and see the same batches, so the two must learn alike. Then a dozen well-known
layers are timed against torch's (`benchmarks/`). `make demo` runs it, or, with tatamu and its extra `demo`
installed from the checkout, `python examples/digits.py`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # It ships no type information.
from torch import Tensor, nn

from tatamu import Conv2d

SEED = 0
THREADS = 2
ROOT = Path(__file__).resolve().parents[1]
# In a process of its own, where nothing else has been running that could disturb the measuring.
TABLE = (
    *(sys.executable, "-m", "benchmarks"),
    *("--networks", "known", "--batch", "1", "--passes", "forward", "--threads", str(THREADS)),
)
EPOCHS = 12
BATCH = 32
HELD_OUT = 360  # of 1,797 images.
ACCURACY_WANTED = 0.97
# How much the losses of an epoch may differ. With float32's rounding it is about 1e-8 (a smooth activation
# does not amplify that as ReLU's kink would); with one layer's gradient off by 1% it is over 1e-5.
LARGEST_DIFFERENCE = 1e-6


@dataclass(frozen=True)
class Digits:
    """Images (N, 1, 8, 8) with values from 0 to 1 and their labels (N,), to train on and held out."""

    images: Tensor
    labels: Tensor
    held_out_images: Tensor
    held_out_labels: Tensor


@dataclass(frozen=True)
class Training:
    """How a training went: the mean loss of each epoch, the accuracy on held-out digits, and the seconds."""

    losses: list[float]
    accuracy: float
    seconds: float


def digits() -> Digits:
    """The digits that scikit-learn ships: 1,797 scans of 8×8 pixels in 17 greys, split by the seed."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(SEED))
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1)[order] / 16
    labels = torch.tensor(data.target, dtype=torch.int64)[order]
    return Digits(images[HELD_OUT:], labels[HELD_OUT:], images[:HELD_OUT], labels[:HELD_OUT])


def network(layer: type[nn.Conv2d]) -> nn.Sequential:
    """A small CNN of dense, depthwise, pointwise and strided convolutions; the last one reads the digit."""
    return nn.Sequential(
        layer(1, 32, kernel_size=3, padding="same"),
        nn.BatchNorm2d(32),
        nn.SiLU(),
        layer(32, 32, kernel_size=3, padding=1, padding_mode="replicate", groups=32),
        layer(32, 64, kernel_size=1),
        nn.BatchNorm2d(64),
        nn.SiLU(),
        layer(64, 64, kernel_size=3, stride=2, padding=1),
        nn.BatchNorm2d(64),
        nn.SiLU(),
        layer(64, 10, kernel_size=4),
        nn.Flatten(),
    )


def train(layer: type[nn.Conv2d], data: Digits, epochs: int, progress: Progress, name: str) -> Training:
    """Train a network of such layers, from the seed, and read the held-out digits with it."""
    start = time.perf_counter()
    torch.manual_seed(SEED)
    model = network(layer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    losses = []
    task = progress.add_task(name, total=epochs)
    for _ in range(epochs):
        total = 0.0
        for batch in torch.split(torch.randperm(len(data.labels)), BATCH):  # type: ignore[no-untyped-call]  # torch's.
            loss = nn.functional.cross_entropy(model(data.images[batch]), data.labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's.
            optimizer.step()
            total += loss.item() * len(batch)
        schedule.step()
        losses.append(total / len(data.labels))
        progress.update(task, advance=1, description=f"{name}: loss {losses[-1]:.4f}")
    model.eval()
    with torch.no_grad():
        right = model(data.held_out_images).argmax(1) == data.held_out_labels
    return Training(losses, right.float().mean().item(), time.perf_counter() - start)


def largest_difference(ours: Training, theirs: Training) -> float:
    """Between the two losses of an epoch."""
    differences = torch.tensor(ours.losses, dtype=torch.float64) - torch.tensor(
        theirs.losses, dtype=torch.float64
    )
    return differences.abs().max().item()  # NaN if one of them is.


def complaints(ours: Training, theirs: Training) -> list[str]:
    """What went wrong, a sentence each."""
    found = [
        f"{name} reads {it.accuracy:.2%} of the held-out digits, should be at least {ACCURACY_WANTED:.0%}"
        for name, it in (("tatamu", ours), ("torch", theirs))
        if it.accuracy < ACCURACY_WANTED
    ]
    difference = largest_difference(ours, theirs)
    if not difference <= LARGEST_DIFFERENCE:  # NaN is not.
        found.append(
            f"the loss curves differ by {difference:.1e}, should be at most {LARGEST_DIFFERENCE:.0e}"
        )
    return found


def show(console: Console, ours: Training, theirs: Training) -> None:
    """Both loss curves side by side, and what came of them."""
    table = Table("epoch", "tatamu", "torch", "difference", title="loss", box=None, padding=(0, 2))
    for column in table.columns:
        column.justify = "right"
    for epoch, (a, b) in enumerate(zip(ours.losses, theirs.losses, strict=True), 1):
        table.add_row(str(epoch), f"{a:.6f}", f"{b:.6f}", f"{a - b:+.1e}")
    console.print(table)
    console.print(f"largest difference: {largest_difference(ours, theirs):.1e}")
    for name, it in (("tatamu", ours), ("torch", theirs)):
        console.print(f"{name}: {it.accuracy:.2%} of {HELD_OUT} held-out digits, in {it.seconds:.1f} s")


def main() -> int:
    """Returns 1 if the digits were not learnt, the two libraries differ, or a timed result is wrong."""
    torch.set_num_threads(THREADS)
    console = Console()
    data = digits()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        ours = train(Conv2d, data, EPOCHS, progress, "tatamu")
        theirs = train(nn.Conv2d, data, EPOCHS, progress, "torch")
    show(console, ours, theirs)
    found = complaints(ours, theirs)
    for sentence in found:
        print(sentence, file=sys.stderr)
    table = subprocess.run(TABLE, cwd=ROOT, check=False)
    return 1 if found or table.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
