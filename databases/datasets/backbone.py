"""The frozen backbone: a small residual network that ``scripts/train_backbone.py`` trains on Tiny-ImageNet.

Images come in at 32 x 32 (grey ones as three equal channels); features are the pooled last stage.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from databases.hosting import lent

WIDTHS = (24, 48, 96, 192)
RESOLUTION = 32
WEIGHTS = Path(__file__).with_name("backbone.safetensors")


class Block(nn.Module):
    """Two 3x3 convolutions with a short cut (He, Zhang, Ren, Sun, 2016)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h / stride, w / stride)."""
        y = torch.relu(self.norm1(self.first(x)))
        shortcut: Tensor = self.shortcut(x)
        return torch.relu(self.norm2(self.second(y)) + shortcut)


class Backbone(nn.Module):
    """Stem and four residual blocks: (b, 3, 32, 32) in 0..1 -> (b, 192) features."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        ends = zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False)
        self.blocks = nn.Sequential(*(Block(a, b, stride=1 if a == b else 2) for a, b in ends))

    @property
    def width(self) -> int:
        """Number of features."""
        return WIDTHS[-1]

    def forward(self, images: Tensor) -> Tensor:
        """(b, 3, 32, 32) floats in 0..1 -> (b, 192)."""
        x: Tensor = self.blocks(self.stem((images - 0.45) * 4))
        return x.mean(dim=(2, 3))


def trained_backbone() -> Backbone:
    """The shipped backbone, in eval mode."""
    from safetensors.torch import load_file

    with lent():
        network = Backbone()
    network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return network.eval()


def random_backbone() -> Backbone:
    """The same network untrained: the rival that the trained one must beat."""
    with lent(seed=0):
        return Backbone().eval()
