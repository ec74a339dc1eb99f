"""Small networks of many kinds, whose arguments are where people go wrong."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)


class Block(nn.Module):
    """The basic block of He et al., 2015."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, padding: int = 1) -> None:
        super().__init__()
        self.conv1 = Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(outputs)
        self.conv2 = Conv2d(outputs, outputs, 3, 1, padding, bias=False)
        self.bn2 = BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = Sequential(Conv2d(inputs, outputs, 1, stride, bias=False), BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """Three stages of two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Sequential(
            Conv2d(3, 16, 7, 2, 3, bias=False), BatchNorm2d(16), ReLU(), MaxPool2d(3, 2, 1)
        )
        self.layer1 = Sequential(Block(16, 16), Block(16, 16))
        self.layer2 = Sequential(Block(16, 32, 2), Block(32, 32))
        self.layer3 = Sequential(Block(32, 64, 2), Block(64, 64))
        self.head = Sequential(nn.AdaptiveAvgPool2d(1), Flatten(), Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return y


class UNet(nn.Module):
    """Three levels. `joined` is how many times the channels of a level its decoder takes."""

    def __init__(self, joined: int = 2, padding: int = 1, up_stride: int = 2) -> None:
        super().__init__()
        self.down1, self.down2 = self._double(3, 8), self._double(8, 16, padding)
        self.bottom = self._double(16, 32)
        self.pool = MaxPool2d(2)
        self.up2, self.up1 = ConvTranspose2d(32, 16, 2, up_stride), ConvTranspose2d(16, 8, 2, 2)
        self.dec2, self.dec1 = self._double(16 * joined, 16), self._double(8 * joined, 8)
        self.head = Conv2d(8, 2, 1)

    @staticmethod
    def _double(inputs: int, outputs: int, padding: int = 1) -> Sequential:
        return Sequential(
            Conv2d(inputs, outputs, 3, padding=1),
            ReLU(),
            Conv2d(outputs, outputs, 3, padding=padding),
            ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        high = self.down1(x)
        middle = self.down2(self.pool(high))
        low = self.bottom(self.pool(middle))
        y = self.dec2(torch.cat([self.up2(low), middle], 1))
        y = self.dec1(torch.cat([self.up1(y), high], 1))
        head: Tensor = self.head(y)
        return head


class VGG(nn.Module):
    """Three stages; `flat` is how many features it expects in front of the classifier."""

    def __init__(self, flat: int, channels: int = 3) -> None:
        super().__init__()
        self.features = Sequential(
            Conv2d(channels, 8, 3, padding=1), ReLU(), MaxPool2d(2),
            Conv2d(8, 16, 3, padding=1), ReLU(), MaxPool2d(2),
            Conv2d(16, 32, 3, padding=1), ReLU(), MaxPool2d(2),
        )  # fmt: skip
        self.classifier = Sequential(Linear(flat, 64), ReLU(), Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return y


class LeNet(nn.Module):
    """LeCun et al., 1998, as tutorials write it: for 1 × 32 × 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv2d(1, 6, 5), Conv2d(6, 16, 5)
        self.fc1, self.fc2 = Linear(16 * 5 * 5, 120), Linear(120, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        y: Tensor = self.fc2(torch.relu(self.fc1(x.flatten(1))))
        return y


class AlexNet(nn.Module):
    """With the flattening as a view of a size that is written out."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.features = Sequential(
            Conv2d(3, 8, 11, 4, padding), ReLU(), MaxPool2d(3, 2), Conv2d(8, 16, 5, padding=2), ReLU(),
            MaxPool2d(3, 2), Conv2d(16, 16, 3, padding=1), ReLU(), MaxPool2d(3, 2),
        )  # fmt: skip
        self.fc = Linear(16 * 6 * 6, 10)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.features(x).view(x.size(0), 16 * 6 * 6))
        return y


class Inverted(nn.Module):
    """The inverted residual of MobileNetV2; `depthwise` are the channels of the convolution in its middle."""

    def __init__(self, channels: int, depthwise: int) -> None:
        super().__init__()
        self.expand = Sequential(Conv2d(channels, 4 * channels, 1), BatchNorm2d(4 * channels), nn.ReLU6())
        self.depthwise = Conv2d(depthwise, depthwise, 3, padding=1, groups=depthwise)
        self.project = Sequential(Conv2d(4 * channels, channels, 1), BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.project(self.depthwise(self.expand(x)))
        return y


class Inception(nn.Module):
    """Branches side by side; they must agree in height and width."""

    def __init__(self, padding: int = 2, stride: int | None = 1, dilation: int = 1) -> None:
        super().__init__()
        self.one = Conv2d(16, 8, 1)
        self.three = Sequential(Conv2d(16, 8, 1), ReLU(), Conv2d(8, 8, 3, padding=1, dilation=dilation))
        self.five = Sequential(Conv2d(16, 8, 1), ReLU(), Conv2d(8, 8, 5, padding=padding))
        self.pooled = Sequential(MaxPool2d(3, stride, 1), Conv2d(16, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], 1)


class Dense(nn.Module):
    """A dense block: each layer takes all that were made before. `wrong` forgets one of them in layer 2."""

    def __init__(self, wrong: int = 0) -> None:
        super().__init__()
        takes = [16, 24, 32 - wrong]
        self.layers = nn.ModuleList(
            Sequential(BatchNorm2d(it), ReLU(), Conv2d(it, 8, 3, padding=1)) for it in takes
        )
        self.transition = Sequential(Conv2d(40, 20, 1), AvgPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        y: Tensor = self.transition(x)
        return y


class AutoEncoder(nn.Module):
    """It returns what it could not reproduce."""

    def __init__(self, output_padding: int = 1) -> None:
        super().__init__()
        self.encoder = Sequential(Conv2d(1, 8, 3, 2, 1), ReLU(), Conv2d(8, 16, 3, 2, 1), ReLU())
        self.decoder = Sequential(
            ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1), ReLU(),
            ConvTranspose2d(8, 1, 3, 2, 1, output_padding),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        difference: Tensor = x - self.decoder(self.encoder(x))
        return difference


class Pyramid(nn.Module):
    """A feature pyramid of two levels, Lin et al., 2017; `lateral` are the channels of the finer one."""

    def __init__(self, lateral: int = 32, scale: int = 2) -> None:
        super().__init__()
        self.body1 = Sequential(Conv2d(3, 16, 3, 2, 1), ReLU())
        self.body2 = Sequential(Conv2d(16, 32, 3, 2, 1), ReLU())
        self.lateral1, self.lateral2 = Conv2d(16, lateral, 1), Conv2d(32, 32, 1)
        self.upsample = nn.Upsample(scale_factor=scale)
        self.smooth = Conv2d(32, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.body1(x)
        y: Tensor = self.smooth(self.lateral1(fine) + self.upsample(self.lateral2(self.body2(fine))))
        return y


class Attended(nn.Module):
    """Squeeze and excitation, Hu et al., 2018; `gates` is how many channels it weighs."""

    def __init__(self, gates: int = 16, squeezed: int = 4) -> None:
        super().__init__()
        self.conv = Conv2d(3, 16, 3, padding=1)
        self.squeeze = Sequential(nn.AdaptiveAvgPool2d(1), Flatten(), Linear(16, squeezed), ReLU())
        self.excite = Sequential(Linear(4, gates), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        weighed: Tensor = y * self.excite(self.squeeze(y))[:, :, None, None]
        return weighed


class Patches(nn.Module):
    """The front of a vision transformer, with a position for each of 7 × 7 patches."""

    def __init__(self, patch: int = 8) -> None:
        super().__init__()
        self.embed = Conv2d(3, 24, patch, patch)
        self.positions = nn.Parameter(torch.zeros(1, 49, 24))
        self.norm = nn.LayerNorm(24)
        self.head = Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.positions
        y: Tensor = self.head(self.norm(tokens).mean(1))
        return y


class SuperResolution(nn.Module):
    """Sub-pixel convolution, Shi et al., 2016; `shuffled` are the channels in front of the shuffle."""

    def __init__(self, shuffled: int = 12, padding: int = 1) -> None:
        super().__init__()
        self.body = Sequential(
            Conv2d(3, 16, 3, padding=padding), nn.PReLU(16), Conv2d(16, shuffled, 3, padding=1)
        )
        self.shuffle = nn.PixelShuffle(2)
        self.bicubic = nn.Upsample(scale_factor=2, mode="bicubic")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shuffle(self.body(x)) + self.bicubic(x)
        return y
