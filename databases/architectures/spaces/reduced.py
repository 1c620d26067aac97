"""A space of fewer options: what the good architectures of a similar task use (Le, Soltani, Ravier, Tarokh, 2021).

Its shape stays, and which earlier nodes are pointed to stays free; only the options are fewer. Its name says which,
as in ``nasbench201:nor_conv_3x3+skip_connect``, so that it is found by name like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from databases.architectures import decisions
from databases.architectures.decisions import Branch, Decision, Program, Repeat, Scope, State
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import Architecture, ImageSpace, image_space
from databases.architectures.typed_graph import GraphBatch
from databases.errors import UserError

if TYPE_CHECKING:
    from databases.architectures.cell_shape import CellShape

BEFORE, BETWEEN = ":", "+"  # the options in a name


class Reduced(ImageSpace):
    """A space in which every decision keeps those of its options that are ``kept``, or all where none is.

    Its architectures have walks of their own; `whole` and `within` lead to those of the space that it reduces. Their
    texts and keys are the same.
    """

    def __init__(self, of: ImageSpace, kept: Collection[str]) -> None:
        self.of, self.name = of, f"{of.name}{BEFORE}{BETWEEN.join(sorted(kept))}"
        self.program, self.nodes, self.node_types = _fewer(of.program, kept), of.nodes, of.node_types

    @classmethod
    def named(cls, name: str) -> Reduced:
        """The reduced space of such a name; raises `UserError` for an unknown space or option."""
        whole, _, options = name.partition(BEFORE)
        of, kept = image_space(whole), options.split(BETWEEN)
        known = {option for each in _decisions(of.program) for option in each.options}
        unknown = [each for each in kept if each not in known]
        if unknown:
            raise UserError(f"unknown option {unknown[0]!r} of {whole}: choose some of {', '.join(sorted(known))}")
        return cls(of, kept)

    @classmethod
    def around(cls, examples: Sequence[Architecture]) -> Reduced:
        """The space of what architectures use, all of one space; raises `UserError` where there is none."""
        if not examples:
            raise UserError("a reduced space needs the architectures whose options it keeps: give one or more")
        of = image_space(examples[0].space)
        reducible = {each.name for each in _decisions(of.program)}
        used = {
            state.decision.options[choice]
            for each in examples
            for state, choice in zip(decisions.states(of.program, each.walk, nodes=of.nodes), each.walk, strict=True)
            if state.decision is not None and state.decision.options and state.decision.name in reducible
        }
        return cls(of, used)

    @property
    def example(self) -> str:  # type: ignore[override]  # the first of its own
        """A valid text."""
        return self.text(next(self.enumerate()))

    def whole(self, architecture: Architecture) -> Architecture:
        """The same architecture in the space that this one reduces."""
        return self._moved(architecture, self, self.of)

    def within(self, architecture: Architecture) -> Architecture:
        """The same architecture in this space; raises `UserError` where it uses another option."""
        return self._moved(architecture, self.of, self)

    def _moved(self, architecture: Architecture, source: ImageSpace, target: ImageSpace) -> Architecture:
        state, walk = target.start(), []
        before = decisions.states(source.program, architecture.walk, nodes=source.nodes)
        for known, choice in zip(before, architecture.walk, strict=True):
            walk.append(_choice(known, choice, state, self.name))
            state = state.take(walk[-1])
        return Architecture(target.name, tuple(walk))

    def text(self, architecture: Architecture) -> str:
        """The text in the space that this one reduces."""
        return self.of.text(self.whole(architecture))

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` also where another option is used."""
        return self.within(self.of.parse(text))

    def key(self, architecture: Architecture) -> str:
        """The key in the space that this one reduces."""
        return self.of.key(self.whole(architecture))

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """As in the space that this one reduces."""
        return self.of.graphs([self.whole(each) for each in architectures])

    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """As in the space that this one reduces."""
        return self.of.blueprint(self.whole(architecture), skeleton)

    def shape(self, architecture: Architecture) -> CellShape | None:
        """As in the space that this one reduces."""
        return self.of.shape(self.whole(architecture))


def _choice(known: State, choice: int, state: State, name: str) -> int:
    """The choice at ``state`` that means what ``choice`` means at ``known``."""
    here, there = known.decision, state.decision
    assert here is not None and there is not None
    if here.options == there.options:
        return choice
    option = here.options[choice]
    if option not in there.options:
        allowed = ", ".join(there.options)
        raise UserError(f"{option!r} at {here.name!r} is not in the reduced space {name!r}: it allows {allowed}")
    return there.options.index(option)


def _fewer(part: Program, kept: Collection[str]) -> Program:
    """The same part with fewer options; loops and branches, whose options say what follows, keep theirs."""
    if isinstance(part, Decision):
        return replace(part, options=tuple(each for each in part.options if each in kept) or part.options)
    if isinstance(part, Branch):
        return replace(part, parts=tuple((name, _fewer(each, kept)) for name, each in part.parts))
    if isinstance(part, Parts):
        return Parts(tuple(_fewer(each, kept) for each in part.parts))
    return replace(part, body=_fewer(part.body, kept))


def _decisions(part: Program) -> list[Decision]:
    """The decisions whose options can be fewer."""
    if isinstance(part, Decision):
        return [part]
    if isinstance(part, Repeat | Scope):
        return _decisions(part.body)
    inner = part.parts if isinstance(part, Parts) else [each for _, each in part.parts]
    return [found for each in inner for found in _decisions(each)]
