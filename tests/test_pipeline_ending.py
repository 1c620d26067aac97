"""The end of a search for pipelines: what is exported learns from the validation images too, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from pipeline_world import KNOWN, OWN, begin, long_searches, stripes

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.task import TRAIN, VALIDATION, Task
from metad2a.export.weights import load_weights
from metad2a.search.pipelines import competing, ending
from metad2a.search.pipelines import tuning as module
from metad2a.search.pipelines.chosen import ON_ALL
from metad2a.search.pipelines.search import PipelineResult, search_pipelines
from metad2a.search.pipelines.session import PipelineSession
from metad2a.search.pipelines.stages import LAST_ROUND, read_plan
from metad2a.search.run_state import read_state
from metad2a.search.runs import AGAIN, CANDIDATES
from metad2a.train.bases import Base
from metad2a.train.finetune import Tuned
from metad2a.train.pipeline import Effort, tune_pipeline

LITE = Pipeline("lite0", 64, "probe")
SLOW, FAST = Pipeline("own", 32, "all", 0.03), Pipeline("own", 32, "all", 0.1)


@pytest.fixture(autouse=True)
def efforts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Effort]:
    return long_searches(monkeypatch, tmp_path / "home")


def searched(task: Task) -> PipelineResult:
    return search_pipelines(task, seconds=500)


def parts(efforts: list[Effort]) -> list[tuple[int, ...]]:
    return [each.parts for each in efforts]


def test_what_is_exported_learns_from_validation_images_last(
    efforts: list[Effort], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch, SLOW)
    result = searched(stripes(60))
    assert parts(efforts) == [(TRAIN,), (TRAIN, VALIDATION)]
    assert result.best == SLOW and ON_ALL in result.notes
    assert result.valid_accuracy != KNOWN  # which is of images that were learnt from


def test_one_of_several_goes_on_before_the_last(efforts: list[Effort], monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, SLOW, FAST)
    result = searched(stripes(60))
    assert parts(efforts) == [(TRAIN,)] * 3 + [(TRAIN, VALIDATION)]
    assert [each.round for each in read_plan(result.folder).stages] == [1, 1, 2, LAST_ROUND]


def test_the_exported_network_is_the_one_of_all_images(efforts: list[Effort], monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, SLOW)
    monkeypatch.setattr(ending, "finalists", lambda logits, truth, best, **given: (best,))
    result = searched(stripes(60))
    _, last = load_weights(result.folder / CANDIDATES / AGAIN)
    _, first = load_weights(result.folder / CANDIDATES / "1.safetensors")
    exported = result.exported.training.network.state_dict()
    assert all((exported[name] == value).all() for name, value in last.network.state_dict().items())
    assert any((exported[name] != value).any() for name, value in first.network.state_dict().items())


def test_a_last_training_that_forgets_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, SLOW)
    real: Callable[..., Tuned] = vars(module)["tune_pipeline"]

    def lost(pipeline: Pipeline, task: Task, effort: Effort, **given: object) -> Tuned:
        tuned = real(pipeline, task, effort, **given)
        return replace(tuned, valid_accuracy=1.0) if VALIDATION in effort.parts else tuned

    monkeypatch.setattr(module, "tune_pipeline", lost)
    result = searched(stripes(60))
    assert result.best == SLOW and not (result.folder / CANDIDATES / AGAIN).exists()


def test_a_last_training_that_is_killed_is_gone_on_with_before_more_time_is_used(
    efforts: list[Effort], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch, SLOW)
    real: Callable[..., Tuned] = vars(module)["tune_pipeline"]

    def killed(pipeline: Pipeline, task: Task, effort: Effort, **given: object) -> Tuned:
        tuned = real(pipeline, task, effort, **given)
        if VALIDATION in effort.parts:
            raise KeyboardInterrupt
        return tuned

    monkeypatch.setattr(module, "tune_pipeline", killed)
    with pytest.raises(KeyboardInterrupt):
        searched(stripes(60))
    monkeypatch.setattr(module, "tune_pipeline", real)
    efforts.clear()
    result = searched(stripes(60))
    assert parts(efforts) == [(TRAIN, VALIDATION), (TRAIN,), (TRAIN, VALIDATION)] and ON_ALL in result.notes
    assert not list((result.folder / CANDIDATES).glob("*.checkpoint"))


def test_more_time_goes_on_with_what_validation_chose(efforts: list[Effort], monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, SLOW)
    searched(stripes(60))
    efforts.clear()
    result = searched(stripes(60))
    assert parts(efforts) == [(TRAIN,), (TRAIN, VALIDATION)] and result.valid_accuracy != KNOWN


def test_a_last_training_is_forgotten_with_the_network_that_it_went_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, SLOW)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("metad2a.search.pipelines.search.report", interrupt)
        searched(stripes(60))  # killed before it is tested
    real: Callable[..., Tuned] = vars(module)["tune_pipeline"]
    monkeypatch.setattr(module, "tune_pipeline", lambda *given, **more: replace(real(*given, **more), valid_loss=0.05))
    monkeypatch.setattr(module, "last_stage", lambda session: (None, []))
    result = searched(stripes(60))
    state = read_state(result.folder)
    assert state is not None and state.again is None and ON_ALL not in result.notes


def interrupt(*given: object, **more: object) -> None:
    raise KeyboardInterrupt


def test_what_is_told_of_a_mean_is_why_and_who_learnt_from_what(monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, SLOW)
    monkeypatch.setattr(ending, "finalists", lambda logits, truth, best, **given: (best, 0))
    monkeypatch.setattr(module, "take_last", lambda *given: None)  # the probe alone learns from all
    notes = searched(stripes(60)).notes
    assert any(f"{OWN}, since log-loss on validation images is lower, " in each for each in notes)
    assert any(each.startswith(f"of what is exported {OWN} learnt") for each in notes) and ON_ALL not in notes


@pytest.mark.parametrize("also", [True, False])
def test_what_learnt_from_validation_images_is_not_judged_by_them_whatever_its_notes_say(
    also: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch, SLOW)
    monkeypatch.setattr("metad2a.search.pipelines.chosen.BOTH", "said otherwise")
    monkeypatch.setattr("metad2a.search.pipelines.chosen.ON_ALL", "said otherwise")
    told = list[bool]()

    def judged(*_: object, went_on: bool, **more: object) -> list[str]:
        told.append(went_on)
        return []

    monkeypatch.setattr("metad2a.search.pipelines.search.judgements", judged)
    if not also:
        monkeypatch.setattr(module, "last_stage", lambda session: (None, []))
    searched(stripes(60))
    searched(stripes(60))  # answers
    assert told == [also, also]


def test_a_last_training_that_time_cut_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, SLOW)
    real: Callable[..., Tuned] = vars(module)["tune_pipeline"]

    def cut(pipeline: Pipeline, task: Task, effort: Effort, **given: object) -> Tuned:
        tuned = real(pipeline, task, effort, **given)
        return replace(tuned, complete=VALIDATION not in effort.parts)

    monkeypatch.setattr(module, "tune_pipeline", cut)
    lines = list[str]()
    search_pipelines(stripes(60), seconds=500, line=lines.append)
    assert "not to its end" in lines[-1]


def test_without_validation_images_all_time_is_for_what_there_is(
    efforts: list[Effort], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch, SLOW)
    task = stripes(60)
    none = replace(task, parts=np.where(task.parts == VALIDATION, np.uint8(TRAIN), task.parts))
    result = searched(none)
    assert {*parts(efforts)} == {(TRAIN,)} and ON_ALL not in result.notes


def test_what_it_is_compared_with_is_trained_once_and_goes_on_when_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(pipeline: Pipeline, task: Task, effort: Effort, **given: object) -> Tuned:
        trained.append(Path(str(given["checkpoint"])))
        gone_on.append(trained[-1].is_file())
        short = replace(effort, seconds=None, steps=4)
        if len(trained) == 1:
            tune_pipeline(pipeline, task, short, on_epoch=lambda epoch: False, **given)  # type: ignore[arg-type]
            raise KeyboardInterrupt
        return tune_pipeline(pipeline, task, short, **given)  # type: ignore[arg-type]

    begin(monkeypatch, SLOW)
    monkeypatch.setattr(competing, "LEAST_AGAIN", 1e9)
    monkeypatch.setattr(ending, "LEAST_LAST", 1e9)
    trained, gone_on = list[Path](), list[bool]()
    monkeypatch.setattr("metad2a.search.pipelines.search.tune_pipeline", killed)
    with pytest.raises(KeyboardInterrupt):
        search_pipelines(stripes(60), seconds=500, baseline=True)
    whole, again = (search_pipelines(stripes(60), seconds=500, baseline=True) for _ in range(2))
    assert gone_on == [False, True] and trained[0] == trained[1] and not trained[0].exists()
    assert again.rivals == whole.rivals and [each.name for each in whole.rivals][1:] == [str(OWN)]
    assert search_pipelines(stripes(60), seconds=500).rivals == ()
    assert search_pipelines(stripes(60), seconds=600, baseline=True).rivals and len(trained) == 3
    assert not list(whole.folder.glob("plain-*"))


@pytest.mark.parametrize(("left", "free"), [(100.0, 70.0), (5.0, 5.0), (0.5, 0.5)])
def test_a_share_of_the_time_is_kept_where_it_is_worth_a_training(left: float, free: float) -> None:
    class Session:
        task = stripes(60)

    assert ending.before_last(Session(), left) == pytest.approx(free)  # type: ignore[arg-type]


def test_of_equals_a_fine_tuned_network_comes_before_frozen_weights() -> None:
    texts = ("own 32px probe whole", "hog 64px", "own 32px all rate0.03 whole", "own 48px probe whole")
    pipelines = [PIPELINE.pipeline(PIPELINE.parse(text)) for text in texts]

    def ranked(*rows: tuple[float, float]) -> list[int]:
        trained = {i: SimpleNamespace(valid_accuracy=accuracy) for i, (accuracy, _) in enumerate(rows)}
        run = SimpleNamespace(state=SimpleNamespace(trained=trained))
        asked = SimpleNamespace(run=run, allowed=None, pipeline=pipelines.__getitem__, loss=lambda i: rows[i][1])
        return PipelineSession.ranked(cast(PipelineSession, asked))

    assert ranked((97.6, 0.04), (60.0, 0.9), (97.6, 0.16), (95.0, 0.1)) == [2, 0, 3, 1]
    assert ranked((97.6, 0.04), (97.6, 0.1), (97.6, 0.16), (97.7, 0.5)) == [3, 1, 2, 0]


@pytest.mark.parametrize("time", [True, False], ids=["there is time", "there is none"])
def test_imagenets_weights_are_compared_where_the_search_had_no_time_for_them(
    time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fits(task: Task, pipeline: Pipeline, base: Base, rate: float, left: float, **given: object) -> object:
        most = {TRAIN: 10, VALIDATION: 10}
        return most, pipeline.weights == "own" or (time and left == 500)

    begin(monkeypatch)
    monkeypatch.setattr("metad2a.recommend.looking.installed", lambda: {"own": True, "lite0": True})
    monkeypatch.setattr("metad2a.recommend.chances.PROBES", (OWN, LITE))
    for place in ("recommend.looking", "search.pipelines.probing"):
        monkeypatch.setattr(f"metad2a.{place}.fitting", fits)
    monkeypatch.setattr("metad2a.search.pipelines.search.tune_pipeline", quick)
    first, again = (search_pipelines(stripes(60), seconds=500, baseline=True) for _ in range(2))
    assert [str(each.architecture) for each in first.trained] == [str(OWN)]  # it does not compete
    assert [each.name for each in first.rivals][1:] == [str(OWN), *([str(LITE)] if time else [])]
    assert again.rivals == first.rivals and all(each.test_accuracy is not None for each in first.rivals)


def quick(pipeline: Pipeline, task: Task, effort: Effort, **given: object) -> Tuned:
    return tune_pipeline(pipeline, task, replace(effort, seconds=None, steps=2), **given)  # type: ignore[arg-type]
