"""A cell and a skeleton become a trainable network (the published skeleton of NAS-Bench-201).

3x3 stem; three stages of cells at widths c, 2c, 4c with a residual block of stride 2 between them; batch
normalisation, ReLU, global average pooling, linear layer. Width, depth, resolution and classes are free.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from databases.architectures.networks.operations import OPERATIONS, ResidualReduction
from databases.architectures.skeleton import Skeleton

Edge = tuple[str, int, int]  # operation, from node, to node


class Cell(nn.Module):
    """A directed acyclic graph of operations; node 0 is the input, the last node the output.

    Edges that leave one node with the same operation are computed together: convolutions as one convolution
    with that many times the channels, pooling once.
    """

    def __init__(self, edges: Sequence[Edge], channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.last = max(end for _, _, end in edges)
        groups: dict[tuple[int, str], list[int]] = {}
        for name, start, end in sorted(edges, key=lambda edge: edge[1]):
            if name != "none":
                groups.setdefault((start, name), []).append(end)
        self.groups = [(start, tuple(ends)) for (start, _), ends in groups.items()]
        self.operations = nn.ModuleList(
            OPERATIONS[name](channels, len(ends) * channels, 1) for (_, name), ends in groups.items()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> the same shape; a node without inputs is zero."""
        nodes: list[Tensor | None] = [x] + [None] * self.last
        for (start, ends), operation in zip(self.groups, self.operations, strict=True):
            source = nodes[start]
            if source is None:
                continue
            value: Tensor = operation(source)  # (b, c, h, w), or (b, ends * c, h, w) of several convolutions
            shared = value.shape[1] == self.channels
            for i, end in enumerate(ends):
                part = value if shared else value[:, i * self.channels : (i + 1) * self.channels]
                so_far = nodes[end]
                nodes[end] = part if so_far is None else so_far + part
        output = nodes[self.last]
        return x * 0 if output is None else output


class CellNetwork(nn.Module):
    """Stem, three stages of cells, residual reductions, classifier."""

    def __init__(self, edges: Sequence[Edge], skeleton: Skeleton) -> None:
        super().__init__()
        c = skeleton.channels
        self.stem = nn.Sequential(nn.Conv2d(skeleton.input_channels, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))
        stages: list[nn.Module] = []
        for width in (c, 2 * c, 4 * c):
            if width > c:
                stages.append(ResidualReduction(width // 2, width))
            stages.extend(Cell(edges, width) for _ in range(skeleton.cells))
        self.stages = nn.Sequential(*stages)
        self.last = nn.Sequential(nn.BatchNorm2d(4 * c), nn.ReLU())
        self.classifier = nn.Linear(4 * c, skeleton.classes)

    def forward(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float -> (b, classes) logits."""
        features: Tensor = self.last(self.stages(self.stem(images)))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits
