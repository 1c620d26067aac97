"""The searchers of `reproduce loop` by name, over the candidates of a world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from databases.architectures.space import Architecture, space
from databases.records.importers.nasbench201 import SPACE
from metad2a.reproduce.loop.worlds import World
from metad2a.search.beginnings import AT_LEAST, BETTER
from metad2a.search.controllers.bayesian import SurrogateSearch
from metad2a.search.controllers.controller import Controller
from metad2a.search.controllers.evolution import Evolution
from metad2a.search.controllers.in_order import InOrder
from predictors.training_time import TrainingTime

OURS, FREE, ORDER = "ours", "ours, per training", "zero-shot order"
NASWOT, EVOLUTION, RANDOM = "naswot first", "evolution", "random"
CONTROL = "told shuffled (control)"  # as ours, but of accuracies in another order
SEARCHERS = (OURS, FREE, ORDER, NASWOT, EVOLUTION, RANDOM, CONTROL)


def searchers_of(world: World) -> tuple[str, ...]:
    """Those that can be had."""
    return tuple(name for name in SEARCHERS if name != NASWOT or world.naswot is not None)


def searcher(name: str, world: World, seed: int, *, trials: int) -> Controller:
    """A searcher of that name, asked ``trials`` times at most."""
    chosen, count = space(SPACE), len(world.cells)
    if name in (OURS, FREE, CONTROL):
        return _ours(world, seed, seconds=name != FREE)
    if name == EVOLUTION:
        return Within(Evolution(chosen, seed=seed), world.cells)
    order = np.arange(count) if name == ORDER else np.random.default_rng([seed, 4]).permutation(count)
    if name == NASWOT and world.naswot is not None:
        order = np.argsort(-world.naswot, kind="stable")
    return InOrder(chosen, order=[world.cells[i] for i in order[:trials]])


def _ours(world: World, seed: int, *, seconds: bool) -> SurrogateSearch:
    """The loop as `metad2a search` makes it, among the better part of the ranking; no training corrects its seconds."""
    count = max(AT_LEAST, round(BETTER * len(world.cells)))
    row = {each: i for i, each in enumerate(world.cells[:count])}
    time = TrainingTime(world.flops, world.flops + world.flops.mean())

    def rows(pool: Sequence[Architecture]) -> list[int]:
        return [row[each] for each in pool]

    return SurrogateSearch(
        space(SPACE),
        seed=seed,
        pool=list(row),
        prior=lambda pool: world.prior[rows(pool)],
        embed=lambda pool: world.embeddings[rows(pool)],
        noise=world.noise,
        cost=(lambda pool: time(world.flops[rows(pool)])) if seconds else None,
    )


class Within(Controller):
    """A searcher of the whole space kept to some architectures: each proposal becomes the nearest that is left.

    Nearest is the one with the fewest different choices; a proposal that is among them stays.
    """

    def __init__(self, inner: Controller, cells: Sequence[Architecture]) -> None:
        super().__init__(inner.space, seed=inner.seed)
        self._inner, self._cells = inner, list(cells)
        self._walks = np.array([each.walk for each in cells])
        self._left = np.ones(len(cells), dtype=bool)

    def ask(self, count: int) -> list[Architecture]:
        """At most one, whatever ``count``."""
        if not self._left.any():
            return []
        proposal = np.array(self._inner.ask(1)[0].walk)
        apart = np.where(self._left, (self._walks != proposal).sum(1), len(proposal) + 1)
        chosen = int(apart.argmin())
        self._left[chosen] = False
        return [self._cells[chosen]]

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Passed on."""
        self._inner.tell(architectures, scores)
