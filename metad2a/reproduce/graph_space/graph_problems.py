"""Simulated problems whose decisions depend on each other, each as a decision graph and as a flat list.

The flat list is the classic way to write such a space: every decision that might be needed, in a fixed order; those
that do not apply are drawn and ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from databases.architectures.decisions import Branch, Chain, Decision, Program, Repeat, Walk
from metad2a.reproduce.simulated import ProgramSpace

OPERATIONS = tuple("abcdefgh")
KNOB = ("1", "2", "3", "4")
Knobs = Mapping[str, tuple[tuple[str, ...], ...]]  # type of a layer -> the options of each of its knobs
TYPES: Knobs = {"convolution": (KNOB,) * 3, "pooling": (KNOB,), "dense": (KNOB,) * 2}
MORE = Decision("more", ("stop", "go"))


@dataclass(frozen=True)
class Problem:
    """One way to write a problem: its space, and the reward (0 to 1) of a walk; ``good`` is the threshold."""

    space: ProgramSpace
    reward: Callable[[Walk], float]
    good: float


def iterative(depth: int, seed: int, *, form: str) -> Problem:
    """How many layers (at most ``depth``), and which of eight operations each: few are right, one operation is.

    ``form``: ``graph``, ``flat``, or ``flat, shared`` (the places of the list are one vertex).
    """
    rng = np.random.default_rng([seed, depth])
    wanted, right = int(rng.integers(depth // 4, depth // 2 + 1)), int(rng.integers(len(OPERATIONS)))
    operation = Decision("operation", OPERATIONS)
    places = [operation if form == "flat, shared" else Decision(f"operation {i}", OPERATIONS) for i in range(depth)]
    count = Decision("depth", tuple(map(str, range(1, depth + 1))))
    program: Program = Repeat(operation, MORE, depth) if form == "graph" else Chain(count, *places)

    def reward(walk: Walk) -> float:
        layers = walk[::2] if form == "graph" else walk[1 : walk[0] + 2]
        share = sum(each == right for each in layers) / len(layers)
        return float(np.exp(-0.15 * abs(len(layers) - wanted))) * (0.3 + 0.7 * share)

    return Problem(ProgramSpace(f"iterative, {form}", program), reward, 0.9)


def branching(branches: int, seed: int, *, form: str) -> Problem:
    """Which of the branches of 2, 4, 6 ... decisions, and these: one branch can reach 1, the others 0.6."""
    rng = np.random.default_rng([seed, branches])
    best = int(rng.integers(branches))
    slots = [tuple(Decision(f"branch {b}, {i}", KNOB) for i in range(2 * b + 2)) for b in range(branches)]
    right = [rng.integers(len(KNOB), size=len(each)) for each in slots]
    begin = np.cumsum([1, *map(len, slots)])
    names = tuple(map(str, range(branches)))
    flat = Chain(Decision("branch", names), *(each for of in slots for each in of))
    graph = Branch.of("branch", {name: Chain(*of) for name, of in zip(names, slots, strict=True)})

    def reward(walk: Walk) -> float:
        taken = walk[0]
        knobs = walk[1:] if form == "graph" else walk[begin[taken] : begin[taken + 1]]
        return (1.0 if taken == best else 0.6) * (0.3 + 0.7 * float(np.mean(np.array(knobs) == right[taken])))

    return Problem(ProgramSpace(f"branching, {form}", graph if form == "graph" else flat), reward, 0.85)


def nested(depth: int, seed: int, *, form: str) -> Problem:
    """Layers in a loop (at most ``depth``), each of a type with knobs of its own: a branch inside a loop."""
    rng = np.random.default_rng([seed, depth])
    wanted, best = int(rng.integers(depth // 4, depth // 2 + 1)) or 1, str(rng.choice(list(TYPES)))
    right = {name: [int(each) for each in rng.integers(len(KNOB), size=len(of))] for name, of in TYPES.items()}

    def reward(walk: Walk) -> float:
        found = layers(walk, TYPES, form=form)
        worth = [(0.5 if name != best else 1.0) * _share(taken, right[name]) for name, taken in found]
        return float(np.exp(-0.15 * abs(len(found) - wanted))) * (0.3 + 0.7 * float(np.mean(worth)))

    return Problem(ProgramSpace(f"nested, {form}", layered(TYPES, depth, form=form)), reward, 0.8)


def layered(types: Knobs, depth: int, *, form: str) -> Program:
    """One to ``depth`` layers, each of one of the types with its knobs, as a ``graph`` or as a ``flat`` list."""

    def knobs(prefix: str) -> dict[str, list[Decision]]:
        return {
            name: [Decision(f"{prefix}{name} {i}", options) for i, options in enumerate(of)]
            for name, of in types.items()
        }

    if form == "graph":
        parts = {name: Chain(*of) for name, of in knobs("").items()}
        return Repeat(Branch.of("type", parts), MORE, depth)
    places = [
        each for i in range(depth) for each in (Decision(f"{i}: type", tuple(types)), *chain(*knobs(f"{i}: ").values()))
    ]
    return Chain(Decision("depth", tuple(map(str, range(1, depth + 1)))), *places)


def layers(walk: Walk, types: Knobs, *, form: str) -> list[tuple[str, Walk]]:
    """Type and choices of each layer that a walk of `layered` says there are."""
    names = tuple(types)
    begin = np.cumsum([0, *map(len, types.values())])
    found, at = list[tuple[str, Walk]](), 0 if form == "graph" else 1
    while at < len(walk) and (form == "graph" or len(found) <= walk[0]):
        kind = walk[at]
        first = at + 1 + (0 if form == "graph" else int(begin[kind]))
        found.append((names[kind], walk[first : first + len(types[names[kind]])]))
        at = first + len(types[names[kind]]) + 1 if form == "graph" else at + 1 + int(begin[-1])
    return found


def _share(taken: Sequence[int], right: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(taken, right, strict=True)) / len(right)


PROBLEMS: dict[str, Callable[..., Problem]] = {"iterative": iterative, "branching": branching, "nested": nested}
