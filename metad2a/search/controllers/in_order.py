"""A fixed order: what a ranking alone gives, without learning from the measurements."""

from __future__ import annotations

from collections.abc import Sequence

from databases.architectures.decisions import Walk
from databases.architectures.space import Architecture, Space
from metad2a.search.controllers.controller import Controller


class InOrder(Controller):
    """Asks for ``order`` from its first to its last."""

    def __init__(self, space: Space, *, order: Sequence[Architecture], seed: int = 0) -> None:
        super().__init__(space, seed=seed)
        self._order, self._next = list(order), 0
        self._seen: set[Walk] = set()

    def ask(self, count: int) -> list[Architecture]:
        """The next ones that are new."""
        found: list[Architecture] = []
        while self._next < len(self._order) and len(found) < count:
            each, self._next = self._order[self._next], self._next + 1
            if each.walk not in self._seen:
                self._seen.add(each.walk)
                found.append(each)
        return found

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Only remembers what was measured."""
        self._seen.update(each.walk for each in architectures)
