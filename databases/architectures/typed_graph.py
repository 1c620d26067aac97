"""Architectures as typed directed acyclic graphs: what encoders read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

TypedNode: TypeAlias = tuple[str, Sequence[int]]  # its type, and the places of the nodes that feed it


@dataclass(frozen=True)
class GraphBatch:
    """Architectures as typed directed acyclic graphs, padded to one size.

    Attributes:
        types: (n, nodes) int64, the index of each node's type in ``Space.node_types``; 0 is padding. The last
            node is the output.
        adjacency: (n or 1, nodes, nodes) float32; entry [i, j] is 1 where node j feeds node i.
    """

    types: npt.NDArray[np.int64]
    adjacency: npt.NDArray[np.float32]

    @classmethod
    def of(cls, graphs: Sequence[Sequence[TypedNode]], node_types: Sequence[str], places: int) -> GraphBatch:
        """Lists of nodes, each fed by earlier ones and the last one the output, in ``places`` places each."""
        types = np.zeros((len(graphs), places), dtype=np.int64)
        adjacency = np.zeros((len(graphs), places, places), dtype=np.float32)
        number = {name: i for i, name in enumerate(node_types)}
        for row, nodes in enumerate(graphs):
            for place, (name, feeds) in enumerate(nodes):
                place = place if place < len(nodes) - 1 else places - 1
                types[row, place] = number[name]
                adjacency[row, place, list(feeds)] = 1
        return cls(types, adjacency)
