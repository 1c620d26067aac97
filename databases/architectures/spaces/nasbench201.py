"""NAS-Bench-201 (Dong, Yang, 2020): a cell of four nodes whose six edges take one of five operations.

15,625 walks, 6,466 canonical classes: zeroed paths and identities are dropped and the terms of each sum
sorted, exactly as the benchmark's published labelling does it. The typed graph has the operation as node:
input, the six edges, output (the layout of MetaD2A; Lee, Hyung, Hwang, 2021).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np

from databases.architectures.cell_shape import CellShape
from databases.architectures.decisions import Chain, Decision, Walk
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import Architecture, FiniteSpace, SharedSpace
from databases.architectures.typed_graph import GraphBatch

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
KERNELS = {2: 1, 3: 3}  # operation -> kernel of its convolution
EXAMPLE = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|avg_pool_3x3~1|skip_connect~2|"
_BRIEF = {
    "none": "none",
    "skip_connect": "skip",
    "nor_conv_1x1": "1x1",
    "nor_conv_3x3": "3x3",
    "avg_pool_3x3": "pool",
}
_NONE, _SKIP = 0, 1
_Network: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]


def _feeds(edge: tuple[int, int]) -> tuple[int, ...]:
    """Nodes of the typed graph (0 is the input, i + 1 the i-th edge) that feed an edge's operation."""
    return tuple(i + 1 for i, (_, end) in enumerate(EDGES) if end == edge[0]) or (0,)


class NASBench201(FiniteSpace, SharedSpace):
    """The cell space of NAS-Bench-201 as a chain of six decisions."""

    name, example = "nasbench201", EXAMPLE
    ranked = True
    nodes = 1
    channels_last = True  # no cell ever failed, and the recorded measurements were made so
    node_types = ("padding", "input", "output", *OPERATIONS)
    program = Chain(*(Decision(f"{a}->{b}", OPERATIONS, adds_node=True, feeds=_feeds((a, b))) for a, b in EDGES))

    def text(self, architecture: Architecture) -> str:
        """The benchmark's own string, ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        pairs = zip(architecture.walk, EDGES, strict=True)
        parts = [f"|{OPERATIONS[op]}~{start}" for op, (start, _) in pairs]
        return f"{parts[0]}|+{parts[1]}{parts[2]}|+{parts[3]}{parts[4]}{parts[5]}|"

    def brief(self, architecture: Architecture) -> str:
        """The operations as ``3x3|skip 3x3|none pool skip``, one group for each node."""
        words = [_BRIEF[OPERATIONS[choice]] for choice in architecture.walk]
        return "|".join((words[0], " ".join(words[1:3]), " ".join(words[3:])))

    def parse(self, text: str) -> Architecture:
        """Reads the benchmark's string or the brief text; raises `UserError` on anything else."""
        if (brief := _read_brief(text)) is not None:
            return self.architecture(brief)
        found = re.findall(r"\|([a-z0-9_]+)~\d", text)
        if len(found) != len(EDGES) or any(name not in OPERATIONS for name in found):
            raise self.refuse(text)
        return self.written(text, tuple(OPERATIONS.index(name) for name in found))

    def key(self, architecture: Architecture) -> str:
        """The cell as a nested sum with zeroed paths and identities dropped."""
        return _key(architecture.walk)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The class's member with the fewest convolution weights and live operations."""
        return self._representatives[_key(architecture.walk)]

    def live(self, architecture: Architecture) -> Architecture | None:
        """The cheapest of all cells that are the same network: without edges off all paths from input to output.

        The published key may keep such edges, and tells apart what no network does: nodes 1 and 2 swapped, and the
        ends between which an identity stands.
        """
        left = self._without_dead_edges(architecture)
        return None if left is None else self._networks[_network(left.walk)]

    def _without_dead_edges(self, architecture: Architecture) -> Architecture | None:
        """The canonical cell of its live edges; None where there are none."""
        edges = {edge for path in _paths(architecture.walk) for edge in path}
        kept = tuple(op if edge in edges else _NONE for edge, op in enumerate(architecture.walk))
        return self.canonical(Architecture(self.name, kept)) if edges else None

    @cached_property
    def _networks(self) -> dict[_Network, Architecture]:
        """The cheapest class of each network."""
        cells = (each for each in map(self._without_dead_edges, self.classes) if each is not None)
        dearest_first = sorted(dict.fromkeys(cells), key=lambda each: (_effort(each.walk), each.walk), reverse=True)
        return {_network(each.walk): each for each in dearest_first}

    def class_number(self, architecture: Architecture) -> int:
        """The index in `classes` of the architecture's class."""
        return self._numbers[_key(architecture.walk)]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {key: number for number, key in enumerate(self._representatives)}

    @cached_property
    def classes(self) -> tuple[Architecture, ...]:
        """One architecture for each of the 6,466 canonical classes."""
        return tuple(self._representatives.values())

    @cached_property
    def _representatives(self) -> dict[str, Architecture]:
        best: dict[str, tuple[int, Architecture]] = {}
        for architecture in self.enumerate():
            key = _key(architecture.walk)
            cost = _effort(architecture.walk)
            if key not in best or cost < best[key][0]:
                best[key] = (cost, architecture)
        return {key: architecture for key, (_, architecture) in best.items()}

    def graph_numbers(self, architecture: Architecture) -> tuple[float, ...]:
        """Live 3x3, 1x1, pooling and skip edges; most and fewest convolutions on a path; paths; log of live weights.

        An edge is live where it lies on a path from input to output; all zero for a cell without a path. The weights
        are those of its convolutions for one input and one output channel.
        """
        paths = _paths(architecture.walk)
        live = {edge for path in paths for edge in path}
        count = [sum(architecture.walk[edge] == op for edge in live) for op in (3, 2, 4, 1)]
        depths = [sum(architecture.walk[edge] in KERNELS for edge in path) for path in paths]
        weights = sum(KERNELS[architecture.walk[edge]] ** 2 for edge in live if architecture.walk[edge] in KERNELS)
        return (*count, max(depths, default=0), min(depths, default=0), len(paths), float(np.log1p(weights)))

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """Eight nodes each: input, one for every edge's operation, output; one adjacency serves all."""
        walks = np.array([each.walk for each in architectures], dtype=np.int64).reshape(-1, len(EDGES))
        types = np.empty((len(walks), len(EDGES) + 2), dtype=np.int64)
        types[:, 0], types[:, -1], types[:, 1:-1] = 1, 2, walks + 3
        return GraphBatch(types, _ADJACENCY[None])

    def shape(self, architecture: Architecture) -> CellShape:
        """Of its live edges; node 3 is both the last node and the output."""
        live = {edge for path in _paths(architecture.walk) for edge in path}
        ends = [[start for i, (start, end) in enumerate(EDGES) if end == node and i in live] for node in (1, 2, 3)]
        return CellShape.of(ends, inputs=1, concatenated=False)

    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """The published skeleton around the cell."""
        pairs = zip(architecture.walk, EDGES, strict=True)
        edges = tuple((OPERATIONS[op], start, end) for op, (start, end) in pairs)
        return Blueprint("cells:CellNetwork", (edges, skeleton))

    def shared_blueprint(self, skeleton: Skeleton) -> Blueprint:
        """The published skeleton around cells with every operation on every edge."""
        return Blueprint("supernets.cells:CellSupernet", (OPERATIONS, EDGES, skeleton))

    def choices(self, architecture: Architecture) -> Walk:
        """The operation of each edge."""
        return architecture.walk

    def parameters(self, architecture: Architecture, skeleton: Skeleton) -> int:
        """Weights of convolutions, normalisations and the linear layer (equal to the published column)."""
        c, total, kernels = skeleton.channels, 0, _kernels(architecture.walk)
        widths = (c, 2 * c, 4 * c)
        total += 9 * skeleton.input_channels * c + 2 * c  # stem
        for width in widths:
            total += skeleton.cells * sum(k * k * width * width + 2 * width for k in kernels)
        for width in widths[1:]:  # residual block: two 3x3 convolutions with normalisation, 1x1 short cut
            total += 9 * width * width // 2 + 9 * width * width + 4 * width + width * width // 2
        return total + 2 * widths[-1] + widths[-1] * skeleton.classes + skeleton.classes

    def flops(self, architecture: Architecture, skeleton: Skeleton, *, resolution: int) -> int:
        """Multiply-adds and the last bias's additions for a square image (equal to the published column)."""
        c, side = skeleton.channels, resolution
        total = 9 * skeleton.input_channels * c * side * side
        of_cells = skeleton.cells * sum(k * k for k in _kernels(architecture.walk))
        for stage, width in enumerate((c, 2 * c, 4 * c)):
            if stage:  # residual block: 3x3 with stride 2, 3x3, 1x1 short cut
                side = (side + 1) // 2
                total += (9 * width * width // 2 + 9 * width * width + width * width // 2) * side * side
            total += of_cells * width * width * side * side
        return total + (4 * c + 1) * skeleton.classes


def _read_brief(text: str) -> Walk | None:
    """The walk of a brief text; None for anything else."""
    groups = [group.split() for group in text.split("|")]
    words = [word for group in groups for word in group]
    named = {brief: OPERATIONS.index(name) for name, brief in _BRIEF.items()}
    if [len(group) for group in groups] != [1, 2, 3] or not named.keys() >= set(words):
        return None
    return tuple(named[word] for word in words)


def _paths(walk: Walk) -> list[tuple[int, ...]]:
    """The paths from input to output that no zeroed edge cuts."""
    return [path for path in _PATHS if all(walk[edge] != _NONE for edge in path)]


def _network(walk: Walk) -> _Network:
    """What a cell adds up, and its convolutions: equal for cells that are the same network, but for its weights.

    Every node is a sum of terms, an operation applied to an earlier node's sum; an identity hands on the terms. A
    convolution that two terms share counts once, so that it differs from two convolutions of the same kind.
    """
    sums: list[list[str]] = [["x"], [], [], []]
    weights = []
    for op, (start, end) in zip(walk, EDGES, strict=True):
        if op == _SKIP:
            sums[end] += sums[start]
        elif op != _NONE and sums[start]:
            term = f"{OPERATIONS[op]}({'+'.join(sorted(sums[start]))})"
            sums[end].append(term)
            weights += [term] if op in KERNELS else []
    return tuple(sorted(sums[3])), tuple(sorted(weights))


def _effort(walk: Walk) -> int:
    """What a cell costs, for an order of those that compute the same."""
    return sum(_EFFORT[op] for op in walk)


def _kernels(walk: Walk) -> list[int]:
    return [KERNELS[op] for op in walk if op in KERNELS]


def _key(walk: Walk) -> str:
    def along(op: int, value: str) -> str:
        if op == _NONE or value == "#":
            return "#"
        return value if op == _SKIP else f"({value})@{OPERATIONS[op]}"

    first = along(walk[0], "0")
    second = "+".join(sorted((along(walk[1], "0"), along(walk[2], first))))
    return "+".join(sorted((along(walk[3], "0"), along(walk[4], first), along(walk[5], second))))


_PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))  # the four paths from input to output, as edges
_EFFORT = (0, 1, 100, 900, 10)  # none, skip, 1x1, 3x3, pool: orders the members of a class by cost
_ADJACENCY = np.zeros((len(EDGES) + 2, len(EDGES) + 2), dtype=np.float32)
for _i, _edge in enumerate(EDGES):
    _ADJACENCY[_i + 1, list(_feeds(_edge))] = 1
    if _edge[1] == 3:
        _ADJACENCY[-1, _i + 1] = 1


NASBENCH201 = NASBench201()
