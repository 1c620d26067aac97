"""Cells of blocks inside the unit of ShuffleNet V2 (ShuffleNASNets; Laube, Zell, 2018).

The blocks work on one half of the channels only; the other half passes untouched, and a channel shuffle mixes the
two. How the searched half ends (a 1x1 convolution over what no block reads) is ours, and so is the stem.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from databases.architectures.networks.blocks import Block, Blocks
from databases.architectures.networks.operations import Head, ReLUConvBN, Stem
from databases.architectures.skeleton import Skeleton


def channel_shuffle(*groups: Tensor) -> Tensor:
    """(b, c, h, w) each: the first channel of each group, then the second of each, and so on; copied once.

    Channels that are last in memory stay so: what follows would else work in the other layout, which is slower.
    """
    if groups[-1].is_contiguous(memory_format=torch.channels_last):
        return torch.stack([each.permute(0, 2, 3, 1) for each in groups], dim=4).flatten(3).permute(0, 3, 1, 2)
    return torch.stack(groups, dim=2).flatten(1, 2)


class ShuffleUnit(nn.Module):
    """Stride 1: half of the channels goes through the blocks. Stride 2: all channels take both ways.

    Args:
        half: half of the channels that come out; as many go in at stride 1, half as many at stride 2.
    """

    def __init__(self, blocks: Sequence[Block], half: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.pass_by: nn.Module = nn.Identity()
        if stride == 2:
            self.pass_by = nn.Sequential(
                nn.Conv2d(half, half, 3, stride=2, padding=1, groups=half, bias=False),
                *(nn.BatchNorm2d(half), nn.Conv2d(half, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()),
            )
        self.blocks = Blocks(blocks, half, inputs=1, stride=stride)
        self.join = ReLUConvBN(self.blocks.channels, half, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> the same shape, or (b, 2 * c, h / 2, w / 2) at stride 2."""
        kept, worked = x.chunk(2, dim=1) if self.stride == 1 else (x, x)
        return channel_shuffle(self.pass_by(kept), self.join(self.blocks([worked])))


class ShuffleNetwork(nn.Module):
    """Stem, three stages of units with one of stride 2 before the second and third, classifier."""

    def __init__(self, normal: Sequence[Block], reduction: Sequence[Block], skeleton: Skeleton) -> None:
        super().__init__()
        half = (skeleton.channels + 1) // 2
        self.stem = Stem(skeleton.input_channels, 2 * half)
        units: list[nn.Module] = []
        for stage in range(3):
            if stage:
                half *= 2
                units.append(ShuffleUnit(reduction, half, stride=2))
            units += [ShuffleUnit(normal, half, stride=1) for _ in range(skeleton.cells)]
        self.units = nn.Sequential(*units)
        self.head = Head(2 * half, skeleton.classes)

    def forward(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float -> (b, classes) logits."""
        logits: Tensor = self.head(self.units(self.stem(images)))
        return logits
