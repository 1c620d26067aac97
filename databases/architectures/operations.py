"""Named torch operations, written once and used by every space: (batch, channels, h, w) in and out.

Convolutions are in the order ReLU, convolution, batch normalisation (NAS-Bench-201; Dong, Yang, 2020).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution without bias, batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
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


# The operations that keep the resolution, by NAS-Bench-201's names: (channels, copies) -> module.
# Convolutions give copies * channels, one copy for each edge; the others give channels, the same for every
# edge. "none" has no module.
OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "skip_connect": lambda channels, copies: nn.Identity(),
    "nor_conv_1x1": lambda channels, copies: ReLUConvBN(channels, copies * channels, 1),
    "nor_conv_3x3": lambda channels, copies: ReLUConvBN(channels, copies * channels, 3),
    "avg_pool_3x3": lambda channels, copies: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
}
