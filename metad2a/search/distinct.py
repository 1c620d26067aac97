"""A search that trains each network once: what differs in the writing alone gets the score of its twin."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from databases.architectures.space import Architecture, FiniteSpace
from metad2a.search.controllers.controller import Controller

TRIES = 2_000  # twins in a row: a search has no more to propose


class Distinct(Controller):
    """A searcher that is asked again for every proposal whose network is known; it hears that network's score."""

    def __init__(self, inner: Controller) -> None:
        super().__init__(inner.space, seed=inner.seed)
        self._inner = inner
        self._scores: dict[Hashable, float] = {}
        self._twins: dict[Hashable, list[Architecture]] = {}  # of those that are measured now

    def ask(self, count: int) -> list[Architecture]:
        """At most ``count``, no two of which are the same network, nor the same as one before."""
        found: list[Architecture] = []
        tries = 0
        while len(found) < count and tries < TRIES and (asked := self._inner.ask(count - len(found))):
            for each in asked:
                network, tries = self._network(each), tries + 1
                if network in self._scores:
                    self._inner.tell([each], [self._scores[network]])
                elif network in self._twins:
                    self._twins[network].append(each)
                else:
                    self._twins[network], tries = [], 0
                    found.append(each)
        return found

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Hands the scores on, also to the twins that were passed over."""
        self._inner.tell(architectures, scores)
        for each, score in zip(architectures, scores, strict=True):
            network = self._network(each)
            self._scores[network] = score
            if twins := self._twins.pop(network, []):
                self._inner.tell(twins, [score] * len(twins))

    def _network(self, architecture: Architecture) -> Hashable:
        """Equal for architectures that are the same network."""
        space = self.space
        return space.live(architecture) if isinstance(space, FiniteSpace) else space.key(architecture)

    def state(self) -> dict[str, Any]:
        """That of the searcher: a search begins anew and is told what was kept."""
        return self._inner.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`."""
        self._inner.restore(state)
