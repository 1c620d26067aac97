"""A search that trains each network once: what differs in the writing alone gets the score of its twin."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Sequence

from databases.architectures.space import Architecture
from metad2a.search.controllers.controller import Controller

TRIES = 2_000  # twins in a row: a search has no more to propose


class Distinct(Controller):
    """A searcher that is asked again for every proposal whose network is known; it hears that network's score.

    It is not asked again after the ``deadline``, a monotonic second.
    """

    def __init__(self, inner: Controller, *, deadline: float = math.inf) -> None:
        super().__init__(inner.space, seed=inner.seed)
        self._inner, self._deadline = inner, deadline
        self._scores: dict[Hashable, float] = {}
        self._twins: dict[Hashable, list[Architecture]] = {}  # of those that are measured now

    def ask(self, count: int) -> list[Architecture]:
        """At most ``count``, no two of which are the same network, nor the same as one before."""
        found: list[Architecture] = []
        tries = 0
        while len(found) < count and self._may_ask(tries) and (asked := self._inner.ask(count - len(found))):
            for each in asked:
                network, tries = self.space.network_key(each), tries + 1
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
            network = self.space.network_key(each)
            self._scores[network] = score
            if twins := self._twins.pop(network, []):
                self._inner.tell(twins, [score] * len(twins))

    def _may_ask(self, tries: int) -> bool:
        return tries < TRIES and (not tries or time.monotonic() < self._deadline)
