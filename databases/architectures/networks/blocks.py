"""Cells of blocks become a trainable network (NASNet; Zoph, Vasudevan, Shlens, Le, 2018; ENAS micro).

A block applies two operations to two earlier states and joins the results; what no block reads is the cell's
output. Three stages of normal cells with a reduction cell before the second and third, which halves the
resolution and doubles the channels. Every cell reads the two cells before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from databases.architectures.networks.operations import OPERATIONS, FactorizedReduction, Head, ReLUConvBN, Stem
from databases.architectures.skeleton import Skeleton

Block = tuple[int, int, str, str, str]  # two states, the operation on each, "add" or "concat"


class Blocks(nn.Module):
    """A directed acyclic graph of blocks on states of equal width; the first ``inputs`` states are given.

    Operations on the inputs have the ``stride``. Where a block concatenates, a 1x1 convolution brings the result
    back to the width.
    """

    def __init__(self, blocks: Sequence[Block], channels: int, *, inputs: int, stride: int = 1) -> None:
        super().__init__()

        def operation(name: str, state: int) -> nn.Module:
            return OPERATIONS[name](channels, channels, stride if state < inputs else 1)

        self.plan = [(first, second, join) for first, second, _, _, join in blocks]
        self.first = nn.ModuleList(operation(name, state) for state, _, name, _, _ in blocks)
        self.second = nn.ModuleList(operation(name, state) for _, state, _, name, _ in blocks)
        self.joins = nn.ModuleList(
            ReLUConvBN(2 * channels, channels, 1) if join == "concat" else nn.Identity() for *_, join in blocks
        )
        read = {state for first, second, _ in self.plan for state in (first, second)}
        self.reads = [state in read for state in range(inputs)]
        self.unread = [state for state in range(inputs, inputs + len(blocks)) if state not in read]
        self.channels = channels * len(self.unread)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """States (b, c, h, w) each -> (b, channels, h / stride, w / stride): the unread ones, concatenated."""
        states = list(inputs)
        for (i, j, how), first, second, join in zip(self.plan, self.first, self.second, self.joins, strict=True):
            x, y = first(states[i]), second(states[j])
            states.append(join(torch.cat([x, y], dim=1)) if how == "concat" else x + y)
        return torch.cat([states[state] for state in self.unread], dim=1)


class BlockCell(nn.Module):
    """Blocks that read the two cells before, each brought to the cell's width and resolution.

    Args:
        before, now: channels of the last cell but one and of the last. shrunk: whether the last one halved the
            resolution.
    """

    def __init__(
        self, blocks: Sequence[Block], before: int, now: int, channels: int, *, stride: int, shrunk: bool
    ) -> None:
        super().__init__()
        self.blocks = Blocks(blocks, channels, inputs=2, stride=stride)
        fit_before = FactorizedReduction(before, channels) if shrunk else ReLUConvBN(before, channels, 1)
        reads_before, reads_now = self.blocks.reads
        self.before = fit_before if reads_before else nn.Identity()
        self.now = ReLUConvBN(now, channels, 1) if reads_now else nn.Identity()

    def forward(self, before: Tensor, now: Tensor) -> Tensor:
        """Outputs of the last two cells, the last (b, now, h, w) -> (b, unread * channels, h / stride, w / stride)."""
        output: Tensor = self.blocks([self.before(before), self.now(now)])
        return output


class BlockNetwork(nn.Module):
    """Stem of three times the channels, the cells, classifier; the skeleton's cells are normal cells a stage."""

    def __init__(self, normal: Sequence[Block], reduction: Sequence[Block], skeleton: Skeleton) -> None:
        super().__init__()
        before = now = 3 * skeleton.channels
        self.stem = Stem(skeleton.input_channels, now)
        cells: list[BlockCell] = []
        for stage in range(3):
            channels, shrunk = skeleton.channels * 2**stage, False
            for place in range(skeleton.cells + (stage > 0)):
                reduces = stage > 0 and place == 0
                blocks, stride = (reduction, 2) if reduces else (normal, 1)
                cells.append(BlockCell(blocks, before, now, channels, stride=stride, shrunk=shrunk))
                before, now, shrunk = now, cells[-1].blocks.channels, reduces
        self.cells = nn.ModuleList(cells)
        self.head = Head(now, skeleton.classes)

    def forward(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float -> (b, classes) logits."""
        before = now = self.stem(images)
        for cell in self.cells:
            before, now = now, cell(before, now)
        logits: Tensor = self.head(now)
        return logits
