"""Judging held-out tasks: fair rivals, regrets and levels in points, the share of the way to the ceiling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up import episode, task

from metad2a.evaluate.own_tasks import _paired, _share, best_of, interval, intervals, perfect_tau, unlike
from metad2a.retrain.held_out import HeldOut
from predictors.metrics import kendall_tau
from predictors.rivals import copied_ranking, forest_ranking, level_and_gain, linear_levels, nearest_first, units

CELLS = [10, 20, 30, 40, 50]


def test_the_nearest_tasks_ranking_is_filled_up_from_the_next_one() -> None:
    asked = episode(task(0, at=0), CELLS, [1, 2, 3, 4, 5])
    near = episode(task(1, at=0), CELLS[:4], [40, 30, 20, 10])
    far = episode(task(2, at=2), CELLS[1:], [10, 20, 30, 40])
    assert nearest_first(asked, [far, near]) == [near, far]
    ranking = copied_ranking(asked, [far, near])
    assert ranking[:4].tolist() == units(near).tolist()
    assert ranking[4] == units(far)[-1]
    assert np.isnan(copied_ranking(asked, [near])[4])


def test_the_forest_learns_from_other_tasks_what_a_cell_is_worth() -> None:
    rng = np.random.default_rng(0)
    cells = rng.choice(6466, 60, replace=False).tolist()
    known = [replace(episode(task(i), cells, list(range(20, 80))), family=str(i)) for i in range(3)]
    asked = episode(task(9), cells[::5], list(range(20, 80, 5)))
    naswot = {each.features.fingerprint: np.zeros(len(each.cells)) for each in [*known, asked]}
    assert np.corrcoef(forest_ranking(asked, known, naswot), asked.accuracy)[0, 1] > 0.8


def test_levels_are_of_the_median_cell_and_gains_of_the_best_above_it() -> None:
    given = episode(task(), CELLS, [10, 20, 30, 60, 90])
    assert level_and_gain(given) == (30, 60)
    alike = [episode(task(i), CELLS, [10, 20, 30, 60, 90]) for i in range(5)]
    np.testing.assert_allclose(linear_levels(given, alike), (30, 60))


def test_the_best_of_three_lacks_what_the_first_three_missed() -> None:
    assert best_of(np.array([5.0, 4, 3, 2]), np.array([10.0, 50, 20, 90]), 3) == 40


def test_paired_differences_are_above_zero_where_ours_is_better_whatever_better_means() -> None:
    rows = [
        {"source": str(i), "tau ours": 0.5 + i / 10, "tau rival": 0.3, "regret 1 ours": 1, "regret 1 rival": 4}
        for i in range(3)
    ]
    assert _paired(rows, "tau ", sign=1)["against rival"]["mean"] == pytest.approx(0.3)
    assert _paired(rows, "regret 1 ", sign=-1)["against rival"]["low"] == 3


def test_the_share_is_counted_from_the_best_rival_to_a_perfect_predictor() -> None:
    row = {"source": "a", "tau ours": 0.6, "tau good": 0.5, "tau bad": 0.1, "tau noise ceiling": 0.5, "seeds": 3}
    perfect = perfect_tau(0.5, 3)
    found = _share([row])
    assert found["best rival"] == "good"
    assert found["share of the way to it"] == pytest.approx(0.1 / (perfect - 0.5))
    assert _share([]) == {}


def test_a_perfect_predictor_is_nearer_to_a_mean_than_one_seed_is_to_another() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=3000)
    runs = true[:, None] + rng.normal(size=(3000, 3))
    between = kendall_tau(runs[:, 0], runs[:, 1])
    assert perfect_tau(between, 3) == pytest.approx(kendall_tau(true, runs.mean(1)), abs=0.02)
    assert perfect_tau(1.0, 1) == pytest.approx(1.0)


def test_intervals_need_two_sources_and_leave_out_what_is_not_known() -> None:
    alone = interval([1.0, 3.0], ["a", "a"])
    assert alone["mean"] == 2 and np.isnan(alone["low"])
    assert interval([1.0, float("nan"), 3.0], ["a", "b", "c"])["tasks"] == 2


def _held(seed: int, family: str, error: float) -> HeldOut:
    one = episode(task(seed, at=seed % 3), CELLS, [30, 40, 50, 60, 70], family=family)
    exact = np.log(one.accuracy / (100 - one.accuracy))
    return HeldOut(one, exact + error, np.full(5, 0.5), exact, exact, exact, 10.0)


def test_coverage_is_of_intervals_that_the_other_sources_calibrated() -> None:
    good = [_held(i, str(i), 0.3) for i in range(4)]
    found = intervals([*good, _held(5, "wild", 3.0)])
    assert found["coverage"]["80"]["mean"] == pytest.approx(0.8)
    assert found["width of the interval, points"]["80"]["mean"] > 0


def test_a_source_far_from_all_others_raises_an_alarm() -> None:
    held = [_held(i, str(i), 0.3) for i in range(6)]
    own = [each.episode for each in held]
    far = replace(own[0].features, features=own[0].features.features * 50, fingerprint="far")
    strange = replace(held[0], episode=replace(own[0], features=far))
    alarms = unlike([strange, *held[1:]], [strange.episode, *own[1:]])
    assert alarms["false alarms"]["mean"] > unlike(held, own)["false alarms"]["mean"]
