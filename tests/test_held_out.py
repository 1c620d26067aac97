"""Held-out tasks: no relative in training, rivals that are fair, intervals that cover."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import episode, task

from databases.records.episodes import Episode, own_episodes
from databases.records.record import PUBLISHED_MEAN, Record
from metad2a.retrain import held_out
from metad2a.retrain.held_out import HeldOut, conformal_factors, leave_one_source_out, tau
from metad2a.retrain.may_teach import may_teach
from predictors.rivals import best_on_average
from predictors.scale import to_percent
from predictors.surrogates import KERNEL, measured
from predictors.task_process import TaskProcess

ROOT = Path(__file__).parents[1]
CELLS = list(range(8))


def drawn(seed: int, family: str, *, recipe: str = "tiny", cells: int = 8) -> Episode:
    values = np.random.default_rng(seed).uniform(20, 90, cells)
    return episode(task(seed, at=seed % 3), CELLS[:cells], values.tolist(), recipe=recipe, family=family)


def hold_out(own: list[Episode]) -> list[HeldOut]:
    process = TaskProcess([measured(each) for each in own], lambda cells: np.eye(8)[cells], KERNEL)
    return leave_one_source_out(process, own)


def with_residuals(residuals: np.ndarray, std: float = 1.0) -> HeldOut:
    """A task whose prediction of 0 with a spread of ``std`` misses by the residuals."""
    nothing = np.zeros(len(residuals))
    one = episode(task(), list(range(len(residuals))), to_percent(residuals).tolist())
    return HeldOut(one, nothing, nothing + std, nothing, nothing, nothing, 0.0)


def test_published_tables_judge_but_for_one_which_teaches_by_its_means() -> None:
    def teaches(task: str, recipe: str = "nasbench201", seed: int = PUBLISHED_MEAN) -> bool:
        return may_teach(Record(task, "nasbench201", "a cell", recipe, seed, "nasbench201", test_accuracy=50.0))

    for judge in ("nasbench201/cifar10", "nasbench201/cifar100"):
        assert not any(teaches(judge, *how) for how in ((), ("nasbench201", 777), ("nasbench201-12ep", 111)))
    assert teaches("nasbench201/imagenet16-120") and teaches("nasbench201/imagenet16-120", "nasbench201-12ep", 111)
    assert not teaches("nasbench201/imagenet16-120", "nasbench201", 777)
    assert teaches("a fingerprint", "tiny", 0) and teaches("metad2a/train/1", "metad2a", 0)


def test_all_but_the_measuring_of_ones_own_tasks_learn_from_what_may_teach() -> None:
    given: dict[str, set[str]] = {}
    for path in sorted(ROOT.glob("metad2a/**/*.py")):
        calls = [each for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(each, ast.Call)]
        rules = {ast.unparse(each.value) for call in calls for each in call.keywords if each.arg == "usable"}
        given |= {path.parent.name: given.get(path.parent.name, set()) | rules} if rules else {}
    assert {"retrain", "evaluate"} <= given.keys()
    assert {room: rules for room, rules in given.items() if rules != {"may_teach"}} == {"build": {"by_recipe(recipe)"}}


def test_own_tasks_are_those_of_the_recipe_with_several_cells() -> None:
    given = [drawn(0, "a"), drawn(1, "b", recipe="small"), drawn(2, "c", cells=2), drawn(3, "imagenet")]
    assert own_episodes(given, "tiny") == [given[0], given[3]]


def test_a_family_is_predicted_by_what_others_taught_alone() -> None:
    own = [drawn(i, family) for i, family in enumerate("aabbccdd")]
    before = hold_out(own)
    assert [each.episode for each in before] == own
    other = [replace(each, accuracy=100 - each.accuracy) if each.family == "a" else each for each in own]
    after = hold_out(other)
    for name in ("mean", "std", "swapped", "average", "no_dataset"):
        changed = [not np.array_equal(getattr(x, name), getattr(y, name)) for x, y in zip(before, after, strict=True)]
        assert not any(changed[:2]), name
        assert all(changed[2:]) or name == "std", name


def test_families_with_names_of_one_length_draw_different_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [drawn(i, family) for i, family in enumerate("abcdefgh")]
    met: list[tuple[Episode, Episode]] = []

    def spy(process: TaskProcess, each: Episode, stranger: Episode, averages: dict[int, float]) -> HeldOut:
        met.append((each, stranger))
        return with_residuals(np.zeros(1))

    monkeypatch.setattr(held_out, "_predict", spy)
    hold_out(own)
    places = [[other for other in own if other is not each].index(stranger) for each, stranger in met]
    assert len(set(places)) > 2, "the same draw for every family"


def test_sources_the_backbone_has_seen_teach_but_are_not_held_out() -> None:
    own = [drawn(i, family) for i, family in enumerate(["a", "b", "tinyimagenet", "c"])]
    assert [each.episode.family for each in hold_out(own)] == ["a", "b", "c"]


def test_best_on_average_counts_each_task_alike_whatever_its_level_and_spread() -> None:
    easy, hard = to_percent([3.0, 3.1, 3.2]).tolist(), to_percent([2.0, 0.0, -2.0]).tolist()
    ranks = best_on_average([episode(task(i), [4, 5, 6], values) for i, values in enumerate((easy, easy, hard))])
    assert sorted(ranks, key=ranks.__getitem__) == [4, 5, 6]
    assert sum(ranks.values()) == pytest.approx(0)


def test_best_on_average_leaves_out_cells_of_fewer_than_three_tasks() -> None:
    given = [episode(task(i), [1, 2, 10 + i], [50, 60, 70]) for i in range(3)]
    assert set(best_on_average(given)) == {1, 2}


def test_tau_is_of_the_cells_that_both_rank() -> None:
    one = episode(task(), CELLS[:4], [10, 20, 30, 40])
    assert tau(np.array([1.0, 2, 3, 4]), one) == 1
    assert tau(np.array([4.0, np.nan, 2, 1]), one) == -1
    assert tau(np.array([1.0, 2, 3, 0]), one, np.array([True, True, True, False])) == 1


def test_a_single_cell_has_no_order_and_that_costs_no_warning() -> None:
    one = episode(task(), CELLS[:3], [10, 20, 30])
    for ranked in ([np.nan, 2.0, np.nan], [np.nan] * 3):
        assert np.isnan(tau(np.array(ranked), one))


def test_conformal_intervals_cover_the_share_they_promise() -> None:
    rng = np.random.default_rng(0)
    tasks = [rng.normal(0, 0.7, 30) for _ in range(60)]
    factors = conformal_factors([with_residuals(each, std=0.5) for each in tasks[:30]])
    for level, factor in factors.items():
        covered = np.mean([np.abs(each) <= factor * 0.5 for each in tasks[30:]])
        assert covered == pytest.approx(int(level) / 100, abs=0.05)


def test_a_task_of_many_cells_does_not_outvote_the_others() -> None:
    tasks = [np.full(1000, 0.1), *(np.full(10, 2.0) for _ in range(9))]
    assert conformal_factors([with_residuals(each) for each in tasks])["80"] == pytest.approx(2)


def test_few_tasks_give_the_widest_interval() -> None:
    assert conformal_factors([with_residuals(np.array([0.5, -3.0]))]) == {
        "80": pytest.approx(3),
        "95": pytest.approx(3),
    }
