"""The space of InstaNAS (Cheng, Lin, Juan, Wei, Sun, 2020): 17 layers of five modules, each on or off: 2^85 children.

The published skeleton is MobileNetV2's. A layer that changes the shape needs a module: where all are off, its plain
one is on, so that these two walks are the same child.
"""

from __future__ import annotations

from collections.abc import Sequence

from databases.architectures.decisions import Chain, Decision
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import Architecture, SharedSpace
from databases.architectures.typed_graph import GraphBatch, TypedNode

MODULES = ("3x3e6", "3x3e3", "5x5e6", "5x5e3", "plain")
REPEATS, CHANNELS = (1, 2, 3, 4, 3, 3, 1), (1.0, 1.5, 2.0, 4.0, 6.0, 10.0, 20.0)
STRIDES = (1, 1, 2, 2, 1, 2, 1)  # for images of about 32 pixels
NONE = "-"


class InstaNAS(SharedSpace):
    """Architectures as ``3x3e6 3x3e6+plain - ...``: the modules that are on in each layer."""

    name = "instanas"
    node_types = ("padding", "output", "input", "add", *MODULES)
    example = " ".join(["3x3e6"] * 8 + ["3x3e6+5x5e3", "-", *["3x3e6"] * 6, "5x5e6+plain"])

    def __init__(self) -> None:
        self.layers = sum(REPEATS)
        self.stages = tuple(zip(CHANNELS, REPEATS, STRIDES, strict=True))
        places = (f"layer {layer} {name}" for layer in range(self.layers) for name in MODULES)
        self.program = Chain(*(Decision(place, ("off", "on")) for place in places))
        shapes = [(times, stride if place == 0 else 1) for times, many, stride in self.stages for place in range(many)]
        before = (1.0, *(times for times, _ in shapes))
        self.keeps = tuple(stride == 1 and times == old for (times, stride), old in zip(shapes, before, strict=False))

    def modules(self, architecture: Architecture) -> tuple[tuple[str, ...], ...]:
        """The modules that are on in each layer, with the plain one where a layer needs one."""
        pairs = zip(self._on(architecture), self.keeps, strict=True)
        return tuple(names if names or keeps else MODULES[-1:] for names, keeps in pairs)

    def _on(self, architecture: Architecture) -> list[tuple[str, ...]]:
        """The modules that a walk turns on in each layer."""
        width = len(MODULES)
        bits = (architecture.walk[width * layer :][:width] for layer in range(self.layers))
        return [tuple(name for name, bit in zip(MODULES, each, strict=True) if bit) for each in bits]

    def text(self, architecture: Architecture) -> str:
        """The layers, each with its modules or a dash."""
        return " ".join("+".join(names) or NONE for names in self._on(architecture))

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        walk: list[int] = []
        for layer in text.split(" "):
            names = [] if layer == NONE else layer.split("+")
            if not set(names) <= set(MODULES):
                raise self.refuse(text)
            walk += [int(name in names) for name in MODULES]
        return self.written(text, tuple(walk))

    def key(self, architecture: Architecture) -> str:
        """The modules that are really on."""
        return " ".join("+".join(names) or NONE for names in self.modules(architecture))

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """Input; the modules that are on and their sum for each layer; output."""
        places = 2 + self.layers * (len(MODULES) + 1)
        return GraphBatch.of([self._graph(each) for each in architectures], self.node_types, places)

    def _graph(self, architecture: Architecture) -> list[TypedNode]:
        nodes: list[TypedNode] = [("input", ())]
        for names, keeps in zip(self.modules(architecture), self.keeps, strict=True):
            before = len(nodes) - 1
            nodes += [(name, [before]) for name in names]
            nodes.append(("add", [*([before] if keeps else []), *range(before + 1, len(nodes))]))
        return [*nodes, ("output", [len(nodes) - 1])]

    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """The layers with their modules; the skeleton's cells have no meaning here."""
        return Blueprint("supernets.instanas:MetaGraph", (self.modules(architecture), self.stages, skeleton))

    def shared_blueprint(self, skeleton: Skeleton) -> Blueprint:
        """All modules of all layers."""
        return Blueprint("supernets.instanas:MetaGraph", ((MODULES,) * self.layers, self.stages, skeleton))

    def choices(self, architecture: Architecture) -> tuple[tuple[bool, ...], ...]:
        """Of each layer, which modules are on."""
        return tuple(tuple(name in names for name in MODULES) for names in self.modules(architecture))


INSTANAS = InstaNAS()
