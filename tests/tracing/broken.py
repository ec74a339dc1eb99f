"""Networks as people break them: each with the mistake in a comment, and the path that a trace must name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torch.nn import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Sequential,
)

import tatamu
from tracing.parts import (
    VGG,
    AlexNet,
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


@dataclass(frozen=True)
class Broken:
    """A network that does not run.

    Attributes:
        make: the network.
        size: (C, H, W) of the image it is given, or whatever was given in its place.
        place: path of the module in which the shapes meet.
        culprits: paths of which one must be named as what set the shapes, or be mended; '' is the input.
    """

    make: Callable[[], nn.Module]
    size: tuple[int, ...]
    place: str
    culprits: tuple[str, ...]


def put(model: nn.Module, path: str, module: nn.Module) -> nn.Module:
    model.set_submodule(path, module)
    return model


def resnet_padding() -> nn.Module:
    return put(ResNet(), "layer2.1.conv2", Conv2d(32, 32, 3, bias=False))  # padding=1 is missing.


def resnet_shortcut_stride() -> nn.Module:
    return put(ResNet(), "layer3.0.shortcut.0", Conv2d(32, 64, 1, bias=False))  # stride=2 is missing.


def resnet_shortcut_channels() -> nn.Module:
    shortcut = Sequential(Conv2d(16, 16, 1, 2, bias=False), BatchNorm2d(16))  # 32 channels are added to.
    return put(ResNet(), "layer2.0.shortcut", shortcut)


def resnet_no_shortcut() -> nn.Module:
    return put(ResNet(), "layer2.0.shortcut", nn.Identity())  # Neither the size nor the channels fit.


def resnet_bn() -> nn.Module:
    return put(ResNet(), "layer3.1.bn1", BatchNorm2d(32))  # Copied from the stage before.


def resnet_head() -> nn.Module:
    return put(ResNet(), "head.2", Linear(512, 10))  # What ResNet-18 has there.


def resnet_no_flatten() -> nn.Module:
    return put(ResNet(), "head", Sequential(nn.AdaptiveAvgPool2d(1), Linear(64, 10)))  # Flatten is missing.


def resnet_tatamu_dilation() -> nn.Module:
    # Dilated like DeepLab's, and the padding did not follow.
    return put(ResNet(), "layer3.1.conv1", tatamu.Conv2d(64, 64, 3, padding=1, dilation=2, bias=False))


def good_resnet() -> nn.Module:
    return ResNet()


def inception(**arguments: int | None) -> Callable[[], nn.Module]:
    return lambda: Sequential(Conv2d(3, 16, 3, 2, 1), ReLU(), Inception(**arguments), Conv2d(32, 4, 1))  # type: ignore[arg-type]  # As given.


def tiny(*layers: nn.Module) -> Callable[[], nn.Module]:
    """Small images at the end of a network: 4 × 4 where `layers` begin."""
    return lambda: Sequential(Conv2d(3, 8, 3, 2, 1), ReLU(), Conv2d(8, 16, 3, 2, 1), ReLU(), *layers)


BROKEN: dict[str, Broken] = {
    "a block's second convolution without padding": Broken(
        resnet_padding, (3, 64, 64), "layer2.1", ("layer2.1.conv2",)
    ),
    "a shortcut that does not stride": Broken(
        resnet_shortcut_stride, (3, 64, 64), "layer3.0", ("layer3.0.shortcut.0", "layer3.0.conv1")
    ),
    "a shortcut with the channels of its input": Broken(
        resnet_shortcut_channels, (3, 64, 64), "layer2.0", ("layer2.0.shortcut.0",)
    ),
    "no shortcut where the block strides": Broken(
        resnet_no_shortcut, (3, 64, 64), "layer2.0", ("layer2.0.shortcut",)
    ),
    "BatchNorm2d of the stage before": Broken(resnet_bn, (3, 64, 64), "layer3.1.bn1", ("layer3.1.bn1",)),
    "the head of a larger ResNet": Broken(resnet_head, (3, 64, 64), "head.2", ("head.2",)),
    "no Flatten after global pooling": Broken(resnet_no_flatten, (3, 64, 64), "head.1", ("head.1",)),
    "dilation without its padding": Broken(
        resnet_tatamu_dilation, (3, 64, 64), "layer3.1", ("layer3.1.conv1",)
    ),
    "NHWC given as NCHW": Broken(good_resnet, (64, 64, 3), "stem.0", ("",)),
    "grey images in a network for colours": Broken(good_resnet, (1, 64, 64), "stem.0", ("stem.0",)),
    "an image without its channels": Broken(LeNet, (32, 32), "conv1", ("",)),
    "a U-Net at an odd size": Broken(UNet, (3, 50, 50), "", ("up2", "")),
    "a U-Net's decoder that forgot the skip": Broken(
        lambda: UNet(joined=1), (3, 32, 32), "dec2.0", ("dec2.0",)
    ),
    "a U-Net level without padding": Broken(lambda: UNet(padding=0), (3, 32, 32), "", ("down2.2",)),
    "a transposed convolution that does not stride": Broken(
        lambda: UNet(up_stride=1), (3, 32, 32), "", ("up2",)
    ),
    "VGG's classifier for a larger image": Broken(
        lambda: VGG(32 * 7 * 7), (3, 32, 32), "classifier.0", ("classifier.0",)
    ),
    "LeNet on MNIST's 28 × 28": Broken(LeNet, (1, 28, 28), "fc1", ("fc1", "conv1")),
    "LeNet on CIFAR's colours": Broken(LeNet, (3, 32, 32), "conv1", ("conv1",)),
    "a view of a size that is written out": Broken(
        lambda: AlexNet(padding=0), (3, 224, 224), "", ("features.0",)
    ),
    "a depthwise convolution of too few channels": Broken(
        lambda: Sequential(Conv2d(3, 8, 3, 2, 1), Inverted(8, 16)),
        (3, 32, 32),
        "1.depthwise",
        ("1.depthwise",),
    ),
    "groups of another width": Broken(
        tiny(Conv2d(32, 32, 3, padding=1, groups=4), ReLU(), Conv2d(32, 8, 1)), (3, 16, 16), "4", ("4", "2")
    ),
    "a branch whose padding is too small": Broken(inception(padding=1), (3, 32, 32), "2", ("2.five.2",)),
    "a pooling branch that strides by its kernel": Broken(
        inception(stride=None), (3, 32, 32), "2", ("2.pooled.0",)
    ),
    "a dilated branch without its padding": Broken(inception(dilation=3), (3, 32, 32), "2", ("2.three.2",)),
    "a dense block that forgot one of its layers": Broken(
        lambda: Sequential(Conv2d(3, 16, 3, padding=1), Dense(wrong=8)),
        (3, 16, 16),
        "1.layers.2.0",
        ("1.layers.2.0",),
    ),
    "a decoder without output_padding": Broken(lambda: AutoEncoder(0), (1, 28, 28), "", ("decoder.2",)),
    "a pyramid whose levels differ in channels": Broken(
        lambda: Pyramid(lateral=64), (3, 32, 32), "", ("lateral1",)
    ),
    "a pyramid that scales by four": Broken(lambda: Pyramid(scale=4), (3, 32, 32), "", ("upsample",)),
    "gates for other channels": Broken(lambda: Attended(gates=8), (3, 16, 16), "", ("excite.0",)),
    "a squeeze that differs from its excitation": Broken(
        lambda: Attended(squeezed=8), (3, 16, 16), "excite.0", ("excite.0", "squeeze.2")
    ),
    "patches of another size than the positions are for": Broken(
        lambda: Patches(patch=7), (3, 56, 56), "", ("embed", "")
    ),
    "channels that a pixel shuffle cannot share out": Broken(
        lambda: SuperResolution(shuffled=10), (3, 16, 16), "shuffle", ("body.2", "shuffle")
    ),
    "a kernel larger than the image": Broken(tiny(Conv2d(16, 32, 7), ReLU()), (3, 16, 16), "4", ("4",)),
    "a pooling larger than the image": Broken(
        tiny(AvgPool2d(7), Flatten(), Linear(16, 10)), (3, 16, 16), "4", ("4",)
    ),
    "more reflection than there are pixels": Broken(
        tiny(Conv2d(16, 16, 9, padding=4, padding_mode="reflect"), ReLU()), (3, 16, 16), "4", ("4",)
    ),
    "padding that is negative": Broken(tiny(Conv2d(16, 16, 3, padding=-1)), (3, 16, 16), "4", ("4",)),
    "GroupNorm of other channels": Broken(tiny(nn.GroupNorm(4, 32)), (3, 16, 16), "4", ("4", "2")),
}
"""By what is wrong with it."""
