"""The decision graph: a search space written as decisions (vertices) and actions (edges).

Taking an action leads to the next decision, so the sequence of decisions is itself decided while sampling
(de Laroussilhe, Jastrzebski, Houlsby, Gesmundo, 2018). A walk is the tuple of choices from the start to the
end. Three kinds of decision are enough: one of n options, a pointer to one earlier node, a subset of the
earlier nodes. Choices are plain integers: an option's index, a node's index, or a bit mask of nodes.

A program of `Chain`, `Sequence`, `Repeat`, `Branch` and `Scope` describes the graph; `State` walks it. States are
small, immutable and hashable and hold no history, so a thousand walks through a chain share their states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

from databases.errors import UserError

Walk: TypeAlias = tuple[int, ...]
Kind = Literal["one_of", "pointer", "subset"]


@dataclass(frozen=True)
class Decision:
    """One vertex of the decision graph; a vertex met twice in a walk shares its statistics.

    Args:
        name: the vertex; unique within a space.
        options: names of the choices (only for ``one_of``).
        kind: ``one_of`` option, ``pointer`` to an earlier node, or ``subset`` of the earlier nodes.
        adds_node: whether the choice opens a new node that later decisions may point to.
        feeds: indices of the earlier nodes that feed the node added here, where that is fixed.
    """

    name: str
    options: tuple[str, ...] = ()
    kind: Kind = "one_of"
    adds_node: bool = False
    feeds: tuple[int, ...] = ()

    def choices(self, nodes: int) -> int:
        """Number of valid choices when ``nodes`` nodes exist."""
        return len(self.options) if self.kind == "one_of" else nodes if self.kind == "pointer" else 2**nodes


@dataclass(frozen=True)
class Sequence:
    """Parts walked one after the other."""

    parts: tuple[Program, ...]


def Chain(*decisions: Decision) -> Sequence:
    """The classic space: a fixed list of decisions."""
    return Sequence(decisions)


@dataclass(frozen=True)
class Repeat:
    """A loop: ``body``, then ``again`` decides (option 0 stops, others go round) until ``most`` rounds."""

    body: Program
    again: Decision
    most: int
    rounds: int = 0


@dataclass(frozen=True)
class Branch:
    """A conditional part: the option taken at ``decision`` names the part that follows."""

    decision: Decision
    parts: tuple[tuple[str, Program], ...]

    @classmethod
    def of(cls, name: str, parts: Mapping[str, Program]) -> Branch:
        """A branch whose options are the keys of ``parts``."""
        return cls(Decision(name, tuple(parts)), tuple(parts.items()))


@dataclass(frozen=True)
class Scope:
    """A part with nodes of its own: ``nodes`` inputs exist at its start, and its end brings back those from before."""

    body: Program
    nodes: int = 0


Program: TypeAlias = Decision | Sequence | Repeat | Branch | Scope


@dataclass(frozen=True)
class _End:
    """The end of a scope, outside which so many nodes exist."""

    nodes: int


@dataclass(frozen=True)
class State:
    """Where a walk stands: what is still to come, and how many nodes exist."""

    pending: tuple[Program | _End, ...]
    nodes: int = 0

    @property
    def decision(self) -> Decision | None:
        """The decision to take now, or None at the end of the walk."""
        if not self.pending:
            return None
        head = self.pending[0]
        if isinstance(head, Branch):
            return head.decision
        return head.again if isinstance(head, Repeat) else _as_decision(head)

    @property
    def choices(self) -> int:
        """Number of valid choices now (0 at the end)."""
        decision = self.decision
        return 0 if decision is None else decision.choices(self.nodes)

    def take(self, choice: int) -> State:
        """The state after ``choice``; raises `UserError` where the graph does not offer it."""
        if not 0 <= choice < self.choices:
            raise UserError(_refusal(self, choice))
        return _take(self, choice)


def start(program: Program, *, nodes: int = 0) -> State:
    """The first state of a program, with ``nodes`` nodes (inputs) already there."""
    return _unfold(State((program,), nodes))


def states(program: Program, walk: Walk, *, nodes: int = 0) -> Iterator[State]:
    """The states before each choice of a complete walk; raises `UserError` where it does not fit."""
    state = start(program, nodes=nodes)
    for choice in walk:
        yield state
        state = state.take(choice)
    if state.decision is not None:
        raise UserError(f"a walk of {len(walk)} choices stops at the decision {state.decision.name!r}: go on")


def walks(program: Program, *, nodes: int = 0) -> Iterator[Walk]:
    """Every walk of a finite program, in lexicographic order."""
    stack: list[tuple[State, Walk]] = [(start(program, nodes=nodes), ())]
    while stack:
        state, walk = stack.pop()
        if state.decision is None:
            yield walk
        stack.extend((state.take(choice), (*walk, choice)) for choice in reversed(range(state.choices)))


def count(program: Program, *, nodes: int = 0) -> int:
    """Number of walks of a program."""
    known: dict[State, int] = {}

    def walks_from(state: State) -> int:
        if state.decision is None:
            return 1
        if state not in known:
            if state.decision.kind == "one_of":
                known[state] = sum(walks_from(state.take(choice)) for choice in range(state.choices))
            else:  # what comes after does not depend on the nodes that are chosen
                known[state] = state.choices * walks_from(state.take(0))
        return known[state]

    return walks_from(start(program, nodes=nodes))


@lru_cache(maxsize=100_000)
def _take(state: State, choice: int) -> State:
    head, rest = state.pending[0], state.pending[1:]
    nodes = state.nodes
    if isinstance(head, Branch):
        nodes += head.decision.adds_node
        rest = (dict(head.parts)[head.decision.options[choice]], *rest)
    elif isinstance(head, Repeat):
        nodes += head.again.adds_node
        if choice:
            rest = (head.body, replace(head, rounds=head.rounds + 1), *rest)
    else:
        nodes += _as_decision(head).adds_node
    return _unfold(State(rest, nodes))


def _unfold(state: State) -> State:
    """Open sequences, loops and scopes until a decision (or nothing) is on top."""
    while state.pending:
        head, rest = state.pending[0], state.pending[1:]
        if isinstance(head, Sequence):
            state = State((*head.parts, *rest), state.nodes)
        elif isinstance(head, Scope):
            state = State((head.body, _End(state.nodes), *rest), head.nodes)
        elif isinstance(head, _End):
            state = State(rest, head.nodes)
        elif isinstance(head, Repeat) and head.rounds == 0:
            state = State((head.body, Repeat(head.body, head.again, head.most, 1), *rest), state.nodes)
        elif (isinstance(head, Repeat) and head.rounds >= head.most) or state.choices == 0:
            state = State(rest, state.nodes)  # a loop at its cap, or a pointer with nothing to point to
        else:
            break
    return state


def _as_decision(part: Program | _End) -> Decision:
    if not isinstance(part, Decision):
        raise TypeError(f"{type(part).__name__} is no decision")
    return part


def _refusal(state: State, choice: int) -> str:
    decision = state.decision
    if decision is None:
        return f"choice {choice} after the end of the walk: the walk is complete"
    allowed = ", ".join(decision.options) or f"{state.nodes} earlier nodes"
    return f"choice {choice} at {decision.name!r}: give 0 to {state.choices - 1} ({allowed})"
