"""The supernets of cells of blocks: ENAS's micro space, and the frame of ShuffleNASNets.

Each of a block's two terms has weights of its own for every earlier state (Pham, Guan, Zoph, Le, Dean, 2018). What a
block reads is left out of the cell's output: there it is zero, so that the convolution behind it has one shape, and
of its weights only those of the states that are there count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from databases.architectures.networks.blocks import Block, BlockCell, BlockNetwork
from databases.architectures.networks.operations import OPERATIONS, ReLUConvBN
from databases.architectures.networks.shuffle import ShuffleNetwork, ShuffleUnit, channel_shuffle
from databases.architectures.skeleton import Skeleton
from databases.architectures.supernets.mixed_edge import Choice, MixedEdge

Plan: TypeAlias = Sequence[tuple[int, int, Choice, Choice, int]]  # two states, the operation on each, 1 to concatenate
Cells: TypeAlias = tuple[Plan, Plan]  # normal and reduction


class SharedBlocks(nn.Module):
    """Every operation on every earlier state for both terms of every block; see `Blocks`.

    Args:
        concat: whether a block may concatenate.
    """

    def __init__(
        self, operations: Sequence[str], blocks: int, channels: int, *, inputs: int, stride: int, concat: bool
    ) -> None:
        super().__init__()

        def term(states: int) -> nn.ModuleList:
            steps = [stride if state < inputs else 1 for state in range(states)]
            return nn.ModuleList(MixedEdge([OPERATIONS[op](channels, channels, s) for op in operations]) for s in steps)

        self.inputs = inputs
        self.first = nn.ModuleList(term(inputs + block) for block in range(blocks))
        self.second = nn.ModuleList(term(inputs + block) for block in range(blocks))
        self.joins = nn.ModuleList(
            ReLUConvBN(2 * channels, channels, 1) if concat else nn.Identity() for _ in range(blocks)
        )

    def forward(self, inputs: Sequence[Tensor], plan: Plan) -> Tensor:
        """States (b, c, h, w) each -> (b, blocks * c, h / stride, w / stride), zero where a block reads the state."""
        states = list(inputs)
        for (i, j, one, other, how), *block in zip(plan, self.first, self.second, self.joins, strict=True):
            first, second, join = block
            x, y = first[i](states[i], one), second[j](states[j], other)  # type: ignore[index]
            states.append(join(torch.cat([x, y], dim=1)) if how else x + y)
        read = {state for i, j, *_ in plan for state in (i, j)}
        nothing = torch.zeros_like(states[-1])
        return torch.cat([nothing if s in read else states[s] for s in range(self.inputs, len(states))], dim=1)


class BlockSupernet(nn.Module):
    """The skeleton of `BlockNetwork` around shared blocks."""

    def __init__(self, operations: Sequence[str], blocks: int, skeleton: Skeleton, concat: bool = False) -> None:
        super().__init__()
        widest = _widest(blocks, inputs=2)
        self.around = BlockNetwork(widest, widest, skeleton)
        self.reduces = _share(self.around.cells, operations, blocks, 2, skeleton.cells, concat)

    def forward(self, images: Tensor, cells: Cells) -> Tensor:
        """(b, input_channels, h, w) float and the blocks of both cells -> (b, classes) logits."""
        before = now = self.around.stem(images)
        for cell, reduces in zip(self.around.cells, self.reduces, strict=True):
            assert isinstance(cell, BlockCell)
            before, now = now, cell.blocks([cell.before(before), cell.now(now)], cells[reduces])
        logits: Tensor = self.around.head(now)
        return logits


class ShuffleSupernet(nn.Module):
    """The skeleton of `ShuffleNetwork` around shared blocks."""

    def __init__(self, operations: Sequence[str], blocks: int, skeleton: Skeleton, concat: bool = False) -> None:
        super().__init__()
        widest = _widest(blocks, inputs=1)
        self.around = ShuffleNetwork(widest, widest, skeleton)
        self.reduces = _share(self.around.units, operations, blocks, 1, skeleton.cells, concat)

    def forward(self, images: Tensor, cells: Cells) -> Tensor:
        """(b, input_channels, h, w) float and the blocks of both cells -> (b, classes) logits."""
        x = self.around.stem(images)
        for unit, reduces in zip(self.around.units, self.reduces, strict=True):
            assert isinstance(unit, ShuffleUnit)
            kept, worked = (x, x) if reduces else x.chunk(2, dim=1)
            x = channel_shuffle(unit.pass_by(kept), unit.join(unit.blocks([worked], cells[reduces])))
        logits: Tensor = self.around.head(x)
        return logits


def _widest(blocks: int, *, inputs: int) -> list[Block]:
    """A cell none of whose blocks reads another, so that the network around it has room for all of them."""
    return [(0, inputs - 1, "max3x3", "max3x3", "add")] * blocks


def _share(
    places: Iterable[nn.Module], operations: Sequence[str], blocks: int, inputs: int, cells: int, concat: bool
) -> list[bool]:
    """Puts shared blocks into every place, of which ``cells`` a stage keep the resolution; returns which reduce."""
    reduces = [place in (cells, 2 * cells + 1) for place in range(3 * cells + 2)]
    for place, halves in zip(places, reduces, strict=True):
        assert isinstance(place, BlockCell | ShuffleUnit)
        channels, stride = place.blocks.channels // blocks, 2 if halves else 1
        shared = SharedBlocks(operations, blocks, channels, inputs=inputs, stride=stride, concat=concat)
        place.blocks = shared  # type: ignore[assignment]  # called with a plan beside its states
    return reduces
