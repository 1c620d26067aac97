"""A small residual network for CPUs (He, Zhang, Ren, Sun, 2016): few wide blocks of plain 3x3 convolutions.

Plain convolutions of this size run at several times the speed of depthwise ones on a CPU. Of each block the hidden
channels and of each stage the number of blocks are free.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Stage = tuple[int, Sequence[int]]  # channels, hidden channels of each block


class PlainConvBN(nn.Sequential):
    """Convolution and batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """3x3 to the hidden channels, 3x3 back, added to the input; a halving block averages its input and mixes it."""

    def __init__(self, inputs: int, outputs: int, hidden: int, *, stride: int) -> None:
        super().__init__()
        self.up = PlainConvBN(inputs, hidden, 3, stride=stride)
        self.down = PlainConvBN(hidden, outputs, 3)
        pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        same = stride == 1 and inputs == outputs
        self.short = nn.Identity() if same else nn.Sequential(pool, PlainConvBN(inputs, outputs, 1))
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h / stride, w / stride)."""
        y: Tensor = self.activation(self.down(self.activation(self.up(x))) + self.short(x))
        return y

    @torch.no_grad()
    def importance(self) -> list[Tensor]:
        """What each free channel, the (hidden,) ones, adds to the output."""
        norm, down = self.up[1], self.down[0]
        assert isinstance(norm, nn.BatchNorm2d) and isinstance(down, nn.Conv2d)
        return [norm.weight.abs() * down.weight.transpose(0, 1).flatten(1).norm(dim=1)]


class ResidualNetwork(nn.Module):
    """Stem of stride 2, the stages, of which all but the first halve the resolution, mean, classifier.

    Args:
        stem: channels of the stem. stages: channels of each and the hidden channels of its blocks.
    """

    def __init__(self, stem: int, stages: Sequence[Stage], input_channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(PlainConvBN(input_channels, stem, 3, stride=2), nn.ReLU(inplace=True))
        now, made = stem, []
        for number, (channels, blocks) in enumerate(stages):
            stage = []
            for place, hidden in enumerate(blocks):
                stage.append(Block(now, channels, hidden, stride=2 if number and not place else 1))
                now = channels
            made.append(nn.Sequential(*stage))
        self.stages = nn.Sequential(*made)
        self.classifier = nn.Linear(now, classes)

    def features(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float, normalised -> (b, d)."""
        maps: Tensor = self.stages(self.stem(images))
        return maps.mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float, normalised -> (b, classes) logits."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
