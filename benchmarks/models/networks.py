"""The models, with random weights: architectures of `transformers`, and two that it does not have."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

import tatamu

_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0 is a pooling.


class UNet(nn.Module):
    """Ronneberger et al., 2015, arXiv:1505.04597, padded and normalised: (N, 3, H, W) → (N, 1, H, W).

    Args:
        width: channels of the first level; each of the four below has twice as many.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [width << level for level in range(5)]
        self.encoders = nn.ModuleList(map(_double, [3, *widths[:-1]], widths))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * it, it, 2, 2) for it in widths[:-1])
        self.decoders = nn.ModuleList(_double(2 * it, it) for it in widths[:-1])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """One value for each pixel."""
        skipped = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skipped.append(x)
        for level in reversed(range(len(self.ups))):
            x = self.decoders[level](torch.cat([self.ups[level](x), skipped[level]], 1))
        head: Tensor = self.head(x)
        return head


class _Logits(nn.Module):
    """A model of transformers that returns a plain tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x, return_dict=False)[0]
        return logits


def _double(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _vgg16() -> nn.Module:
    """Simonyan and Zisserman, 2015, arXiv:1409.1556, without dropout."""
    layers: list[nn.Module] = []
    channels = 3
    for outputs in _VGG16:
        if outputs:
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            channels = outputs
        else:
            layers.append(nn.MaxPool2d(2))
    layers.append(nn.Flatten())
    for inputs, outputs in ((7 * 7 * 512, 4096), (4096, 4096)):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(4096, 1000))


def _resnet50() -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification  # noqa: PLC0415 - takes seconds.

    return _Logits(ResNetForImageClassification(ResNetConfig(num_labels=1000)))


def _resnet18() -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification  # noqa: PLC0415

    config = ResNetConfig(
        num_labels=1000, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic"
    )
    return _Logits(ResNetForImageClassification(config))


def _mobilenet_v2() -> nn.Module:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification  # noqa: PLC0415

    # Padded by the convolutions, not by layers before them.
    return _Logits(MobileNetV2ForImageClassification(MobileNetV2Config(num_labels=1000, tf_padding=False)))


def _convnext_tiny() -> nn.Module:
    from transformers import ConvNextConfig, ConvNextForImageClassification  # noqa: PLC0415

    return _Logits(ConvNextForImageClassification(ConvNextConfig(num_labels=1000)))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "vgg16": _vgg16,
    "resnet50": _resnet50,
    "resnet18": _resnet18,
    "mobilenet_v2": _mobilenet_v2,
    "convnext_tiny": _convnext_tiny,
    "unet": UNet,
}
SIZES = {"unet": 256}
"""Height and width of the images, where they are not `SIZE`."""
SIZE = 224


def build(name: str, seed: int) -> nn.Module:
    """One of `MODELS`, whose normalisation has seen some images: activations neither vanish nor explode."""
    torch.manual_seed(seed)
    model = MODELS[name]()
    size = SIZES.get(name, SIZE)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # The mean of what it has seen.
        elif isinstance(module, nn.Dropout):
            module.p = 0.0  # Chance cannot be judged.
    with torch.no_grad():
        model.train()(torch.randn(2, 3, size, size))
    return model.eval()


def with_tatamu(model: nn.Module) -> nn.Module:
    """A copy of a model, with the same weights, in which every convolution is tatamu's."""
    copied = copy.deepcopy(model)
    for name, module in list(copied.named_modules()):
        if type(module) is nn.Conv2d:
            copied.set_submodule(name, _tatamus(module))
    return copied


def _tatamus(layer: nn.Conv2d) -> tatamu.Conv2d:
    made = tatamu.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]  # torch calls it a tuple of any length.
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        layer.groups,
        layer.bias is not None,
        layer.padding_mode,
    )
    made.load_state_dict(layer.state_dict())
    return made.train(layer.training)
