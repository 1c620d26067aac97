"""Multinomial distribution learning (MDENAS; Zheng, Ji, Tang, Zhang, Liu, Tian, 2019).

Every decision has probabilities p over its choices, how often each choice was trained (e) and its accuracy (a). After
each training, for every pair of choices of a decision,

    p_i += rate * sum over j of ( [e_i < e_j and a_i > a_j]  -  [e_i > e_j and a_i < a_j] )

so that what was trained less and is better yet goes up, and its rival down. No gradient, no recurrent policy: the
decisions are independent, each vertex of the decision graph with its own probabilities at each visit in a walk.

Doubts. The rule assumes that accuracies rank the same at every epoch, and was published for the edges of a supernet;
as a rule on its own it is weak: a winner is soon trained most and can then gain no more, so it holds itself back. With
the latest accuracy of a choice (``last``) its likeliest walk was hardly better than a random one in our trials; with
their running mean it is, and without the condition on epochs (``off``) better still. The default is the published
condition with the mean. How the published code keeps p a distribution is not known: here what falls below zero is cut
off and the rest scaled. It is not claimed to beat policy gradients.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.architectures.decisions import State, Walk
from databases.architectures.space import Architecture, Space
from databases.errors import UserError
from metad2a.search.controllers.controller import Controller, unseen

Statistic = Literal["mean", "ema", "last"]
Epochs = Literal["strict", "loose", "off"]
Floats = npt.NDArray[np.float64]
Place: TypeAlias = tuple[str, int, int, int]  # vertex, visit, choices, and of a subset which earlier node

RATE, DECAY = 0.01, 0.9  # of the probabilities, and of the moving average ``ema``


def learnt(p: Floats, trained: Floats, accuracy: Floats, *, rate: float = RATE, epochs: Epochs = "strict") -> Floats:
    """(k,) probabilities after one application of the rule; choices that were never trained take no part."""
    less = {
        "strict": trained[:, None] < trained,
        "loose": trained[:, None] <= trained,
        "off": np.ones((len(p), len(p)), dtype=bool),
    }[epochs]
    known = trained > 0
    ahead = less & (accuracy[:, None] > accuracy) & known[:, None] & known  # (k, k): i gains on j
    moved = np.maximum(p + rate * (ahead.sum(1) - ahead.sum(0)), 0)
    found: Floats = moved / moved.sum()
    return found


class Multinomial(Controller):
    """MDENAS's rule with its options, in any space.

    Args:
        rate: the step of a probability. statistic: which accuracy stands for a choice: the mean over the walks that
            took it, their moving average, or the last one. epochs: the condition on how often choices were trained:
            as published, with equality allowed, or none. warm_up: uniform walks before the probabilities move.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        rate: float = RATE,
        statistic: Statistic = "mean",
        epochs: Epochs = "strict",
        warm_up: int = 20,
    ) -> None:
        if statistic not in ("mean", "ema", "last") or epochs not in ("strict", "loose", "off"):
            raise UserError(
                f"given statistic {statistic!r} and epochs {epochs!r}: "
                "allowed are mean, ema or last, and strict, loose or off"
            )
        super().__init__(space, seed=seed)
        self.rate, self.statistic, self.epochs, self.warm_up = rate, statistic, epochs, warm_up
        self._rng = np.random.default_rng([seed, 0])
        self._seen: set[Walk] = set()
        self._drawn: list[Walk] = []
        self._told = 0
        self._table: dict[Place, Floats] = {}  # (3, k): probability, times trained, accuracy of each choice

    def ask(self, count: int) -> list[Architecture]:
        """Draws until ``count`` are new."""

        def draw() -> Architecture:
            if not self._drawn:
                self._drawn = self._walks(max(count, 10))
            return Architecture(self.space.name, self._drawn.pop())

        return unseen(self.space, draw, count, seen=self._seen, rng=self._rng)

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Moves the probabilities of every decision of the walks, one walk after the other."""
        for each, score in zip(architectures, scores, strict=True):
            self._seen.add(each.walk)
            self._told += 1
            for place, choice in self._places(each.walk):
                row = self._row(place)
                row[1, choice] += 1
                row[2, choice] += self._weight(row[1, choice]) * (score - row[2, choice])
                if self._told > self.warm_up:
                    row[0] = learnt(row[0], row[1], row[2], rate=self.rate, epochs=self.epochs)
        self._drawn.clear()

    def draw(self, count: int, *, seed: int = 0) -> list[Architecture]:
        """``count`` draws from the probabilities as they are, repeats included; proposes and changes nothing."""
        rng = np.random.default_rng([seed, 1])
        return [Architecture(self.space.name, walk) for walk in self._walks(count, rng=rng)]

    def probabilities(self) -> dict[Place, Floats]:
        """(k,) probabilities of each decision met so far: by vertex, visit, number of choices and subset's node."""
        return {place: row[0].copy() for place, row in self._table.items()}

    def likeliest(self) -> Architecture:
        """The walk that takes the likeliest choice each time."""
        return Architecture(self.space.name, self._walks(1, greedy=True)[0])

    def _weight(self, times: float) -> float:
        """Of the newest accuracy, the ``times``-th of its choice."""
        moving = (1 - DECAY) / (1 - DECAY**times)
        return {"mean": 1 / float(times), "ema": float(moving), "last": 1.0}[self.statistic]

    def _row(self, place: Place) -> Floats:
        if place not in self._table:
            self._table[place] = np.stack([np.full(place[2], 1 / place[2]), *np.zeros((2, place[2]))])
        return self._table[place]

    def _walks(self, count: int, *, greedy: bool = False, rng: np.random.Generator | None = None) -> list[Walk]:
        """Walks drawn from the probabilities; those that stand at the same place are drawn together."""
        walks: list[list[int]] = [[] for _ in range(count)]
        under_way: dict[tuple[State, tuple[str, ...]], list[int]] = {(self.space.start(), ()): list(range(count))}
        while under_way:
            going_on = defaultdict(list)
            for (state, met), members in under_way.items():
                if (decision := state.decision) is None:
                    continue
                chosen = self._choose(
                    state, met.count(decision.name), len(members), None if greedy else rng or self._rng
                )
                for member, choice in zip(members, chosen, strict=True):
                    walks[member].append(choice)
                    going_on[state.take(choice), (*met, decision.name)].append(member)
            under_way = dict(going_on)
        return [tuple(walk) for walk in walks]

    def _choose(self, state: State, visit: int, count: int, rng: np.random.Generator | None) -> list[int]:
        """``count`` choices at a state, without ``rng`` the likeliest; of a subset bit by bit."""
        drawn = []
        for place in _atoms(state, visit):
            p = self._row(place)[0]
            drawn.append(np.full(count, p.argmax()) if rng is None else rng.choice(len(p), size=count, p=p))
        if state.decision is not None and state.decision.kind == "subset":
            return [sum(int(bit[i]) << j for j, bit in enumerate(drawn)) for i in range(count)]
        return [int(each) for each in drawn[0]]

    def _places(self, walk: Walk) -> list[tuple[Place, int]]:
        """The decisions of a walk and what was chosen there."""
        found: list[tuple[Place, int]] = []
        state, met = self.space.start(), defaultdict[str, int](int)
        for choice in walk:
            assert state.decision is not None
            name, subset = state.decision.name, state.decision.kind == "subset"
            for j, place in enumerate(_atoms(state, met[name])):
                found.append((place, choice >> j & 1 if subset else choice))
            met[name] += 1
            state = state.take(choice)
        return found


def _atoms(state: State, visit: int) -> list[Place]:
    """What is chosen at a state: one of n, or on or off for each earlier node."""
    decision = state.decision
    assert decision is not None
    if decision.kind == "subset":
        return [(decision.name, visit, 2, j) for j in range(state.nodes)]
    return [(decision.name, visit, state.choices, 0)]
