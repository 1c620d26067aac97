"""A search for a pipeline within limits: what is exported keeps them, alone and together with others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import short_searches, stripes

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.errors import UserError
from databases.records.store import Store
from metad2a.recommend import looking
from metad2a.recommend.chances import Chance, MeasuredProbe
from metad2a.recommend.limits import Limits
from metad2a.recommend.pipeline_cost import Allowed, cost_of, limits_here
from metad2a.search.pipelines import competing
from metad2a.search.pipelines.competing import first_round
from metad2a.search.pipelines.search import PipelineResult, search_pipelines
from metad2a.search.runs import best_network, run_names

OWN, SLIM = Pipeline("own", 32, "probe"), Pipeline("own", 32, "probe", slim=True)
TUNED = (Pipeline("own", 32, "all", 0.03), Pipeline("own", 32, "all", 0.03, slim=True))
SMALL = limits_here(1_500_000, None, None)
TASK = stripes(60)


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, our weights alone, and short fine-tunings of those that are allowed."""

    def first(measured: object, *, allowed: Callable[[Pipeline], bool] | None, **given: object) -> list[Chance]:
        return [Chance(each, 0.3, 50.0) for each in TUNED if allowed is None or allowed(each)]

    short_searches(monkeypatch, tmp_path / "home", probes=(OWN,))
    monkeypatch.setattr(competing, "first_round", first)


def searched(limits: Limits) -> PipelineResult:
    return search_pipelines(TASK, seconds=500, limits=limits)


def test_what_is_exported_keeps_the_limits_and_a_dearer_probe_only_looks() -> None:
    result = searched(SMALL)
    assert [str(each.architecture) for each in result.trained] == [str(OWN), str(SLIM), str(TUNED[1])]
    assert sum(cost_of(each, TASK).parameters for each in result.members) <= 1_500_000
    assert sum(each.numel() for each in result.exported.training.network.parameters()) <= 1_500_000
    again = searched(SMALL)
    assert again.resumed == 3 and again.members == result.members


def test_a_run_that_was_killed_gives_nothing_that_breaks_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("metad2a.search.pipelines.search.report", interrupt)
        searched(SMALL)
    (name,) = run_names()
    with pytest.raises(UserError, match="not chosen within its limits"):
        best_network(name)
    searched(SMALL)
    _, training = best_network(name)
    assert sum(each.numel() for each in training.network.parameters()) <= 1_500_000


def interrupt(*given: object, **more: object) -> None:
    raise KeyboardInterrupt


def test_what_a_network_took_holds_for_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = limits_here(None, None, "10s")
    first = searched(limits)
    busy = replace(cost_of(OWN, TASK), latency_ms=1e6)
    monkeypatch.setattr("metad2a.recommend.pipeline_cost.cost_of", lambda pipeline, task, also: busy)
    again = searched(limits)
    assert again.members == first.members and again.resumed == len(first.trained)


def test_each_limit_is_a_run_of_its_own_and_none_is_as_ever() -> None:
    free, bound = searched(Limits()), searched(limits_here(None, 20_000_000, None))
    assert free.folder != bound.folder
    assert OWN in (PIPELINE.pipeline(each.architecture) for each in free.trained)
    assert sum(cost_of(each, TASK).flops for each in bound.members) <= 20_000_000


def test_limits_that_nothing_keeps_are_told_with_the_nearest_possible() -> None:
    with pytest.raises(UserError, match="at most 5,000 parameters: the smallest has 5,295"):
        searched(limits_here(5_000, None, None))
    with pytest.raises(UserError, match="at most 10 parameters: the smallest has 5,295"):
        Allowed(limits_here(10, None, None), TASK).probes([Pipeline("hog", 64, "probe")])
    with pytest.raises(UserError, match="give a time above zero"):
        limits_here(None, None, 0.0)


def test_where_hog_alone_keeps_the_limits_it_is_probed_though_there_was_no_time_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hog, fitting = Pipeline("hog", 64, "probe"), looking.fitting

    def late(task: Task, pipeline: Pipeline, *given: Any, **more: Any) -> tuple[dict[int, int], bool]:
        return fitting(task, pipeline, *given, **more)[0], pipeline.weights != "hog"

    monkeypatch.setattr("metad2a.recommend.chances.PROBES", (OWN, hog))
    monkeypatch.setattr(looking, "installed", lambda: {"own": True, "hog": True})
    monkeypatch.setattr(looking, "fitting", late)
    result = searched(limits_here(10_000, None, None))
    assert result.best == hog and not any("HOG was left out" in each for each in result.notes)
    assert searched(limits_here(10_000, None, None)).resumed == 2


def test_a_probe_of_a_slice_is_of_as_many_images_as_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metad2a.recommend.looking.affordable", lambda *given, **options: {TRAIN: 12, VALIDATION: 12})
    told = [f"{each} learnt from 12 of 36 training images" for each in (OWN, SLIM)]
    with Store("sqlite://") as store:
        notes = search_pipelines(TASK, seconds=500, limits=SMALL, store=store).notes
        assert all(any(each.startswith(line) for each in notes) for line in told)
        again = search_pipelines(TASK, seconds=500, limits=SMALL, store=store).notes
        assert sum("learnt from a part of the training images" in each for each in again) == 2
        assert [each.architecture for each in store.records()] == [str(TUNED[1])]  # none of a part


def test_with_more_time_a_probe_of_a_part_learns_from_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    with Store("sqlite://") as store:
        with monkeypatch.context() as patch:
            some = {TRAIN: 12, VALIDATION: 12}
            patch.setattr("metad2a.recommend.looking.affordable", lambda *given, **options: some)
            few = search_pipelines(TASK, seconds=500, limits=SMALL, store=store)
        whole = search_pipelines(TASK, seconds=900, limits=SMALL, store=store)
        assert whole.folder == few.folder and not any("learnt from" in each for each in whole.notes)
        assert {str(OWN), str(SLIM)} < {str(each.architecture) for each in store.records()}


@pytest.mark.parametrize("limits", [Limits(latency="5ms", device="pixel2"), Limits(device="pixel2", prefer="latency")])
def test_latencies_are_those_of_this_machine(limits: Limits) -> None:
    with pytest.raises(UserError, match="this machine"):
        searched(limits)


def test_a_mean_costs_what_all_its_members_cost() -> None:
    one = cost_of(SLIM, TASK)
    assert Allowed(limits_here(one.parameters, None, None), TASK)(SLIM)
    assert not Allowed(limits_here(2 * one.parameters - 1, None, None), TASK)(SLIM, SLIM)
    assert Allowed(limits_here(2 * one.parameters, 2 * one.flops, None), TASK)(SLIM, SLIM)


@pytest.mark.parametrize("seconds", [5.0, 60.0, 240.0])
def test_slices_begin_where_the_whole_is_too_dear(seconds: float) -> None:
    measured = [MeasuredProbe(OWN, 70.0, 1_000.0), MeasuredProbe(Pipeline("lite0", 64, "probe"), 75.0, 100.0)]
    chosen = first_round(measured, images=800, classes=5, seconds=seconds, allowed=Allowed(SMALL, TASK))
    assert chosen and all(
        each.pipeline.weights == "own" and (each.pipeline.slim or each.pipeline.short) for each in chosen
    )
