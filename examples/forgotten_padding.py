"""A residual network with one padding forgotten: `tatamu trace examples/forgotten_padding.py:Net 3x64x64`."""

from __future__ import annotations

from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions beside the identity. The second lacks its padding, so the sizes differ at the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        """From (N, channels, H, W) to the same, were it not for the mistake."""
        return x + self.conv2(self.conv1(x).relu())


class Net(nn.Module):
    """A stem, a block, and a map of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, kernel_size=7, stride=2, padding=3)
        self.block = Block(16)
        self.head = nn.Conv2d(16, 10, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """From (N, 3, H, W) to (N, 10, H / 2, W / 2)."""
        return self.head(self.block(self.stem(x).relu()))
