"""Judging held-out tasks: fair rivals, regrets and levels in points, the share of the way to the ceiling."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from made_up import episode, task

from metad2a.evaluate.own_figures import OwnFigures, TaskFigures
from metad2a.evaluate.own_tasks import (
    compared,
    interval,
    intervals,
    own_tasks,
    perfect_tau,
    regret_of_best,
    share_of_the_way,
    unlike,
)
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
    assert regret_of_best(np.array([5.0, 4, 3, 2]), np.array([10.0, 50, 20, 90]), 3) == 40


def figures(source: str, tau: dict[str, float], first_pick: dict[str, float], *, ceiling: float = 0.5) -> TaskFigures:
    levels = {"ours": 1.0}
    return TaskFigures("t", source, 9, tau, ceiling, 3, 5.0, 1.0, first_pick, first_pick, levels, levels)


def test_paired_differences_are_above_zero_where_ours_is_better_whatever_better_means() -> None:
    tasks = [figures(str(i), {"ours": 0.5 + i / 10, "rival": 0.3}, {"ours": 1, "rival": 4}) for i in range(3)]
    found = compared(tasks, lambda each: each.taus, sign=1)
    assert found.paired["rival"]["mean"] == pytest.approx(0.3) and set(found.paired) == {"rival"}
    assert set(found.mean) == {"ours", "rival", "noise ceiling"}
    regrets = compared(tasks, lambda each: each.first_pick, sign=-1)
    assert regrets.paired["rival"]["low"] == 3 and regrets.beaten == ["rival"]


def test_the_share_is_counted_from_the_best_rival_to_a_perfect_predictor() -> None:
    perfect = perfect_tau(0.5, 3)
    found = share_of_the_way(
        [figures("a", {"ours": 0.6, "ours without the dataset": 0.9, "good": 0.5, "bad": 0.1}, {})]
    )
    assert found is not None and found.rival == "good"
    assert found.share == pytest.approx(0.1 / (perfect - 0.5))
    assert share_of_the_way([]) is None


def test_the_figures_are_read_from_the_json_that_they_are_written_to() -> None:
    held = [_held(i, str(i), 0.3) for i in range(4)]
    found = own_tasks(held, [each.episode for each in held])
    told = found.to_json()
    assert OwnFigures.from_json(told).to_json().keys() == told.keys()
    assert json.dumps(OwnFigures.from_json(json.loads(json.dumps(told))).to_json()) == json.dumps(told)
    row = told["tasks"][0]
    assert row["tau ours"] == found.tasks[0].tau["ours"] and row["regret 3 parameters"] >= 0


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
    coverage, width = intervals([*good, _held(5, "wild", 3.0)])
    assert coverage["80"]["mean"] == pytest.approx(0.8)
    assert width["80"]["mean"] > 0


def test_a_source_far_from_all_others_raises_an_alarm() -> None:
    held = [_held(i, str(i), 0.3) for i in range(6)]
    own = [each.episode for each in held]
    far = replace(own[0].features, features=own[0].features.features * 50, fingerprint="far")
    strange = replace(held[0], episode=replace(own[0], features=far))
    alarms, _ = unlike([strange, *held[1:]], [strange.episode, *own[1:]])
    assert alarms["mean"] > unlike(held, own)[0]["mean"]
