"""A search of pipelines given more time, or left with some: what goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pipeline_world import OWN, begin, long_searches, stripes

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import Task
from metad2a.recommend.chances import Chance
from metad2a.search.pipelines import competing, ending
from metad2a.search.pipelines import tuning as module
from metad2a.search.pipelines.search import PipelineResult, search_pipelines
from metad2a.search.pipelines.session import PipelineSession
from metad2a.search.pipelines.stages import Plan, Stage, read_plan
from metad2a.search.runs import CANDIDATES
from metad2a.train.finetune import Tuned
from metad2a.train.pipeline import Effort

SLOW, FAST = Pipeline("own", 32, "all", 0.03), Pipeline("own", 32, "all", 0.1)


@pytest.fixture(autouse=True)
def efforts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Effort]:
    return long_searches(monkeypatch, tmp_path / "home")


def searched(task: Task) -> PipelineResult:
    return search_pipelines(task, seconds=500)


def rounds(result: PipelineResult) -> list[int]:
    return [each.round for each in read_plan(result.folder).stages]


def test_where_a_probe_answers_the_time_kept_for_the_last_training_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Tuned] = vars(module)["tune_pipeline"]
    worse = lambda *given, **more: replace(real(*given, **more), valid_accuracy=1.0)  # noqa: E731
    monkeypatch.setattr(module, "tune_pipeline", worse)
    monkeypatch.setattr(ending, "finalists", lambda logits, truth, best, **given: (best,))
    begin(monkeypatch, SLOW)
    result = searched(stripes(60))
    assert result.best == OWN and rounds(result) == [1, 2]


@pytest.mark.parametrize(("seconds", "more"), [(500.0, []), (1_000.0, [2])])
def test_a_larger_budget_goes_on_with_the_only_one_that_was_tuned(
    seconds: float, more: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch, SLOW)
    monkeypatch.setattr(module, "last_stage", lambda session: (None, [SLOW]))  # for it was no time
    searched(stripes(60))
    assert rounds(search_pipelines(stripes(60), seconds=seconds)) == [1, *more]


@pytest.mark.parametrize("count", [1, 2])
def test_what_was_planned_and_not_begun_is_planned_anew_by_a_larger_budget(
    count: int, efforts: list[Effort], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch, *[SLOW, FAST][:count])
    with monkeypatch.context() as patch:
        patch.setattr(PipelineSession, "left_for", lambda session, answering: 0.5)
        assert [each.done for each in read_plan(searched(stripes(60)).folder).stages] == [False] * count
    monkeypatch.setattr(competing, "first_round", lambda measured, **given: [Chance(FAST, 7.0, 50.0)])
    first = read_plan(search_pipelines(stripes(60), seconds=1_000).folder).stages[0]
    assert (first.pipeline, first.seconds, first.done) == (str(FAST), 7.0, True)


def test_what_was_planned_and_not_begun_is_kept_by_the_same_budget_and_beside_what_was_begun(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    for each in (SLOW, FAST):
        plan.add(Stage(str(each), 3.0, again=False, round=1, budget=10.0))
    plan.forget(budget=10.0)
    assert len(plan.stages) == 2
    (tmp_path / CANDIDATES).mkdir()
    (tmp_path / CANDIDATES / "4-0.checkpoint").touch()
    plan.add(Stage(str(FAST), 3.0, again=True, round=2, budget=10.0))
    plan.forget(budget=20.0)
    assert [each.round for each in plan.stages] == [1, 1]
    (tmp_path / CANDIDATES / "4-0.checkpoint").unlink()
    plan.forget(budget=20.0)
    assert plan.stages == []
