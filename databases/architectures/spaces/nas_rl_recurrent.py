"""Recurrent cells of NAS with reinforcement learning (Zoph, Le, 2017): a binary tree and a memory.

The first decision is the number of leaves (2 in the paper's figure, 8 in its experiments). Every node of the
tree then takes a combiner and an activation; last come how, and at which node, the memory is mixed in, and
the node whose value before its activation becomes the next memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from databases.architectures import decisions
from databases.architectures.decisions import Branch, Chain, Decision, Program
from databases.architectures.networks.plans import Tree
from databases.architectures.space import Architecture, RecurrentSpace
from databases.architectures.typed_graph import GraphBatch

if TYPE_CHECKING:
    from databases.architectures.networks.recurrent import TreeCell

LEAVES = (2, 4, 8)
COMBINERS = ("add", "multiply")
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu")
_NODE = re.compile(rf"({'|'.join(COMBINERS)}) ({'|'.join(ACTIVATIONS)})")
_TAIL = re.compile(rf"{_NODE.pattern} into (\d+), memory (\d+)")


def _tree(leaves: int) -> Program:
    parts = []
    for node in range(2 * leaves - 1):
        feeds = () if node < leaves else (2 * (node - leaves), 2 * (node - leaves) + 1)
        parts.append(Decision(f"{leaves} leaves: combiner {node}", COMBINERS))
        parts.append(Decision(f"{leaves} leaves: activation {node}", ACTIVATIONS, adds_node=True, feeds=feeds))
    return Chain(*parts)


class NASRLRecurrent(RecurrentSpace):
    """Trees of 2, 4 or 8 leaves."""

    name = "nas-rl-recurrent"
    example = "add tanh, multiply relu, multiply sigmoid; add relu into 0, memory 1"  # the paper's figure
    node_types = (
        *("padding", "input", "output", "last output", "last memory", "memory"),
        *(f"{combiner} {activation}" for combiner in COMBINERS for activation in ACTIVATIONS),
    )
    program = decisions.Sequence(
        (
            Branch.of("leaves", {str(leaves): _tree(leaves) for leaves in LEAVES}),
            Decision("memory combiner", COMBINERS),
            Decision("memory activation", ACTIVATIONS),
            Decision("memory into", kind="pointer"),
            Decision("memory from", kind="pointer"),
        )
    )

    def tree(self, architecture: Architecture) -> Tree:
        """The walk as a tree."""
        names = [
            (COMBINERS[combiner], ACTIVATIONS[activation])
            for combiner, activation in zip(architecture.walk[1:-2:2], architecture.walk[2:-2:2], strict=True)
        ]
        return Tree(tuple(names[:-1]), names[-1], architecture.walk[-2], architecture.walk[-1])

    def text(self, architecture: Architecture) -> str:
        """The nodes from the leaves to the root; then how and where the memory goes in, and where it comes from."""
        tree = self.tree(architecture)
        nodes = ", ".join(" ".join(each) for each in tree.nodes)
        return f"{nodes}; {' '.join(tree.inject)} into {tree.into}, memory {tree.memory}"

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        head, _, tail = text.partition("; ")
        nodes, last = [_NODE.fullmatch(each) for each in head.split(", ")], _TAIL.fullmatch(tail)
        leaves = (len(nodes) + 1) // 2
        if last is None or None in nodes or leaves not in LEAVES:
            raise self.refuse(text)
        pairs = [(each[1], each[2]) for each in (*nodes, last) if each]
        names = [i for a, b in pairs for i in (COMBINERS.index(a), ACTIVATIONS.index(b))]
        places = (int(last[3]), int(last[4]))
        if max(places) >= len(nodes):
            raise self.refuse(text)
        found = self.architecture((LEAVES.index(leaves), *names, *places))
        if self.text(found) != text:
            raise self.refuse(text)
        return found

    def key(self, architecture: Architecture) -> str:
        """The root's formula; both combiners commute, so their terms are sorted."""
        tree = self.tree(architecture)
        formulas: list[str] = []
        for node, (combiner, activation) in enumerate(tree.nodes):
            terms = sorted(formulas[i] for i in tree.children(node)) or ["x", "h"]
            formula = f" {combiner} ".join(terms)
            formula = f"{activation}({'memory: ' if node == tree.memory else ''}{formula})"
            if node == tree.into:
                formula = f"{tree.inject[1]}({formula} {tree.inject[0]} c)"
            formulas.append(formula)
        return formulas[-1]

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """Input, last output, last memory; the tree's nodes and the one that mixes the memory in; memory, output."""
        places = 2 * max(LEAVES) + 5
        types = np.zeros((len(architectures), places), dtype=np.int64)
        adjacency = np.zeros((len(architectures), places, places), dtype=np.float32)
        for row, architecture in enumerate(architectures):
            tree = self.tree(architecture)
            types[row, :3] = [self.node_types.index(each) for each in ("input", "last output", "last memory")]
            types[row, -2:] = [self.node_types.index(each) for each in ("memory", "output")]
            adjacency[row, -1, -2] = 1
            value: list[int] = []  # the place of each node's value
            free = 3
            for node, names in enumerate(tree.nodes):
                types[row, free] = self.node_types.index(" ".join(names))
                adjacency[row, free, [value[i] for i in tree.children(node)] or [0, 1]] = 1
                if node == tree.memory:
                    adjacency[row, -2, free] = 1
                if node == tree.into:
                    free += 1
                    types[row, free] = self.node_types.index(" ".join(tree.inject))
                    adjacency[row, free, [2, free - 1]] = 1
                value.append(free)
                free += 1
            adjacency[row, -1, value[-1]] = 1
        return GraphBatch(types, adjacency)

    def cell(self, architecture: Architecture, inputs: int, width: int) -> TreeCell:
        """The cell module."""
        from databases.architectures.networks.recurrent import TreeCell

        return TreeCell(self.tree(architecture), inputs, width)


NAS_RL_RECURRENT = NASRLRecurrent()
