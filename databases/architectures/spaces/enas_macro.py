"""The macro space of ENAS (Pham, Guan, Zoph, Le, Dean, 2018): a row of layers, each with skip connections.

A layer applies one of six operations to the layer before it, and a subset decision says which earlier layers'
outputs are added: 6^n * 2^(n (n - 1) / 2) networks of n layers, as in the paper. (The authors' code adds the
outputs one layer further back, the stem's included.) A separable convolution is applied twice, as in the micro
space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from databases.architectures.decisions import Chain, Decision
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import Architecture, SharedSpace
from databases.architectures.typed_graph import GraphBatch, TypedNode

OPERATIONS = ("conv3x3", "conv5x5", "sep3x3", "sep5x5", "avg3x3", "max3x3")
_LAYER = re.compile(r"(\w+)((?:\+\d{1,2})*)")


class ENASMacro(SharedSpace):
    """Architectures as ``conv3x3 sep5x5+0 ...``: layers, each with the numbers of the layers added to it."""

    name = "enas-macro"
    node_types = ("padding", "output", "input", "add", *OPERATIONS)
    example = (
        "conv3x3 sep3x3+0 sep5x5 max3x3+0+2 sep3x3 conv5x5+1+4 avg3x3 sep3x3+5 sep5x5+3 conv3x3 max3x3+8 sep3x3+0+9"
    )

    def __init__(self, layers: int = 12) -> None:
        self.layers = layers
        self.program = Chain(*self._decisions())

    def _decisions(self) -> Iterator[Decision]:
        yield Decision("layer 0 operation", OPERATIONS, adds_node=True)
        for place in range(1, self.layers):
            yield Decision(f"layer {place} operation", OPERATIONS)
            yield Decision(f"layer {place} skips", kind="subset", adds_node=True)

    def plan(self, architecture: Architecture) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Each layer's operation and the earlier layers that are added to it."""
        operations = architecture.walk[:1] + architecture.walk[1::2]
        masks = (0, *architecture.walk[2::2])
        return tuple(
            (OPERATIONS[operation], tuple(skip for skip in range(place) if mask >> skip & 1))
            for place, (operation, mask) in enumerate(zip(operations, masks, strict=True))
        )

    def text(self, architecture: Architecture) -> str:
        """The layers, each with what is added to it."""
        return " ".join("+".join((name, *map(str, skips))) for name, skips in self.plan(architecture))

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        walk: list[int] = []
        for found in _LAYER.finditer(text):
            name, skips = found[1], found[2].split("+")[1:]
            if name not in OPERATIONS:
                raise self.refuse(text)
            walk += [OPERATIONS.index(name)] + [sum({1 << int(skip) for skip in skips})] * bool(walk)
        return self.written(text, tuple(walk))

    def key(self, architecture: Architecture) -> str:
        """The text: as every layer reads the one before it, no two walks describe the same graph."""
        return self.text(architecture)

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """Input; an operation and a sum for each layer; output."""
        return GraphBatch.of([self._graph(each) for each in architectures], self.node_types, 2 * self.layers + 2)

    def _graph(self, architecture: Architecture) -> list[TypedNode]:
        nodes: list[TypedNode] = [("input", ())]
        for place, (name, skips) in enumerate(self.plan(architecture)):
            nodes += [(name, [2 * place]), ("add", [2 * place + 1, *(2 * skip + 2 for skip in skips)])]
        return [*nodes, ("output", [2 * self.layers])]

    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """The layers; the skeleton's cells have no meaning here."""
        return Blueprint("macro:MacroNetwork", (self.plan(architecture), skeleton))

    def shared_blueprint(self, skeleton: Skeleton) -> Blueprint:
        """Every operation in every layer."""
        return Blueprint("supernets.macro:MacroSupernet", (OPERATIONS, self.layers, skeleton))

    def choices(self, architecture: Architecture) -> list[tuple[int, tuple[int, ...]]]:
        """Each layer's operation by its number, and its skip connections."""
        return [(OPERATIONS.index(name), skips) for name, skips in self.plan(architecture)]


ENAS_MACRO = ENASMacro()
