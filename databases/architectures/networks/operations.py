"""Named torch operations, written once and used by every space: (batch, channels, h, w) in and out.

Convolutions are in the order ReLU, convolution, batch normalisation (NAS-Bench-201; Dong, Yang, 2020).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution without bias, batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs),
        )


class ResidualReduction(nn.Module):
    """Halves the resolution and doubles the channels: two 3x3 convolutions beside pooling and a 1x1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ReLUConvBN(inputs, outputs, 3, stride=2), ReLUConvBN(outputs, outputs, 3))
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2, ceil_mode=True, count_include_pad=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h / 2 rounded up, w / 2 rounded up)."""
        y: Tensor = self.body(x)
        shortcut: Tensor = self.shortcut(x)
        return y + shortcut


class SeparableConv(nn.Sequential):
    """ReLU, depthwise and 1x1 convolution, batch normalisation: twice (Zoph, Vasudevan, Shlens, Le, 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        layers: list[nn.Module] = []
        for step, channels in ((stride, inputs), (1, outputs)):
            depthwise = nn.Conv2d(
                channels, channels, kernel, stride=step, padding=kernel // 2, groups=channels, bias=False
            )
            pointwise = nn.Conv2d(channels, outputs, 1, bias=False)
            layers += [nn.ReLU(), depthwise, pointwise, nn.BatchNorm2d(outputs)]
        super().__init__(*layers)


class LightConv(nn.Sequential):
    """1x1, depthwise and 1x1 convolution, each normalised (ShuffleNet V2; Ma, Zhang, Zheng, Sun, 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__(
            *(nn.Conv2d(inputs, inputs, 1, bias=False), nn.BatchNorm2d(inputs), nn.ReLU()),
            nn.Conv2d(inputs, inputs, kernel, stride=stride, padding=kernel // 2, groups=inputs, bias=False),
            *(nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
        )


class RowColumnConv(nn.Sequential):
    """ReLU, 1xk and kx1 convolution, batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        half = kernel // 2
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, (1, kernel), stride=(1, stride), padding=(0, half), bias=False),
            nn.Conv2d(outputs, outputs, (kernel, 1), stride=(stride, 1), padding=(half, 0), bias=False),
            nn.BatchNorm2d(outputs),
        )


class FactorizedReduction(nn.Module):
    """Halves the resolution without losing pixels: two 1x1 convolutions of stride 2, one shifted by a pixel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h / 2 rounded up, w / 2 rounded up)."""
        x = self.relu(x)
        shifted = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        y: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return y


class Stem(nn.Sequential):
    """The first layer: 3x3 convolution and batch normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))


class Head(nn.Module):
    """The last layers: ReLU, global average pooling, linear."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, classes) logits."""
        logits: Tensor = self.linear(self.relu(x).mean(dim=(2, 3)))
        return logits


def identity(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Nothing, or where the resolution is halved a 1x1 convolution."""
    return nn.Identity() if stride == 1 else ReLUConvBN(inputs, outputs, 1, stride=stride)


def average(kernel: int, stride: int) -> nn.Module:
    """Average pooling that does not count what lies outside the image."""
    return nn.AvgPool2d(kernel, stride=stride, padding=kernel // 2, count_include_pad=False)


def largest(kernel: int, stride: int) -> nn.Module:
    """Maximum pooling."""
    return nn.MaxPool2d(kernel, stride=stride, padding=kernel // 2)


# Every operation by name: (inputs, outputs, stride) -> module. Pooling and identity keep the channels, whatever
# ``outputs`` is. The first group has NAS-Bench-201's names; its "none" has no module.
OPERATIONS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "skip_connect": identity,
    "nor_conv_1x1": lambda i, o, s: ReLUConvBN(i, o, 1, stride=s),
    "nor_conv_3x3": lambda i, o, s: ReLUConvBN(i, o, 3, stride=s),
    "avg_pool_3x3": lambda i, o, s: average(3, s),
    "identity": identity,
    "conv1x1": lambda i, o, s: ReLUConvBN(i, o, 1, stride=s),
    "conv3x3": lambda i, o, s: ReLUConvBN(i, o, 3, stride=s),
    "conv5x5": lambda i, o, s: ReLUConvBN(i, o, 5, stride=s),
    "dilated3x3": lambda i, o, s: ReLUConvBN(i, o, 3, stride=s, dilation=2),
    "1x3-3x1": lambda i, o, s: RowColumnConv(i, o, 3, stride=s),
    "1x7-7x1": lambda i, o, s: RowColumnConv(i, o, 7, stride=s),
    "sep3x3": lambda i, o, s: SeparableConv(i, o, 3, stride=s),
    "sep5x5": lambda i, o, s: SeparableConv(i, o, 5, stride=s),
    "sep7x7": lambda i, o, s: SeparableConv(i, o, 7, stride=s),
    "light3x3": lambda i, o, s: LightConv(i, o, 3, stride=s),
    "light5x5": lambda i, o, s: LightConv(i, o, 5, stride=s),
    "avg3x3": lambda i, o, s: average(3, s),
    "max3x3": lambda i, o, s: largest(3, s),
    "max5x5": lambda i, o, s: largest(5, s),
    "max7x7": lambda i, o, s: largest(7, s),
}
