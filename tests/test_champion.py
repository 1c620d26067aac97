"""A challenger becomes champion only by evidence; the shipped weights are the first champion."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import convolutions, episode, meta_model, task

from databases.errors import UserError
from databases.records.episodes import Episode
from databases.records.recipe import PUBLISHED_SIZE
from metad2a.recommend.model import SHIPPED, MetaD2A
from metad2a.retrain import champion
from metad2a.retrain.champion import Comparison, TaskComparison, before_learning, compare, current_champion, fetch
from metad2a.runtime.tracking import NullTracker, Tracker
from predictors.surrogates import learn_surrogates

CELLS = list(range(0, 600, 20))


def measured(seed: int, family: str, *, sign: int = 1) -> Episode:
    values = 50 + sign * 6 * convolutions(CELLS) + np.random.default_rng(seed).uniform(0, 1, len(CELLS))
    return episode(task(seed), CELLS, values.tolist(), family=family)


def learnt(known: list[Episode], weights: str) -> MetaD2A:
    model = meta_model(6)
    model.surrogates, model.weights = learn_surrogates(model.predictor, known, {}), weights
    return model


def comparison(differences: list[float], sources: list[str]) -> Comparison:
    tasks = [
        TaskComparison(f"t{i}", s, 9, 0.2, 0.2 + d) for i, (d, s) in enumerate(zip(differences, sources, strict=True))
    ]
    return Comparison("tiny", "old", "new", tuple(tasks))


def test_better_is_an_interval_above_zero_over_enough_sources() -> None:
    assert comparison([0.1, 0.2, 0.1, 0.2, 0.1, 0.1], list("abcdef")).better
    unsure = comparison([0.3, -0.2, 0.1, -0.1, 0.2, -0.1], list("abcdef"))
    assert unsure.difference is not None and unsure.difference.mean > 0
    assert not unsure.better and "champion stays" in unsure.verdict
    few = comparison([0.1] * 8, list("abcdabcd"))
    assert not few.better and "at least 5 sources" in few.verdict
    assert not comparison([0.0] * 6, list("abcdef")).better
    assert "tau 0.100 [-, -]" in comparison([0.1] * 2, ["a", "a"]).verdict
    nothing = Comparison("tiny", "old", "new", ())
    assert not nothing.better and nothing.verdict.endswith("can be held out, so the champion stays")


def test_tasks_of_one_source_are_no_independent_witnesses() -> None:
    differences = [0.5, 0.5, 0.5, 0.5, -0.1, -0.1, -0.1, -0.1]
    assert not comparison(differences, ["a"] * 4 + list("bcde")).better


def test_the_comparison_is_a_table(tmp_path: Path) -> None:
    path = comparison([0.1, -0.1], ["a", "b"]).write(tmp_path / "comparison.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["source"], row["difference"]) for row in rows] == [
        ("t0", "a", "0.1000"),
        ("t1", "b", "-0.1000"),
    ]


def test_both_models_are_compared_without_what_they_saw_of_the_source() -> None:
    own = [measured(i, family) for i, family in enumerate("abcdef")]
    first = compare(learnt(own[:3], "old"), learnt(own, "new"), own, recipe="tiny")
    assert [(each.task, each.source) for each in first.tasks] == [(f"task{i}", f) for i, f in enumerate("abcdef")]
    turned = [measured(0, "a", sign=-1), *own[1:]]  # had task 0 been seen, its predictions would turn with it
    second = compare(learnt(turned[:3], "old"), learnt(turned, "new"), turned, recipe="tiny")
    assert first.tasks[0].challenger > 0.4 > -0.4 > second.tasks[0].challenger
    assert first.tasks[0].champion > 0.4 > -0.4 > second.tasks[0].champion


def test_a_model_is_not_better_than_itself() -> None:
    own = [measured(i, family) for i, family in enumerate("abcdef")]
    model = learnt(own, "same")
    told = compare(model, model, own, recipe="tiny").to_json()["difference"]
    assert told == {"mean": 0, "low": 0, "high": 0, "level": 0.95, "groups": 6}


def test_a_model_is_asked_for_an_unknown_recipe_as_for_the_nearest_in_size() -> None:
    model = meta_model(6)
    model.header = {**model.header, "architectures": {"tiny": 300, "nasbench201": 6466, "metad2a": 4000}}
    assert before_learning(model, "mine", PUBLISHED_SIZE) == "nasbench201"
    assert before_learning(model, "mine", (8, 3, 16)) == "tiny"
    assert before_learning(model, "metad2a", PUBLISHED_SIZE) == "metad2a"
    own = [replace(measured(i, family), recipe="mine") for i, family in enumerate("ab")]
    assert len(compare(model, model, own, recipe="mine").tasks) == 2


def test_the_champion_is_asked_as_for_the_size_that_the_challenger_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set[tuple[str, str]]()

    def spy(model: MetaD2A, recipe: str, size: tuple[int, int, int]) -> str:
        asked.add((model.weights, found := before_learning(model, recipe, size)))
        return found

    monkeypatch.setattr(champion, "before_learning", spy)
    old, new = meta_model(6), meta_model(6)
    old.weights, new.weights = "old", "new"
    for each in (old, new):
        each.header = {**each.header, "architectures": {"tiny": 300, "nasbench201": 6466}}
    new.header["foreign_recipes"] = {"mine": [8, 3, 16]}
    own = [replace(measured(i, family), recipe="mine") for i, family in enumerate("ab")]
    compare(old, new, own, recipe="mine")
    assert asked == {("old", "tiny"), ("new", "tiny")}


def test_without_a_registry_the_shipped_weights_are_champion() -> None:
    found = current_champion(NullTracker())
    assert found is not None and found.surrogates["tiny"].names


@pytest.fixture(name="home")
def home_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield tmp_path / "home"


@pytest.mark.slow
def test_the_registry_begins_with_the_shipped_champion_and_follows_promotions(home: Path, tmp_path: Path) -> None:
    assert fetch("champion") == SHIPPED
    with pytest.raises(UserError, match="no challenger in MLflow"):
        fetch("challenger")
    tracker = Tracker()
    first = current_champion(tracker)
    registered = tracker.registered(champion.MODEL_NAME, "champion")
    assert first is not None and registered is not None and registered.version == "1"
    assert fetch("champion").read_bytes() == SHIPPED.read_bytes()
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"no model")
    with tracker.run("m", "meta-training") as run:
        version = run.register(other, champion.MODEL_NAME, alias="challenger")
    assert fetch("challenger").read_bytes() == b"no model"
    assert version is not None
    tracker.promote(champion.MODEL_NAME, version)
    assert fetch("champion").read_bytes() == b"no model"
    again = current_champion(tracker)  # a champion that cannot be read costs a warning, and the shipped one stands in
    assert again is not None and again.weights == first.weights


@pytest.mark.slow
def test_a_named_champion_needs_a_registry(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="MLflow cannot be used"):
        fetch("champion")
