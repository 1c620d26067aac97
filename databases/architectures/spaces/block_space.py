"""Spaces of two cells of blocks, one that keeps the resolution and one that halves it.

A block is two earlier states of its cell, an operation on each, and how the results are joined. What no block
reads is concatenated as the cell's output (Zoph, Vasudevan, Shlens, Le, 2018; Pham, Guan, Zoph, Le, Dean, 2018).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from databases.architectures.cell_shape import CellShape
from databases.architectures.decisions import Chain, Decision, Program, Scope
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import Architecture, SharedSpace
from databases.architectures.typed_graph import GraphBatch, TypedNode

CELLS = ("normal", "reduction")
_BLOCK = re.compile(r"([\w-]+)\((\d)\)([+&])([\w-]+)\((\d)\)")
_SIGNS = {"add": "+", "concat": "&"}
_Plain = tuple[int, int, int, int, int]  # two states, two operations, a join


class BlockSpace(SharedSpace):
    """Architectures as ``sep3x3(0)+identity(1) ... / ...``: blocks of the normal cell, then of the reduction cell.

    States are numbered from the cell's inputs on; ``+`` adds, ``&`` concatenates. Equal keys are the same cells up
    to the order of blocks and of the two terms of a block, exactly; that two operations may compute the same (an
    identity added to itself) is not looked for.

    Args:
        name: of the space. example: a valid text.
        operations: option -> its name in `databases.architectures.networks.operations`.
        blocks: of each cell. inputs: states that a cell begins with. joins: ``add``, ``concat`` or both.
        network: module and class, called with both cells and the skeleton. shared: class of the supernet.
    """

    def __init__(
        self,
        name: str,
        operations: Mapping[str, str],
        *,
        network: str,
        shared: str = "BlockSupernet",
        example: str,
        blocks: int,
        inputs: int = 2,
        joins: Sequence[str] = ("add",),
    ) -> None:
        self.name, self.example, self.blocks, self.inputs = name, example, blocks, inputs
        self.operations, self.joins, self._network = dict(operations), tuple(joins), network
        self._shared = f"supernets.blocks:{shared}"
        self.options = tuple(operations)
        self.program = Parts(tuple(Scope(Parts(tuple(self._cell(cell))), inputs) for cell in CELLS))
        given = (f"{cell} input {number}" for cell in CELLS for number in range(inputs))
        self.node_types = ("padding", "output", *given, *joins, *self.options)

    def _cell(self, cell: str) -> Iterator[Program]:
        """The decisions of a cell's blocks, in NASNet's order."""
        for block in range(1, self.blocks + 1):
            operations = [Decision(f"{cell} {block} {which} operation", self.options) for which in ("first", "second")]
            join = [Decision(f"{cell} {block} join", self.joins)] if len(self.joins) > 1 else []
            *early, last = (*operations, *join)
            yield Chain(
                *(Decision(f"{cell} {block} {which} input", kind="pointer") for which in ("first", "second")),
                *early,
                Decision(last.name, last.options, adds_node=True),
            )

    def cells(self, architecture: Architecture) -> list[list[_Plain]]:
        """The blocks of both cells as numbers."""
        width = 4 + (len(self.joins) > 1)
        plain = [(*architecture.walk[i : i + width], 0)[:5] for i in range(0, len(architecture.walk), width)]
        return [plain[: self.blocks], plain[self.blocks :]]  # type: ignore[list-item]  # five numbers each

    def text(self, architecture: Architecture) -> str:
        """The blocks of the normal cell, a slash, those of the reduction cell."""
        return self._text(self.cells(architecture))

    def _text(self, cells: Sequence[Sequence[_Plain]]) -> str:
        return " / ".join(
            " ".join(
                f"{self.options[a]}({i}){_SIGNS[self.joins[join]]}{self.options[b]}({j})" for i, j, a, b, join in blocks
            )
            for blocks in cells
        )

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        walk: list[int] = []
        for found in _BLOCK.finditer(text):
            first, i, sign, second, j = found.groups()
            if first not in self.options or second not in self.options:
                raise self.refuse(text)
            walk += [int(i), int(j), self.options.index(first), self.options.index(second)]
            if len(self.joins) > 1:
                walk.append(self.joins.index("add" if sign == "+" else "concat"))
        return self.written(text, tuple(walk))

    def key(self, architecture: Architecture) -> str:
        """The text of the smallest of all equal descriptions."""
        given = {state: state for state in range(self.inputs)}
        return self._text([_smallest(blocks, self.inputs, given) for blocks in self.cells(architecture)])

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """For each cell its inputs and three nodes a block (two operations, join); one output."""
        places = len(CELLS) * (self.inputs + 3 * self.blocks) + 1
        return GraphBatch.of([self._graph(each) for each in architectures], self.node_types, places)

    def _graph(self, architecture: Architecture) -> list[TypedNode]:
        nodes: list[TypedNode] = []
        ends: list[int] = []
        for cell, blocks in zip(CELLS, self.cells(architecture), strict=True):
            states = [len(nodes) + number for number in range(self.inputs)]
            nodes += [(f"{cell} input {number}", ()) for number in range(self.inputs)]
            for i, j, first, second, join in blocks:
                place = len(nodes)
                nodes += [(self.options[first], [states[i]]), (self.options[second], [states[j]])]
                nodes.append((self.joins[join], [place, place + 1]))
                states.append(place + 2)
            read = {state for i, j, *_ in blocks for state in (i, j)}
            ends += [place for state, place in enumerate(states) if state >= self.inputs and state not in read]
        return [*nodes, ("output", ends)]

    def shape(self, architecture: Architecture) -> CellShape:
        """Of the normal cell; a block is a node with two edges."""
        return CellShape.of([block[:2] for block in self.cells(architecture)[0]], inputs=self.inputs)

    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """Both cells with the operations' full names."""
        names = list(self.operations.values())
        cells = (
            tuple((i, j, names[first], names[second], self.joins[join]) for i, j, first, second, join in blocks)
            for blocks in self.cells(architecture)
        )
        return Blueprint(self._network, (*cells, skeleton))

    def shared_blueprint(self, skeleton: Skeleton) -> Blueprint:
        """Every operation on every state that a block may read."""
        return Blueprint(self._shared, (tuple(self.operations.values()), self.blocks, skeleton, len(self.joins) > 1))

    def choices(self, architecture: Architecture) -> list[list[_Plain]]:
        """The blocks of both cells as numbers; a join by its place in `joins`."""
        return self.cells(architecture)


def _smallest(blocks: Sequence[_Plain], inputs: int, names: Mapping[int, int]) -> list[_Plain]:
    """The blocks that have no new name yet, renamed and put in the order that gives the smallest list."""
    ready = {}
    for state, (i, j, first, second, join) in enumerate(blocks, start=inputs):
        if state not in names and i in names and j in names:
            (i, first), (j, second) = sorted(((names[i], first), (names[j], second)))
            ready[state] = (i, j, first, second, join)
    if not ready:
        return []
    least = min(ready.values())
    equal = [state for state, block in ready.items() if block == least]
    return [least, *min(_smallest(blocks, inputs, {**names, state: len(names)}) for state in equal)]
