"""The same few steps of training: in one process by torch alone, and in several by DDP or FSDP2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

import tatamu

STEPS = 3
BATCH = 8
CASES = {
    "DDP, float64": ("ddp", torch.float64),
    "DDP, float32": ("ddp", torch.float32),
    "DDP, bfloat16": ("ddp", torch.bfloat16),
    "DDP, converted": ("ddp converted", torch.float64),
    "FSDP2, float64": ("fsdp", torch.float64),
    "FSDP2, float32": ("fsdp", torch.float32),
    "FSDP2, converted": ("fsdp converted", torch.float64),
    "FSDP2, computes in bfloat16": ("fsdp mixed", torch.bfloat16),
}

Steps = list[dict[str, Tensor]]


def network(layer: type[nn.Conv2d]) -> nn.Sequential:
    """Dense, depthwise, strided, pointwise and grouped layers; 9 channels do not divide by 2 or 4 ranks."""
    torch.manual_seed(0)
    return nn.Sequential(
        layer(3, 9, 3, padding=1),
        nn.SiLU(),
        layer(9, 9, 3, padding=1, groups=9, padding_mode="circular", bias=False),
        layer(9, 16, 1),
        nn.GroupNorm(4, 16),
        nn.SiLU(),
        layer(16, 8, 3, stride=2, padding="valid", dilation=2, groups=2),
        nn.Flatten(),
        nn.Linear(8 * 3 * 3, 5),
    )


def batches(dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Images and labels of each step, for all processes together."""
    draw = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(BATCH, 3, 10, 10, generator=draw, dtype=torch.float64).to(dtype),
            torch.randint(5, (BATCH,), generator=draw),
        )
        for _ in range(STEPS)
    ]


def trained(model: nn.Module, dtype: torch.dtype, part: slice, whole: Callable[[Tensor], Tensor]) -> Steps:
    """The gradients of each step and the last parameters, in float64; `whole` puts shards together."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    found: Steps = []
    for images, labels in batches(dtype):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[part]), labels[part]).backward()
        found.append({name: whole(it.grad).double() for name, it in _named(model) if it.grad is not None})
        optimizer.step()
    found.append({name: whole(it.detach()).double() for name, it in _named(model)})
    return [{name: it.clone() for name, it in step.items()} for step in found]


def _named(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name.removeprefix("module."), it) for name, it in model.named_parameters()]


def alone() -> Steps:
    """One process, torch's own layers, float64."""
    return trained(network(nn.Conv2d).double(), torch.float64, slice(None), lambda it: it)


def together() -> dict[str, Steps]:
    """What every case comes to in this process, one of several."""
    return {case: _together(*case_of) for case, case_of in CASES.items()}


def _together(how: str, dtype: torch.dtype) -> Steps:
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # noqa: PLC0415 - Slow to import.
    from torch.distributed.tensor import DTensor  # noqa: PLC0415

    rank, ranks = dist.get_rank(), dist.get_world_size()
    each = BATCH // ranks
    part = slice(rank * each, (rank + 1) * each)
    model: nn.Module = network(nn.Conv2d if "converted" in how else tatamu.Conv2d)
    if "converted" in how:
        assert len(tatamu.convert(model).changed) == 4
    if "ddp" in how:
        model = nn.parallel.DistributedDataParallel(model.to(dtype))
        return trained(model, dtype, part, lambda it: it)
    options: dict[str, Any] = {}
    if "mixed" in how:
        options["mp_policy"] = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    else:
        model = model.to(dtype)
    for layer in model:  # type: ignore[attr-defined]  # It is a Sequential.
        if isinstance(layer, nn.Conv2d):
            fully_shard(layer, **options)
    fully_shard(model, **options)

    def whole(it: Tensor) -> Tensor:
        assert isinstance(it, DTensor)
        return it.full_tensor()

    return trained(model, dtype, part, whole)
