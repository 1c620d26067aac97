"""Search by a surrogate: an exact Gaussian process on top of a prediction, and expected improvement per second.

After each measurement the process is fitted anew (`predictors.adaptation`), and the candidate with the largest
expected improvement over the best so far, divided by the seconds it is expected to take, comes next (Snoek,
Larochelle, Adams, 2012). The first measurement follows the prediction alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from databases.architectures.decisions import Walk
from databases.architectures.space import Architecture, Space
from databases.hosting import importing
from metad2a.search.controllers.controller import Controller, unseen
from metad2a.search.controllers.evolution import mutate
from predictors.adaptation import adapt
from predictors.scale import to_logit
from predictors.task_process import Floats, Posterior

Numbers = Callable[[Sequence[Architecture]], npt.ArrayLike]  # one for each architecture, (n,) or (n, d)

PARENTS = 5  # of the best so far, whose relatives become candidates where the space is too large to rank


class SurrogateSearch(Controller):
    """Measures where the most improvement a second is expected.

    Args:
        prior: predicted logit accuracies, (n,); only order and relative distances count. None: all are equal.
        embed: tells which architectures are alike, (n, d), about one unit in spread. None: by the walks' choices.
        pool: the only candidates, one of each canonical class, the most promising first; None: ``draws`` random
            ones, and as many again (half of them relatives of the best so far) whenever half of them are used up.
        cost: expected seconds of a measurement, (n,), which may change as more is known. None: all are equal.
        noise: standard deviation of one measurement's logit accuracy, as predicted. None: told by the measurements.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        prior: Numbers | None = None,
        embed: Numbers | None = None,
        pool: Sequence[Architecture] | None = None,
        draws: int = 1000,
        cost: Numbers | None = None,
        noise: float | None = None,
    ) -> None:
        super().__init__(space, seed=seed)
        self._prior_of, self._embed_of, self._cost_of = prior or _equal, embed or _choices, cost or _one
        self._noise = noise
        self._draws = 0 if pool is not None else draws
        self._rng = np.random.default_rng([seed, 0])
        self._seen: set[Walk] = set()
        self._told: list[tuple[Walk, float]] = []
        self._pool: dict[Walk, int] = {}  # walk -> row of the two below
        self._prior, self._places = np.zeros(0), np.zeros((0, 0))
        self._add(pool or [])

    def ask(self, count: int) -> list[Architecture]:
        """The ``count`` that promise most and were not asked or told before."""
        asked: list[Architecture] = []
        while len(asked) < count and (found := self._most_promising(count - len(asked))):
            self._seen.update(each.walk for each in found)
            asked += found
        return asked

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Remembers the measurements; the process is fitted when it is asked next."""
        known = [self._known(each) for each in architectures]
        self._add([each for each in dict.fromkeys(known) if each.walk not in self._pool])
        self._seen.update(each.walk for each in (*known, *architectures))
        self._told += [(each.walk, float(score)) for each, score in zip(known, scores, strict=True)]

    def posterior(self) -> tuple[list[Architecture], Posterior]:
        """The candidates, and what is thought of their logit accuracies now."""
        rows = [self._pool[walk] for walk, _ in self._told]
        logits = to_logit([score for _, score in self._told])
        found = adapt(self._prior, self._places, rows, logits, noise=self._noise)
        return [Architecture(self.space.name, walk) for walk in self._pool], found

    def _known(self, architecture: Architecture) -> Architecture:
        """The candidate that computes the same."""
        if architecture.walk in self._pool or self._draws:
            return architecture
        return self.space.canonical(architecture)

    def _add(self, architectures: Sequence[Architecture]) -> None:
        """Makes candidates of them."""
        if not architectures:
            return
        before = len(self._pool)
        self._pool.update((each.walk, before + i) for i, each in enumerate(architectures))
        prior = np.asarray(self._prior_of(architectures), dtype=np.float64)
        places = np.asarray(self._embed_of(architectures), dtype=np.float64)
        self._prior = np.concatenate([self._prior[:before], prior])
        self._places = np.concatenate([self._places[:before].reshape(-1, places.shape[1]), places])

    def _draw_more(self) -> None:
        """``draws`` new candidates: random ones, or half of them relatives of the best so far."""
        seen = self._seen | self._pool.keys()
        best = sorted(self._told, key=lambda told: -told[1])[:PARENTS]

        def relative() -> Architecture:
            walk, _ = best[int(self._rng.integers(len(best)))]
            return mutate(self.space, Architecture(self.space.name, walk), self._rng)

        relatives = self._draws // 2 if best else 0
        for draw, count in ((relative, relatives), (lambda: self.space.sample(self._rng), self._draws - relatives)):
            self._add(unseen(self.space, draw, count, seen=seen, rng=self._rng))

    def _most_promising(self, count: int) -> list[Architecture]:
        """At most ``count`` candidates that are new, the most promising first; none where there is no other."""
        if len(self._pool.keys() - self._seen) < self._draws / 2:
            self._draw_more()
        if not self._pool.keys() - self._seen:
            return []
        candidates, found = self.posterior()
        new = np.array([row for walk, row in self._pool.items() if walk not in self._seen], dtype=np.int64)
        promise = found.mean[new] if self._draws else -new.astype(np.float64)
        if self._told:
            best = max(found.mean[self._pool[walk]] for walk, _ in self._told)
            seconds = np.asarray(self._cost_of([candidates[row] for row in new]), dtype=np.float64)
            promise = expected_improvement(found.mean[new], found.std[new], best) / seconds
        order = np.lexsort((-found.mean[new], -promise))
        return [candidates[new[i]] for i in order[:count]]


def expected_improvement(mean: Floats, std: Floats, best: float) -> Floats:
    """Expected excess over ``best`` of normal values, (n,) each (Mockus, 1975)."""
    with importing():
        from scipy.special import ndtr

    std = np.maximum(std, 1e-12)
    gain = (mean - best) / std
    density = np.exp(-0.5 * gain**2) / np.sqrt(2 * np.pi)
    found: Floats = std * (gain * ndtr(gain) + density)
    return found


def _equal(architectures: Sequence[Architecture]) -> Floats:
    return np.zeros(len(architectures))


def _one(architectures: Sequence[Architecture]) -> Floats:
    return np.ones(len(architectures))


_POSITIONS, _CHOICES, _WIDTH = 128, 64, 32


def _choices(architectures: Sequence[Architecture]) -> Floats:
    """Random projections of which choice stands where in the walk: (n, 32), alike where the walks are."""
    table = np.random.default_rng(0).standard_normal((_POSITIONS, _CHOICES, _WIDTH))
    walks = (each.walk for each in architectures)
    sums = [sum(table[i % _POSITIONS, choice % _CHOICES] for i, choice in enumerate(walk)) for walk in walks]
    lengths = np.sqrt([max(1, len(each.walk)) for each in architectures])
    return np.stack([np.broadcast_to(each, _WIDTH) for each in sums]) / lengths[:, None]
