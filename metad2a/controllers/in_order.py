"""A fixed order: what a ranking alone gives, without learning from the measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from databases.architectures.architecture import Architecture, Space
from databases.architectures.decisions import Walk
from metad2a.controllers.controller import Controller, unseen


class InOrder(Controller):
    """Asks for ``order`` from its first to its last; without one, for random ones."""

    def __init__(self, space: Space, *, seed: int = 0, order: Sequence[Architecture] = ()) -> None:
        super().__init__(space, seed=seed)
        self._order, self._next = list(dict.fromkeys(order)), 0
        self._rng = np.random.default_rng([seed, 0])
        self._seen: set[Walk] = set()

    def ask(self, count: int) -> list[Architecture]:
        """The next ones that are new."""
        if self._order:
            found: list[Architecture] = []
            while self._next < len(self._order) and len(found) < count:
                each, self._next = self._order[self._next], self._next + 1
                if each.walk not in self._seen:
                    self._seen.add(each.walk)
                    found.append(each)
            return found
        return unseen(self.space, lambda: self.space.sample(self._rng), count, seen=self._seen, rng=self._rng)

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Only remembers what was measured."""
        self._seen.update(each.walk for each in architectures)

    def state(self) -> dict[str, Any]:
        """Its generator, its order and what it has seen."""
        order = [each.walk for each in self._order]
        return {"rng": self._rng.bit_generator.state, "seen": sorted(self._seen), "order": order}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`."""
        self._rng.bit_generator.state, self._next = state["rng"], 0
        self._seen = {tuple(walk) for walk in state["seen"]}
        self._order = [Architecture(self.space.name, tuple(walk)) for walk in state["order"]]
