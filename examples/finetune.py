"""Train an image model of `transformers` with tatamu underneath, and hand it back to stock torch.

The model learns which photograph a crop was cut from: six photographs that scikit-image and scikit-learn
ship, nothing is downloaded. It starts from random weights, so what it prints is no claim about the model.
`python examples/finetune.py`, with tatamu's extra `demo` installed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from skimage import data
from sklearn.datasets import load_sample_images  # type: ignore[import-untyped]  # It ships no type information.
from torch import Tensor, nn
from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetForImageClassification
from transformers.utils import logging

import tatamu

SEED = 0
STEPS = 120
BATCH = 24
SIZE = 64  # Pixels, of what the model sees.
CROP = 160  # Pixels, of what is cut from a photograph.
LARGEST_DIFFERENCE = 1e-4  # Between the two libraries' outputs in float32, as a part of the largest output.


def photographs() -> dict[str, Image.Image]:
    """The six, by name."""
    china, flower = load_sample_images().images
    arrays = {
        "temple": china,
        "flower": flower,
        "astronaut": data.astronaut(),
        "cat": data.chelsea(),
        "coffee": data.coffee(),
        "rocket": data.rocket(),
    }
    return {name: Image.fromarray(array) for name, array in arrays.items()}


def crops(images: list[Image.Image], count: int, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """So many random crops, (count, 3, SIZE, SIZE), and the number of the photograph of each, (count,)."""
    processor = ConvNextImageProcessorPil(size={"shortest_edge": SIZE}, crop_pct=1.0)
    labels = draw.integers(len(images), size=count)
    cut = []
    for label in labels:
        image = images[label]
        left = int(draw.integers(image.width - CROP + 1))
        top = int(draw.integers(image.height - CROP + 1))
        cut.append(image.crop((left, top, left + CROP, top + CROP)))
    return processor(cut, return_tensors="pt")["pixel_values"], torch.from_numpy(labels)


def network(names: list[str]) -> ResNetForImageClassification:
    """A small ResNet, its weights drawn from the seed."""
    torch.manual_seed(SEED)
    config = ResNetConfig(
        embedding_size=32,
        hidden_sizes=[32, 64, 128],
        depths=[2, 2, 2],
        layer_type="basic",
        id2label=dict(enumerate(names)),
    )
    return ResNetForImageClassification(config)


def train(model: nn.Module, images: list[Image.Image], progress: Progress) -> list[float]:
    """The loss of each step."""
    draw = np.random.default_rng(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses: list[float] = []
    task = progress.add_task("training", total=STEPS)
    for _ in range(STEPS):
        pixels, labels = crops(images, BATCH, draw)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(pixel_values=pixels, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        progress.update(task, advance=1, description=f"step {len(losses)}: loss {losses[-1]:.3f}")
    return losses


def outputs(model: Any, pixels: Tensor) -> Tensor:
    """The logits, in float32."""
    model.eval()
    with torch.no_grad():
        logits: Tensor = model(pixel_values=pixels).logits
    return logits


def main() -> int:
    """Returns 1 if the loss does not go down, or stock torch makes something else of the trained model."""
    start = time.perf_counter()
    logging.disable_progress_bar()  # Of writing and reading one file.
    named = photographs()
    images = list(named.values())
    model = network(list(named))
    found = tatamu.convert(model)
    parameters = sum(it.numel() for it in model.parameters())
    print(f"A ResNet of {parameters:,} parameters: tatamu computes {len(found.changed)} of its layers now.")
    for path, reason in found.left.items():
        print(f"{path}: left, {reason}")
    print(f"{STEPS} steps in bfloat16, of {BATCH} crops each: {', '.join(named)}")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        losses = train(model, images, progress)
    first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    print(f"loss of the first five steps: {first:.3f}, of the last five: {last:.3f}")

    pixels, labels = crops(images, 120, np.random.default_rng(SEED + 1))
    ours = outputs(model, pixels)
    right = (ours.argmax(1) == labels).float().mean().item()
    print(f"tells {right:.0%} of {len(labels)} new crops (guessing: {1 / len(images):.0%})")

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        stock = ResNetForImageClassification.from_pretrained(folder)
    assert not any(isinstance(layer, tatamu.Conv2d) for layer in stock.modules())
    difference = ((outputs(stock, pixels) - ours).abs().max() / ours.abs().max()).item()
    print(f"saved, and loaded into stock torch: outputs differ by {difference:.1e} of the largest")
    print(f"in {time.perf_counter() - start:.0f} s")

    complaints = []
    if not last < first / 2:
        complaints.append(f"the loss went from {first:.3f} to {last:.3f}, should be half at most")
    if not difference <= LARGEST_DIFFERENCE:  # NaN is not.
        complaints.append(f"the outputs differ by {difference:.1e}, should be at most {LARGEST_DIFFERENCE}")
    for sentence in complaints:
        print(sentence, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
