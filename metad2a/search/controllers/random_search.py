"""Random search: the rival that every other controller must beat (Li, Talwalkar, 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from databases.architectures.decisions import Walk
from databases.architectures.space import Architecture, Space
from metad2a.search.controllers.controller import Controller, unseen


class RandomSearch(Controller):
    """Uniform choices, none twice."""

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        super().__init__(space, seed=seed)
        self._rng = np.random.default_rng([seed, 0])
        self._seen: set[Walk] = set()

    def ask(self, count: int) -> list[Architecture]:
        """Draws until ``count`` are new."""
        return unseen(self.space, lambda: self.space.sample(self._rng), count, seen=self._seen, rng=self._rng)

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Only remembers what was measured."""
        self._seen.update(each.walk for each in architectures)
