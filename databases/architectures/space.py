"""An architecture is one walk through a space; a space is a decision graph and what its walks mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from databases.architectures import decisions
from databases.architectures.cell_shape import CellShape
from databases.architectures.decisions import Program, State, Walk
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.typed_graph import GraphBatch
from databases.errors import UserError, unknown
from databases.registry import Registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """One walk through the space of that name; hashable, printed in the space's text form."""

    space: str
    walk: Walk

    def __str__(self) -> str:
        return space(self.space).text(self)


class Space(ABC):
    """A search space: its program of decisions, and the text, key and typed graph of each walk.

    Implementations give ``name``, ``program``, ``nodes`` (inputs that exist before the first decision),
    ``node_types`` (vocabulary of the typed graph, entry 0 for padding), ``example`` (a valid text) and the
    abstract methods. ``ranked`` tells whether what is shipped ranks it for a dataset; ``up_to`` how many pixels a side
    a dataset's images keep for it, where they have them (None: as many as is usual). What a walk builds is said by the
    subclasses: an `ImageSpace` builds image classifiers.
    """

    name: str
    program: Program
    nodes: int = 0
    node_types: tuple[str, ...]
    example: str
    ranked: bool = False
    up_to: int | None = None

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

    def brief(self, architecture: Architecture) -> str:
        """A shorter text for tables, which `parse` reads too; the text form itself where that is short enough."""
        return self.text(architecture)

    @abstractmethod
    def parse(self, text: str) -> Architecture:
        """The architecture of a text form; raises `UserError` that shows a valid one."""

    @abstractmethod
    def key(self, architecture: Architecture) -> str:
        """The canonical key: equal for architectures that compute the same thing."""

    def network_key(self, architecture: Architecture) -> Hashable:
        """Equal for architectures that build the same network, however they are written: by default the key."""
        return self.key(architecture)

    def canonical(self, architecture: Architecture) -> Architecture:
        """What stands for all with the same key: where they are not listed, each for itself."""
        return architecture

    @abstractmethod
    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """The typed graphs of many architectures at once, each with as many places as the space's largest."""

    def shape(self, architecture: Architecture) -> CellShape | None:
        """Width and depth of its cell, of the normal one where there are two; None where it has no cells."""
        return None

    def not_by(self, architecture: Architecture, recipe: str) -> str:
        """Why no training of an architecture is by a recipe of that name; empty: any name will do."""
        return ""

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
    """A space whose architectures are image classifiers.

    ``channels_last``: whether its networks may train in that memory layout on the CPU. There the backward pass of
    torch 2.13 (oneDNN) destroys the heap for some cells of NASNet's space.
    """

    channels_last: bool = False

    @abstractmethod
    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """How the network is made."""

    def network(self, architecture: Architecture, skeleton: Skeleton) -> nn.Module:
        """The trainable network, (batch, input_channels, height, width) -> (batch, classes)."""
        return self.blueprint(architecture, skeleton).build()

    def parameters(self, architecture: Architecture, skeleton: Skeleton) -> int:
        """Trainable parameters of the network."""
        from databases.architectures.networks import cost

        return cost.parameters(cost.without_weights(self.blueprint(architecture, skeleton).build))

    def flops(self, architecture: Architecture, skeleton: Skeleton, *, resolution: int) -> int:
        """Multiply-adds of convolutions and linear layers for one square image, and the last bias's additions."""
        from databases.architectures.networks import cost

        network = cost.with_zeros(cost.without_weights(self.blueprint(architecture, skeleton).build))
        return cost.multiply_adds(network, (skeleton.input_channels, resolution, resolution))


class SharedSpace(ImageSpace):
    """A space of image classifiers that can share the weights of one supernet."""

    @abstractmethod
    def shared_blueprint(self, skeleton: Skeleton) -> Blueprint:
        """How the supernet is made."""

    @abstractmethod
    def choices(self, architecture: Architecture) -> Any:
        """What the supernet is called with, beside the images, to compute the architecture."""

    def supernet(self, skeleton: Skeleton) -> nn.Module:
        """The supernet with fresh weights, normalised by each batch's own statistics."""
        from databases.architectures.supernets.mixed_edge import by_batch_statistics

        return by_batch_statistics(self.shared_blueprint(skeleton).build())


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
    def graph_numbers(self, architecture: Architecture) -> tuple[float, ...]:
        """Plain numbers about it, always as many; members of a class may differ in them."""

    @abstractmethod
    def canonical(self, architecture: Architecture) -> Architecture:
        """The cheapest architecture with the same key."""

    @abstractmethod
    def live(self, architecture: Architecture) -> Architecture | None:
        """The canonical one of its live parts alone, which computes the same; None where nothing reads the image."""

    def network_key(self, architecture: Architecture) -> Hashable:
        """What computes the same, by its live parts."""
        return self.live(architecture)


SPACES: Registry[Space] = Registry(
    "databases.architectures.spaces",
    {
        "nasbench201": "nasbench201:NASBENCH201",
        "nasnet": "nasnet:NASNET",
        "enas-macro": "enas_macro:ENAS_MACRO",
        "enas-micro": "enas_micro:ENAS_MICRO",
        "shufflenasnet": "shufflenasnet:SHUFFLENASNET",
        "nas-rl": "nas_rl:NAS_RL",
        "mobilenetv3": "mobilenetv3:MOBILENETV3",
        "pipeline": "pipeline:PIPELINE",
        "residual-subnets": "subnets:RESIDUAL_SUBNETS",
        "mobilenetv3-subnets": "subnets:MOBILENETV3_SUBNETS",
        "lite0-subnets": "subnets:LITE0_SUBNETS",
        "instanas": "instanas:INSTANAS",
        "nas-rl-recurrent": "nas_rl_recurrent:NAS_RL_RECURRENT",
        "enas-recurrent": "enas_recurrent:ENAS_RECURRENT",
    },
)
# what a name holds -> the class of the spaces that are made when their name is met
MADE: Registry[Any] = Registry("databases.architectures.spaces", {":": "reduced:Reduced"})
_Kind = TypeVar("_Kind", bound=Space)


def space(name: str) -> Space:
    """The space of that name; raises `UserError` that lists the known ones."""
    return _of_kind(name, Space, "")  # type: ignore[type-abstract]


def image_space(name: str, *, beside: Sequence[str] = ()) -> ImageSpace:
    """The space of image classifiers of that name; raises `UserError` that lists the known ones.

    ``beside`` are spaces that the asker knows to treat otherwise, and are listed too.
    """
    otherwise = "it holds no image classifiers to train from scratch"
    return _of_kind(name, ImageSpace, otherwise, beside)  # type: ignore[type-abstract]


def finite_space(name: str) -> FiniteSpace:
    """The space of that name whose every architecture can be ranked; raises `UserError` that lists the known ones."""
    return _of_kind(name, FiniteSpace, "it cannot be ranked as a whole")  # type: ignore[type-abstract]


def shared_space(name: str) -> SharedSpace:
    """The space of that name whose architectures can share weights; raises `UserError` that lists the known ones."""
    return _of_kind(name, SharedSpace, "it has no supernet")  # type: ignore[type-abstract]


def recurrent_space(name: str) -> RecurrentSpace:
    """The space of recurrent cells of that name; raises `UserError` that lists the known ones."""
    return _of_kind(name, RecurrentSpace, "it builds no recurrent cells")  # type: ignore[type-abstract]


def _of_kind(name: str, kind: type[_Kind], otherwise: str, beside: Sequence[str] = ()) -> _Kind:
    found = SPACES.get(name)
    if found is None and ":" in name:
        found = MADE[":"].named(name)
    if isinstance(found, kind):
        return found
    allowed = [*beside, *(each.name for each in SPACES.values() if isinstance(each, kind))]
    if found is None:
        raise unknown("space", name, allowed)
    raise UserError(f"given the space {name!r}, but {otherwise}: choose one of {', '.join(allowed)}")
