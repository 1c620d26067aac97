"""The supernet of cells whose edges take one of several operations, such as NAS-Bench-201's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from databases.architectures.networks.cells import Cell, CellNetwork
from databases.architectures.networks.operations import OPERATIONS
from databases.architectures.skeleton import Skeleton
from databases.architectures.supernets.mixed_edge import Choice, MixedEdge, Nothing


class SharedCell(nn.Module):
    """Every edge with every operation; node 0 is the input, the last node the output.

    Args:
        ends: from node and to node of each edge, in an order in which a node's inputs come before its outputs.
    """

    def __init__(self, operations: Sequence[str], ends: Sequence[tuple[int, int]], channels: int) -> None:
        super().__init__()
        self.ends = tuple(ends)
        self.last = max(end for _, end in ends)
        self.edges = nn.ModuleList(
            MixedEdge([Nothing() if name == "none" else OPERATIONS[name](channels, channels, 1) for name in operations])
            for _ in ends
        )

    def forward(self, x: Tensor, choices: Sequence[Choice]) -> Tensor:
        """(b, c, h, w) and a choice for each edge -> the same shape; a node without inputs is zero."""
        nodes: list[Tensor | None] = [x] + [None] * self.last
        for (start, end), edge, choice in zip(self.ends, self.edges, choices, strict=True):
            source, so_far = nodes[start], nodes[end]
            if source is None or edge.idle(choice):  # type: ignore[operator]  # a MixedEdge
                continue
            value: Tensor = edge(source, choice)
            nodes[end] = value if so_far is None else so_far + value
        output = nodes[self.last]
        return x * 0 if output is None else output


class CellSupernet(nn.Module):
    """The skeleton of `CellNetwork` around shared cells, which all take the same choices."""

    def __init__(self, operations: Sequence[str], ends: Sequence[tuple[int, int]], skeleton: Skeleton) -> None:
        super().__init__()
        self.around = CellNetwork([("none", *each) for each in ends], skeleton)
        for place, each in enumerate(self.around.stages):
            if isinstance(each, Cell):
                self.around.stages[place] = SharedCell(operations, ends, each.channels)

    def forward(self, images: Tensor, choices: Sequence[Choice]) -> Tensor:
        """(b, input_channels, h, w) float and a choice for each edge of the cell -> (b, classes) logits."""
        x = self.around.stem(images)
        for each in self.around.stages:
            x = each(x, choices) if isinstance(each, SharedCell) else each(x)
        logits: Tensor = self.around.classifier(self.around.last(x).mean(dim=(2, 3)))
        return logits
