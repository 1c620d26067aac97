"""The surrogate begins with the prediction, follows expected improvement per second, and knows equals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from databases.architectures.space import Architecture, finite_space
from metad2a.search.controllers.bayesian import SurrogateSearch, expected_improvement
from metad2a.search.controllers.in_order import InOrder
from metad2a.search.loop import run

SPACE = finite_space("nasbench201")


def prior(architectures: Sequence[Architecture]) -> np.ndarray:
    """More convolutions are predicted to be better."""
    return np.array([sum(choice in (2, 3) for choice in each.walk) for each in architectures], dtype=np.float64)


POOL = sorted(SPACE.classes[::40], key=lambda each: -prior([each])[0])


def truth(architectures: Sequence[Architecture]) -> list[float]:
    """Skips are what counts."""
    return [50 + 8.0 * sum(choice == 1 for choice in each.walk) for each in architectures]


def test_the_first_is_the_best_predicted_and_a_ranking_alone_goes_on_to_its_end() -> None:
    assert SurrogateSearch(SPACE, prior=prior, pool=POOL).ask(1) == POOL[:1]
    assert run(InOrder(SPACE, order=POOL[:9]), truth, trials=20).architectures == POOL[:9]


def test_it_finds_what_the_prediction_misses() -> None:
    best = max(truth(POOL))
    order = InOrder(SPACE, order=POOL)
    found = run(SurrogateSearch(SPACE, prior=prior, pool=POOL), truth, trials=15)
    assert max(found.scores) == best > max(run(order, truth, trials=15).scores)


def test_of_equals_the_cheaper_comes_first() -> None:
    def seconds(architectures: Sequence[Architecture]) -> list[float]:
        return [1.0 + 9.0 * (3 in each.walk) for each in architectures]

    asked = {}
    for cost in (None, seconds):
        searcher = SurrogateSearch(SPACE, pool=POOL, cost=cost)
        searcher.tell(POOL[:1], [50.0])
        asked[cost] = searcher.ask(10)
    assert sum(3 in each.walk for each in asked[None]) > sum(3 in each.walk for each in asked[seconds]) == 0


def test_what_computes_the_same_as_a_candidate_was_measured_with_it() -> None:
    twin = next(each for each in SPACE.enumerate() if each not in POOL and SPACE.canonical(each) in POOL[:99])
    row = POOL.index(SPACE.canonical(twin))
    searcher = SurrogateSearch(SPACE, prior=prior, pool=POOL)
    searcher.tell([twin], [99.0])
    pool, found = searcher.posterior()
    assert pool == POOL and int(np.argmin(found.std)) == row
    assert POOL[row] not in searcher.ask(len(POOL)) and searcher.ask(1) == []


def test_expected_improvement_is_the_mean_excess() -> None:
    draws = np.random.default_rng(0).normal(1.0, 2.0, 400_000)
    found = expected_improvement(np.array([1.0, 1.0, 1.0]), np.array([2.0, 0.0, 0.0]), 1.5)
    assert abs(found[0] - np.maximum(draws - 1.5, 0).mean()) < 0.01 and (found[1:] == 0).all()
    assert expected_improvement(np.array([2.0]), np.array([0.0]), 1.5) == 0.5
