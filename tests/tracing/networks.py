"""Small networks that run, of the kinds that people build, to be broken at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tracing.parts import (
    VGG,
    Attended,
    AutoEncoder,
    Dense,
    Inception,
    Inverted,
    LeNet,
    Patches,
    Pyramid,
    ResNet,
    SuperResolution,
    UNet,
)


class Bottlenecks(nn.Module):
    """Two of ResNeXt's blocks, Xie et al., 2017, with groups and GroupNorm."""

    class Block(nn.Module):
        def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.reduce = nn.Sequential(nn.Conv2d(inputs, width, 1), nn.GroupNorm(4, width), nn.ReLU())
            self.conv = nn.Conv2d(width, width, 3, stride, 1, groups=4)
            self.expand = nn.Sequential(nn.GroupNorm(4, width), nn.ReLU(), nn.Conv2d(width, outputs, 1))
            self.project = nn.Conv2d(inputs, outputs, 1, stride)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = torch.relu(self.expand(self.conv(self.reduce(x))) + self.project(x))
            return y

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.block1, self.block2 = self.Block(16, 16, 32, 1), self.Block(32, 32, 64, 2)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, 10))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.block2(self.block1(self.stem(x))))
        return y


class Pooled(nn.Module):
    """Spatial pyramid pooling, as YOLO has it: poolings of stride 1, whose results are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.InstanceNorm2d(16, affine=True), nn.SiLU())
        self.small, self.large = nn.MaxPool2d(5, 1, 2), nn.MaxPool2d(9, 1, 4)
        self.dilated = nn.Conv2d(16, 16, 3, padding=2, dilation=2)
        self.after = nn.Conv2d(64, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        y: Tensor = self.after(torch.cat([x, self.small(x), self.large(x), self.dilated(x)], 1))
        return y


def mobile() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(), Inverted(8, 32), nn.Conv2d(8, 12, 1),
        Inverted(12, 48), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5),
    )  # fmt: skip


def inceptions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), Inception(), nn.Conv2d(32, 16, 1), Inception(), nn.AvgPool2d(8),
        nn.Flatten(), nn.Linear(32, 4),
    )  # fmt: skip


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), Dense(), nn.BatchNorm2d(20), nn.Flatten(), nn.Linear(20 * 64, 10)
    )


SMALL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet": (ResNet, (3, 64, 64)),
    "resnext": (Bottlenecks, (3, 32, 32)),
    "unet": (UNet, (3, 32, 32)),
    "vgg": (lambda: VGG(32 * 4 * 4), (3, 32, 32)),
    "lenet": (LeNet, (1, 32, 32)),
    "mobile": (mobile, (3, 32, 32)),
    "inception": (inceptions, (3, 16, 16)),
    "dense": (dense, (3, 16, 16)),
    "autoencoder": (AutoEncoder, (1, 28, 28)),
    "pyramid": (Pyramid, (3, 32, 32)),
    "attended": (Attended, (3, 16, 16)),
    "patches": (Patches, (3, 56, 56)),
    "super resolution": (SuperResolution, (3, 16, 16)),
    "pooled": (Pooled, (3, 32, 32)),
}
"""By name: how it is made, and the size of its images. Without libraries other than torch."""


class Logits(nn.Module):
    """A model of transformers that returns its first tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x, return_dict=False)[0]
        return y


def _classifier(name: str, **config: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import transformers  # noqa: PLC0415 - takes seconds.

        made: nn.Module = getattr(transformers, f"{name}ForImageClassification")(
            getattr(transformers, f"{name}Config")(num_labels=7, **config)
        )
        return Logits(made)

    return make


TRANSFORMERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ResNet": (_classifier("ResNet", embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1]), (3, 32, 32)),
    "ConvNext": (_classifier("ConvNext", hidden_sizes=[8, 16], depths=[1, 2], num_stages=2), (3, 32, 32)),
    "RegNet": (
        _classifier("RegNet", embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], groups_width=8),
        (3, 32, 32),
    ),
    "ConvNextV2": (_classifier("ConvNextV2", hidden_sizes=[8, 16], depths=[1, 1], num_stages=2), (3, 32, 32)),
    "ViT": (
        _classifier(
            "ViT", hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            image_size=32, patch_size=8,
        ),
        (3, 32, 32),
    ),
    "Segformer": (
        _classifier(
            "Segformer", num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16],
            patch_sizes=[7, 3], strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2],
            decoder_hidden_size=16,
        ),
        (3, 32, 32),
    ),
}  # fmt: skip
"""The same for small configurations of architectures of `transformers`."""
