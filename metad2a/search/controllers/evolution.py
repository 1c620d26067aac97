"""Regularised evolution (Real, Aggarwal, Huang, Le, 2019), and AREA, its start from the best of an unmeasured pool.

Each cycle draws a few members of the population, mutates the best of them, measures the child, and lets the *oldest*
member die. AREA (Mellor, Turner, Storkey, Crowley, 2021) scores a pool of random architectures without training
(NASWOT) and measures only the best of them as the first population.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from databases.architectures import decisions
from databases.architectures.decisions import Walk
from databases.architectures.space import Architecture, Space
from metad2a.search.controllers.controller import Controller, unseen

Score = Callable[[Sequence[Architecture]], Sequence[float]]


class Evolution(Controller):
    """Regularised evolution in any space. Population and tournament were chosen on ImageNet16-120's table.

    Args:
        population: members alive. tournament: members drawn for each child, the best of them is its parent.
        score: cheap scores, higher promises more: the first population is then the best of ``pool`` random ones.
        repeats: whether it may propose what it proposed before, as the published algorithm may.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        population: int = 10,
        tournament: int = 10,
        score: Score | None = None,
        pool: int = 1000,
        repeats: bool = False,
    ) -> None:
        super().__init__(space, seed=seed)
        self.population, self.tournament, self.repeats = population, tournament, repeats
        self._score, self._pool = score, pool
        self._rng = np.random.default_rng([seed, 0])
        self._seen: set[Walk] = set()
        self._alive: deque[tuple[Walk, float]] = deque(maxlen=population)
        self._start: deque[Walk] | None = None  # the first population, to be asked for; None before the first ask
        self._asked = 0

    def ask(self, count: int) -> list[Architecture]:
        """First the start population, then children of whoever is alive."""
        if self._start is None:
            self._start = deque(self._first() if self._score else ())
        asked: list[Architecture] = []
        while len(asked) < count and (found := self._next()):
            asked += found
            self._asked += 1
        return asked

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Each is born in order; the oldest beyond the population's size die."""
        for each, score in zip(architectures, scores, strict=True):
            self._seen.add(each.walk)
            self._alive.append((each.walk, float(score)))

    def _first(self) -> list[Walk]:
        """The walks of the pool that score best; nan scores last."""
        assert self._score is not None
        pool = unseen(self.space, self._random, self._pool, seen=set(self._seen), rng=self._rng)
        scores = np.nan_to_num(np.asarray(self._score(pool), dtype=np.float64), nan=-np.inf)
        return [pool[i].walk for i in np.argsort(-scores, kind="stable")[: self.population]]

    def _next(self) -> list[Architecture]:
        """One of the first population, else a child; nothing where the space has no more."""
        while self._start:
            walk = self._start.popleft()
            if walk not in self._seen:  # it may have been told meanwhile
                self._seen.add(walk)
                return [Architecture(self.space.name, walk)]
        young = max(self._asked, len(self._alive)) < self.population
        draw = self._random if young or not self._alive else self._child
        if self.repeats:
            return [draw()]
        return unseen(self.space, draw, 1, seen=self._seen, rng=self._rng)

    def _random(self) -> Architecture:
        return self.space.sample(self._rng)

    def _child(self) -> Architecture:
        drawn = self._rng.integers(len(self._alive), size=self.tournament)
        walk, _ = max((self._alive[i] for i in drawn), key=lambda member: member[1])
        return mutate(self.space, Architecture(self.space.name, walk), self._rng)


def area(space: Space, *, score: Score, seed: int = 0, **options: Any) -> Evolution:
    """AREA: evolution whose first population is the best by ``score`` of a pool of random architectures."""
    return Evolution(space, seed=seed, score=score, **options)


def mutate(space: Space, architecture: Architecture, rng: np.random.Generator) -> Architecture:
    """Another architecture of the space: one decision of the walk takes another choice.

    The decisions behind it keep their choices wherever the walk comes back to the same place of the program and the
    choice is still valid there; only the others are drawn anew. An architecture without any decision to change is
    returned as it is.
    """
    before = list(decisions.states(space.program, architecture.walk, nodes=space.nodes))
    free = [i for i, state in enumerate(before) if state.choices > 1]
    if not free:
        return architecture
    at = free[int(rng.integers(len(free)))]
    other = int(rng.integers(before[at].choices - 1))
    other += other >= architecture.walk[at]
    walk = [*architecture.walk[:at], other]
    state, old = before[at].take(other), at + 1
    while state.decision is not None:
        same = next((i for i in range(old, len(before)) if before[i].pending == state.pending), None)
        kept = None if same is None else architecture.walk[same]
        old = old if same is None else same + 1
        walk.append(kept if kept is not None and kept < state.choices else int(rng.integers(state.choices)))
        state = state.take(walk[-1])
    return Architecture(space.name, tuple(walk))
