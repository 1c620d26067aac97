"""Width and depth of a cell (Shu, Wang, Cai, 2020): found cells are wide and shallow, and such cells learn fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CellShape:
    """How wide and deep a cell is.

    Attributes:
        width: in units of the cell's channels: the sum over its intermediate nodes of the share of their edges
            that come from the cell's inputs.
        depth: edges on the longest path from an input to the output.
    """

    width: float
    depth: int

    @classmethod
    def of(cls, sources: Sequence[Sequence[int]], *, inputs: int, concatenated: bool = True) -> CellShape:
        """The shape of a cell whose nodes are fed by earlier ones.

        Args:
            sources: for each intermediate node the nodes that its edges come from, one an edge; a node without
                edges counts as absent.
            inputs: how many nodes the cell begins with, numbered from 0.
            concatenated: the output joins what no node reads, which is one edge more; else it is the last node.
        """
        depths = [0] * inputs
        for edges in sources:
            depths.append(1 + max((depths[each] for each in edges), default=-1))
        width = sum(sum(each < inputs for each in edges) / len(edges) for edges in sources if edges)
        return cls(width, max(depths) + 1 if concatenated else depths[-1])
