"""An architecture is one walk through a space; a space is a decision graph and what its walks mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.architectures import decisions
from databases.architectures.cell_shape import CellShape
from databases.architectures.decisions import Part, State, Walk
from databases.errors import UserError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """One walk through the space of that name; hashable, printed in the space's text form."""

    space: str
    walk: Walk

    def __str__(self) -> str:
        from databases.architectures.spaces import space

        return space(self.space).text(self)


@dataclass(frozen=True)
class Skeleton:
    """What surrounds the searched cell: width, depth, input channels and number of classes."""

    channels: int = 16
    cells: int = 5
    input_channels: int = 3
    classes: int = 10


@dataclass(frozen=True)
class Blueprint:
    """How a network is made: ``network`` called with the ``arguments``; an export writes both down as text.

    Args:
        network: module and class within `databases.architectures`, such as ``network:CellNetwork``, which need
            torch alone.
        arguments: plain values, and dataclasses of them.
    """

    network: str
    arguments: tuple[object, ...]

    def build(self) -> nn.Module:
        """The network, with fresh weights."""
        module, name = self.network.split(":")
        made: nn.Module = getattr(import_module(f"databases.architectures.{module}"), name)(*self.arguments)
        return made


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


class Space(ABC):
    """A search space: its program of decisions, and the text, key and typed graph of each walk.

    Implementations give ``name``, ``program``, ``nodes`` (inputs that exist before the first decision),
    ``node_types`` (vocabulary of the typed graph, entry 0 for padding), ``example`` (a valid text) and the
    abstract methods. What a walk builds is said by the subclasses: an `ImageSpace` builds image classifiers.
    """

    name: str
    program: Part
    nodes: int = 0
    node_types: tuple[str, ...]
    example: str

    def start(self) -> State:
        """The state before the first decision."""
        return decisions.start(self.program, nodes=self.nodes)

    def architecture(self, walk: Walk) -> Architecture:
        """The architecture of a complete walk; raises `UserError` where the graph does not offer it."""
        for _ in decisions.states(self.program, walk, nodes=self.nodes):
            pass
        return Architecture(self.name, tuple(walk))

    def met(self, walk: Walk) -> set[str]:
        """The names of the decisions on a walk."""
        states = decisions.states(self.program, walk, nodes=self.nodes)
        return {state.decision.name for state in states if state.decision is not None}

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture, in lexicographic order of the walks; of a large space take the first few."""
        return (Architecture(self.name, walk) for walk in decisions.walks(self.program, nodes=self.nodes))

    @cached_property
    def size(self) -> int:
        """Number of walks."""
        return decisions.count(self.program, nodes=self.nodes)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """A walk with uniform choices."""
        state, walk = self.start(), []
        while state.decision is not None:
            walk.append(int(rng.integers(state.choices)))
            state = state.take(walk[-1])
        return Architecture(self.name, tuple(walk))

    @abstractmethod
    def text(self, architecture: Architecture) -> str:
        """The text form; `parse` reads it back."""

    @abstractmethod
    def parse(self, text: str) -> Architecture:
        """The architecture of a text form; raises `UserError` that shows a valid one."""

    @abstractmethod
    def key(self, architecture: Architecture) -> str:
        """The canonical key: equal for architectures that compute the same thing."""

    @abstractmethod
    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """The typed graphs of many architectures at once, each with as many places as the space's largest."""

    def shape(self, architecture: Architecture) -> CellShape | None:
        """Width and depth of its cell, of the normal one where there are two; None where it has no cells."""
        return None

    def written(self, text: str, walk: Walk) -> Architecture:
        """The architecture of a walk that was read from ``text``; refuses a text that is not exactly its own."""
        try:
            architecture = self.architecture(walk)
        except UserError:
            raise self.refuse(text) from None
        if self.text(architecture) != text:
            raise self.refuse(text)
        return architecture

    def refuse(self, text: str) -> UserError:
        """The error for a text that is no architecture of this space."""
        return UserError(f"{text!r} is no architecture of the space {self.name!r}: write it like {self.example!r}")


class ImageSpace(Space):
    """A space whose architectures are image classifiers."""

    @abstractmethod
    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """How the network is made."""

    def network(self, architecture: Architecture, skeleton: Skeleton) -> nn.Module:
        """The trainable network, (batch, input_channels, height, width) -> (batch, classes)."""
        return self.blueprint(architecture, skeleton).build()

    def parameters(self, architecture: Architecture, skeleton: Skeleton) -> int:
        """Trainable parameters of the network."""
        from databases.architectures import cost

        return cost.parameters(cost.without_weights(self.blueprint(architecture, skeleton).build))

    def flops(self, architecture: Architecture, skeleton: Skeleton, *, resolution: int) -> int:
        """Multiply-adds of convolutions and linear layers for one square image, and the last bias's additions."""
        from databases.architectures import cost

        network = cost.with_zeros(cost.without_weights(self.blueprint(architecture, skeleton).build))
        return cost.multiply_adds(network, (skeleton.input_channels, resolution, resolution))


class RecurrentSpace(Space):
    """A space whose architectures are recurrent cells, for text."""

    @abstractmethod
    def cell(self, architecture: Architecture, inputs: int, width: int) -> nn.Module:
        """The trainable cell, with the interface of `torch.nn.LSTM`.

        ``(steps, batch, inputs), state -> (steps, batch, width), state``; the state None is zero.
        """


class FiniteSpace(ImageSpace):
    """A space of image classifiers that is small enough to list and rank as a whole."""

    @property
    @abstractmethod
    def classes(self) -> tuple[Architecture, ...]:
        """The cheapest architecture of each canonical class, in a fixed order."""

    @abstractmethod
    def class_number(self, architecture: Architecture) -> int:
        """The index in `classes` of the architecture's class."""

    @abstractmethod
    def describe(self, architecture: Architecture) -> tuple[float, ...]:
        """Plain numbers about it, always as many; members of a class may differ in them."""

    @abstractmethod
    def canonical(self, architecture: Architecture) -> Architecture:
        """The cheapest architecture with the same key."""

    @abstractmethod
    def live(self, architecture: Architecture) -> Architecture | None:
        """The canonical one of its live parts alone, which computes the same; None where nothing reads the image."""
