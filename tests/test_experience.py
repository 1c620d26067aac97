"""What searches measured on users' images: it lands in the database, and is learnt from where that helps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pipeline_world import opened, stripes

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import Task
from databases.records.csv_file import read_csv
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a.recommend import experience as module
from metad2a.recommend.chances import MEASURED, Chance
from metad2a.recommend.experience import experience
from metad2a.search.pipelines import competing, ending
from metad2a.search.pipelines.records import Recorder
from metad2a.search.pipelines.search import search_pipelines
from predictors.fine_tunings import Example, Looked
from predictors.outcome import OutcomeModel
from predictors.scale import to_logit, to_percent

OWN, TUNED = Pipeline("own", 32, "probe"), Pipeline("own", 32, "all", 0.03)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "records.db") as opened:
        yield opened


def task_named(name: str) -> Task:
    return replace(stripes(12, seed=len(name)), name=name)


def reached(probe: float, steps: float, slope: float) -> float:
    return float(to_percent(float(to_logit(probe)) + slope * math.log(steps / 40)))


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> OutcomeModel:
    """Made-up trainings of five sources with as many images as the user has, on which more steps help."""
    rng, found = np.random.default_rng(0), []
    images = int((task_named("any").parts == 0).sum())
    for number in range(5):
        looked = Looked(3, images, {("own", 32): float(rng.uniform(40, 80))})
        for steps in (50.0, 100.0, 200.0, 400.0):
            accuracy = reached(looked.probes["own", 32], steps, rng.normal(0.3, 0.1))
            found.append(Example(looked, TUNED, steps, (accuracy,), f"source{number}"))
    model = OutcomeModel(tuple(found))
    monkeypatch.setattr(module, "outcomes", lambda: model)
    return model


def measured(store: Store, name: str, *, slope: float, probe: float = 60.0) -> None:
    """What a user's search of some fine-tunings leaves, on images like those of the shipped trainings."""
    task = task_named(name)
    store.add_task(TaskEntry(task.fingerprint, name))
    extra = {"classes": 3.0, "train_images": float((task.parts == 0).sum())}

    def add(pipeline: Pipeline, recipe: str, accuracy: float) -> None:
        key = (task.fingerprint, "pipeline", str(pipeline), recipe, 0, "user")
        store.add([Record(*key, valid_accuracy=accuracy, extra=extra)])

    add(OWN, "probe", probe)
    for steps in (50, 100, 200):
        add(TUNED, TUNED.recipe(steps), reached(probe, steps, slope))


def test_a_search_records_what_it_measured_and_only_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("metad2a.train.pipeline.open_base", opened)
    monkeypatch.setattr("metad2a.recommend.looking.installed", lambda: {"own": True})
    monkeypatch.setattr(competing, "first_round", lambda measured, **given: [Chance(TUNED, 0.2, 50.0)])
    monkeypatch.setattr("metad2a.recommend.chances.PROBES", (OWN,))
    monkeypatch.setattr(competing, "LEAST_TUNING", 0.1)
    monkeypatch.setattr(competing, "LEAST_AGAIN", 1e9)
    monkeypatch.setattr(ending, "LEAST_LAST", 1e9)
    task = stripes(60)
    result = search_pipelines(task, seconds=500, store=store)
    found = {each.architecture: each for each in store.records(task=task.fingerprint)}
    assert {name: each.valid_accuracy for name, each in found.items()} == {
        str(each.architecture): each.valid_accuracy for each in result.trained
    }
    tuned = found[str(TUNED)]
    assert tuned.source == "user" and int(tuned.recipe.partition("-")[0]) >= 1 and tuned.test_accuracy is None
    assert tuned.extra["loss_at_100"] > 0  # its learning curve
    assert tuned.extra["classes"] == 3 and tuned.extra["train_images"] == (task.parts == 0).sum()
    entry = store.task(task.fingerprint)
    assert entry is not None and entry.name == task.name and entry.statistics
    search_pipelines(task, seconds=500, store=store)
    assert len(store.records()) == len(found)


def test_trainings_that_agree_are_learnt_from_but_never_for_their_own_images(
    store: Store, shipped: OutcomeModel
) -> None:
    assert experience(store).model is shipped and "none of your own" in str(experience(None))
    measured(store, "mine", slope=0.3)
    measured(store, "other", slope=0.3, probe=50.0)
    found = experience(store)
    assert found.used and (found.own, found.datasets) == (6, 2) and set(found.model.sources) >= {"mine", "other"}
    assert "6 of yours, of 2 datasets, are learnt from" in str(found)
    asked = experience(store, task_named("mine"))
    assert asked.own == 3 and "mine" not in asked.model.sources


def test_trainings_that_mislead_are_left_out(store: Store, shipped: OutcomeModel) -> None:
    for number in range(4):
        measured(store, f"odd{number:{number + 1}}", slope=-1.0)
    found = experience(store)
    assert not found.used and found.model is shipped and "not learnt from" in str(found)


def test_asked_for_augmentation_and_the_users_networks_are_no_examples(store: Store, shipped: OutcomeModel) -> None:
    recorder = Recorder(store, task_named("mine"), 0, "none")
    recorder.add(OWN, 60.0, 1.0, seconds=1.0)
    recorder.add(TUNED, 70.0, math.nan, seconds=5.0, steps=100)
    recorder.add(Pipeline("other", 64, "probe"), 70.0, 1.0, seconds=5.0)
    assert [each.recipe for each in store.records()] == ["100-steps-anew-none", "probe"]
    assert experience(store).own == 0


def test_what_comes_with_metad2a_does_not_count_twice(store: Store) -> None:
    rows = list(read_csv(MEASURED))
    store.add_tasks(each for each in rows if isinstance(each, TaskEntry))
    store.add(each for each in rows if isinstance(each, Record))
    assert experience(store).own == 0
