"""NSGANetV2: its fronts, the surrogates it switches among, and a small run on digits."""

from __future__ import annotations

import numpy as np
import pytest

from databases.architectures.spaces.subnets import RESIDUAL_SUBNETS as SPACE
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.nsganetv2 import demonstration
from metad2a.reproduce.nsganetv2.demonstration import CONTROL, OURS, THEIRS, Size, cheap, cost
from metad2a.reproduce.nsganetv2.nsga2 import crowding, evolve, ranks, survivors
from metad2a.reproduce.nsganetv2.surrogates import encoded, surrogates, switched


def test_fronts_are_peeled_and_their_ends_are_kept() -> None:
    values = np.array([[0.0, 4], [1, 1], [4, 0], [2, 2], [3, 3], [1, 3]])
    assert ranks(values).tolist() == [0, 0, 0, 1, 2, 1]
    line = np.array([[0.0, 10], [1, 9], [5, 5], [10, 0]])
    distance = crowding(line)
    assert np.isinf(distance[[0, 3]]).all() and distance[2] > distance[1]
    assert set(survivors(line, 3).tolist()) == {0, 2, 3}


def test_nsga2_finds_the_ends_of_a_front() -> None:
    def objectives(subnets):  # type: ignore[no-untyped-def]
        return np.array([[-cost(each), cost(each)] for each in subnets], dtype=np.float64)

    def narrow(subnets):  # type: ignore[no-untyped-def]
        return np.array([[cost(each), cost(each)] for each in subnets], dtype=np.float64)

    rng, start = np.random.default_rng(0), [SPACE.base]
    found = evolve(SPACE, start, objectives, population=12, generations=10, rng=rng)
    assert len(found) == 12  # all trade one for the other
    (cheapest,) = evolve(SPACE, start, narrow, population=12, generations=25, rng=rng)
    drawn = sorted(cost(SPACE.sample(rng)) for _ in range(200))
    assert cost(cheapest) < drawn[4]


def test_the_surrogate_that_ranks_best_is_used() -> None:
    rng = np.random.default_rng(0)
    drawn = [SPACE.sample(rng) for _ in range(40)]
    x = encoded(SPACE, drawn)
    assert x.shape == (40, 16) and (encoded(SPACE, [SPACE.base]) == 1).all() and x.min() == 0
    line = x @ rng.normal(size=16)
    name, fitted, taus = switched(x, line)
    assert set(taus) == set(surrogates()) == {"CART", "GP", "MLP", "RBF"}
    assert taus[name] == max(taus.values()) > 0.6
    assert np.corrcoef(fitted.predict(x), line)[0, 1] > 0.95


@pytest.mark.slow
def test_a_small_run_says_what_was_extrapolated(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Size(first=3, rounds=1, each=2, epochs=1, last=1, seeds=2, images=64, population=6, generations=2)
    monkeypatch.setattr(demonstration, "FAST", small)
    told = demonstration.run(Context(fast=True, workers=1, say=lambda line: None))
    assert "extrapolated" in told.setting and "5 subnets" in told.setting
    assert [row[0] for row in told.tables[0].rows] == [THEIRS, OURS, CONTROL]
    assert all(cheap(SPACE.parse(row[4])) for row in told.tables[0].rows)
    expected = 340 * np.mean(told.figures["seconds_of_a_tuning"]) + 30 * told.figures["steering_seconds"]
    assert told.figures["times"] == pytest.approx(expected / told.figures["answer_seconds"])
    assert len(told.verdicts) == 2 and len(told.figures["surrogates"]) == 1
