"""Plans of networks as plain values: a chain of convolutions, a recurrent tree (Zoph, Le, 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Layer(NamedTuple):
    """One convolution, by (height, width). inputs: the earlier layers that it reads; none means the image."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    filters: int
    inputs: tuple[int, ...]


class Shape(NamedTuple):
    """What a layer meets. inputs: channels joined. height, width: of its output."""

    inputs: int
    height: int
    width: int


def unread(layers: Sequence[Layer]) -> list[int]:
    """The layers that no other reads."""
    read = {source for each in layers for source in each.inputs}
    return [i for i in range(len(layers)) if i not in read]


def shapes(layers: Sequence[Layer], *, channels: int, resolution: int) -> Iterator[Shape]:
    """The shape of each layer for a square image of so many channels."""
    sizes: list[tuple[int, int]] = []
    for each in layers:
        read = [sizes[i] for i in each.inputs] or [(resolution, resolution)]
        height, width = (
            (max(sides) - 1) // stride + 1 for sides, stride in zip(zip(*read, strict=True), each.stride, strict=True)
        )
        sizes.append((height, width))
        yield Shape(sum(layers[i].filters for i in each.inputs) or channels, height, width)


class Tree(NamedTuple):
    """A binary tree of combiners and activations (Zoph, Le, 2017), leaves first, then level by level to the root.

    Attributes:
        nodes: combiner and activation of each. inject: combiner and activation that mix the last memory into
            the value of the node ``into``. memory: the node whose value before activation is the new memory.
    """

    nodes: tuple[tuple[str, str], ...]
    inject: tuple[str, str]
    into: int
    memory: int

    @property
    def leaves(self) -> int:
        """Leaves, which combine a map of the input with a map of the last output."""
        return (len(self.nodes) + 1) // 2

    def children(self, node: int) -> tuple[int, ...]:
        """The two nodes that an inner node combines; none of a leaf."""
        first = 2 * (node - self.leaves)
        return () if node < self.leaves else (first, first + 1)
