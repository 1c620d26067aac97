"""ENAS's recurrent cells (Pham, Guan, Zoph, Le, Dean, 2018): gated nodes, each reading an earlier one.

The first decision is the number of nodes (12 in the paper's experiments; fewer suit a small text).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from databases.architectures.decisions import Branch, Chain, Decision
from databases.architectures.space import Architecture, RecurrentSpace
from databases.architectures.typed_graph import GraphBatch

if TYPE_CHECKING:
    from databases.architectures.networks.recurrent import HighwayCell
    from databases.architectures.supernets.recurrent import SharedHighwayCell

NODES = (4, 8, 12)
ACTIVATIONS = ("tanh", "relu", "identity", "sigmoid")
_NODE = re.compile(rf"({'|'.join(ACTIVATIONS)}) of (\d+)")
_ACTIVATION = Decision("activation", ACTIVATIONS, adds_node=True)
_LATER = (Decision("reads", kind="pointer"), _ACTIVATION)


class ENASRecurrent(RecurrentSpace):
    """Cells of 4, 8 or 12 nodes; the first reads the input and the last output."""

    name = "enas-recurrent"
    example = "tanh, relu of 0, sigmoid of 0, identity of 2"
    node_types = ("padding", "input", "output", "last output", *ACTIVATIONS)
    program = Branch.of("nodes", {str(count): Chain(_ACTIVATION, *_LATER * (count - 1)) for count in NODES})

    def text(self, architecture: Architecture) -> str:
        """Each node's activation and, but for the first, the node that it reads."""
        activations, previous = self.nodes_of(architecture)
        rest = [f"{name} of {source}" for name, source in zip(activations[1:], previous, strict=True)]
        return ", ".join([activations[0], *rest])

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        first, *others = text.split(", ")
        rest = [_NODE.fullmatch(each) for each in others]
        if first not in ACTIVATIONS or None in rest or len(rest) + 1 not in NODES:
            raise self.refuse(text)
        walk = [NODES.index(len(rest) + 1), ACTIVATIONS.index(first)]
        for node, found in enumerate((each for each in rest if each), 1):
            if int(found[2]) >= node:
                raise self.refuse(text)
            walk += [int(found[2]), ACTIVATIONS.index(found[1])]
        architecture = self.architecture(tuple(walk))
        if self.text(architecture) != text:
            raise self.refuse(text)
        return architecture

    def key(self, architecture: Architecture) -> str:
        """Every node followed by its readers, sorted: as each node reads one other, the nodes are a rooted tree."""
        activations, previous = self.nodes_of(architecture)
        readers: list[list[str]] = [[] for _ in activations]
        for node in reversed(range(len(activations))):  # readers come after what they read
            formula = f"{activations[node]}({', '.join(sorted(readers[node]))})"
            if node == 0:
                return formula
            readers[previous[node - 1]].append(formula)
        raise AssertionError("a cell has a first node")

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """Input, last output, the nodes, output."""
        types = np.zeros((len(architectures), max(NODES) + 3), dtype=np.int64)
        adjacency = np.zeros((len(architectures), max(NODES) + 3, max(NODES) + 3), dtype=np.float32)
        for row, architecture in enumerate(architectures):
            activations, previous = self.nodes_of(architecture)
            types[row, [0, 1, -1]] = [self.node_types.index(each) for each in ("input", "last output", "output")]
            types[row, 2 : 2 + len(activations)] = [self.node_types.index(each) for each in activations]
            adjacency[row, 2, :2] = 1
            for node, source in enumerate(previous, 1):
                adjacency[row, node + 2, source + 2] = 1
            adjacency[row, -1, [node + 2 for node in range(len(activations)) if node not in previous]] = 1
        return GraphBatch(types, adjacency)

    def cell(self, architecture: Architecture, inputs: int, width: int) -> HighwayCell:
        """The cell module."""
        from databases.architectures.networks.recurrent import HighwayCell

        return HighwayCell(*self.nodes_of(architecture), inputs, width)

    def shared_cell(self, inputs: int, width: int) -> SharedHighwayCell:
        """The weights of all cells, each of which it becomes by `nodes_of`."""
        from databases.architectures.supernets.recurrent import SharedHighwayCell

        return SharedHighwayCell(max(NODES), inputs, width)

    def nodes_of(self, architecture: Architecture) -> tuple[list[str], list[int]]:
        """The activations (nodes,) and, of each node but the first, the node that it reads."""
        return [ACTIVATIONS[choice] for choice in architecture.walk[1::2]], list(architecture.walk[2::2])


ENAS_RECURRENT = ENASRecurrent()
