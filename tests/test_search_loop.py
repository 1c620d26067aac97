"""A search learns from its trainings, takes the same way after a kill, and gives hopeless trainings up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from search_world import CELLS, Candidate, Model, Recommendation, a_task

from databases.architectures.space import Architecture, finite_space
from databases.datasets.task import TRAIN, Task
from databases.errors import UserError
from databases.records.recipe import Recipe
from databases.records.store import Store
from metad2a.runtime.place import Place
from metad2a.search import candidate
from metad2a.search.result import SearchProgress, SearchResult
from metad2a.search.run_state import read_state
from metad2a.search.search import search
from metad2a.train.training import OnEpoch, Progress, Training

SPACE = finite_space("nasbench201")
POOL = list(SPACE.classes[::200])


class Wide(Model):
    """Recommends many cells, those with few convolutions first: wrongly."""

    def recommend(
        self, data: Task, *, top: int | None, seed: int, recipe: str, deadline: float = 0.0
    ) -> Recommendation:
        ranked = sorted(POOL, key=convolutions)[:top]
        return Recommendation([Candidate(each, score=-0.1 * convolutions(each)) for each in ranked], self.weights)

    def embed(self, pool: object) -> np.ndarray:
        return np.array([[convolutions(each), sum(each.walk) / 6] for each in pool])  # type: ignore[attr-defined]


def convolutions(architecture: Architecture) -> int:
    return sum(choice in (2, 3) for choice in architecture.walk)


@dataclass
class Trainings:
    """Stands for real trainings: convolutions pay, and each has a curve that shows it early."""

    order: list[Architecture] = field(default_factory=list)
    epochs: int = 4

    def __call__(
        self, task: Task, architecture: Architecture, *, recipe: Recipe, on_epoch: OnEpoch, **options: object
    ) -> Training:
        self.order.append(architecture)
        final, more = 40.0 + 8 * convolutions(architecture), True
        curve: list[Progress] = []
        while len(curve) < self.epochs and more:
            valid = final - 10 * (self.epochs - len(curve) - 1) if len(curve) + 1 < self.epochs else None
            curve.append(Progress(len(curve) + 1, self.epochs, 1.0, 0.1, valid))
            more = on_epoch(curve[-1]) is not False
        torch.manual_seed(0)
        network = SPACE.network(architecture, recipe.skeleton(input_channels=1, classes=3)).eval()
        reached = final if more else curve[-1].valid_accuracy
        return Training(network, (0.0,), (1.0,), reached, 1.0, more, curve)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    made = Trainings()
    monkeypatch.setattr(candidate, "train", made)
    return made


def wide(store: Store, **options: object) -> SearchResult:
    given = {"recipe": "quick", "place": Place("cpu"), "train": 8, "stop_early": False, **options}
    return search(Wide(), a_task(), store=store, **given)  # type: ignore[arg-type]


def test_trainings_change_what_is_trained_next(store: Store, trainings: Trainings) -> None:
    ranked = [each.architecture for each in Wide().recommend(a_task(), top=None, seed=0, recipe="quick").candidates]
    learnt = wide(store)
    assert trainings.order[0] == ranked[0] and convolutions(learnt.best) >= 4
    asked = wide(store, searcher="zero-shot")
    assert trainings.order[8:] == ranked[:8] and convolutions(asked.best) == convolutions(ranked[7]) < 4


@pytest.mark.parametrize("searcher", ["surrogate", "random", "evolution"])
def test_a_search_that_was_stopped_takes_the_way_it_would_have_taken(
    store: Store, trainings: Trainings, tmp_path: Path, searcher: str
) -> None:
    def stop(event: SearchProgress) -> None:
        if (event.event, event.number) == ("started", len(trainings.order) + 1) and event.number in (3, 6):
            raise KeyboardInterrupt

    whole = wide(store, searcher=searcher, folder=tmp_path / "whole")
    straight, trainings.order = trainings.order, []
    for stops in (stop, lambda event: None if event.number == 3 else stop(event)):
        with pytest.raises(KeyboardInterrupt):
            wide(store, searcher=searcher, on_progress=stops)
    result = wide(store, searcher=searcher)
    assert trainings.order == straight and result.resumed == 5
    assert (result.best, result.trained) == (whole.best, whole.trained)
    assert wide(store, searcher=searcher, train=12).trained[:8] == result.trained
    assert len(trainings.order) == len(set(trainings.order)) == 12


def test_hopeless_trainings_are_given_up_kept_as_such_and_never_records(store: Store, trainings: Trainings) -> None:
    events: list[SearchProgress] = []
    result = wide(store, searcher="random", train=12, stop_early=True, on_progress=events.append)
    stopped = [each for each in result.trained if each.stopped]
    assert stopped and all(each.epochs < trainings.epochs and not each.complete for each in stopped)
    assert all(40 + 8 * convolutions(each.architecture) < (result.valid_accuracy or 0) for each in stopped)
    assert [event.trained for event in events if event.event == "stopped"] == stopped
    recorded = {record.architecture for record in store.records(source="user")}
    assert recorded == {str(each.architecture) for each in result.trained if each.complete}
    assert result.notes[0] == f"{len(stopped)} of 12 trainings were given up early: they could not become the best"
    assert result.stopped_by == "trainings"
    state = read_state(result.folder)
    assert state is not None and [each for each in state.trained.values() if each.stopped] == stopped
    assert wide(store, searcher="random", train=12, stop_early=True).trained == result.trained
    assert len(trainings.order) == 12


def test_the_searcher_is_told_the_likely_end_of_what_was_given_up(store: Store, trainings: Trainings) -> None:
    result = wide(store, searcher="random", train=12, stop_early=True)
    assert {each.complete for each in result.trained} == {True, False}
    for each in result.trained:
        assert (each.score == each.valid_accuracy) == each.complete
        assert each.complete or (each.valid_accuracy or 0) < each.score < (result.valid_accuracy or 0)


def test_another_searcher_is_another_run_and_an_unknown_one_a_user_error(store: Store, trainings: Trainings) -> None:
    assert wide(store).folder != wide(store, searcher="random").folder
    with pytest.raises(UserError, match="unknown searcher 'oracle': choose one of random"):
        wide(store, searcher="oracle")


def test_without_validation_images_the_recommended_order_stays(store: Store, trainings: Trainings) -> None:
    task = a_task()
    blind = Task(task.name, task.images, task.labels, np.full(60, TRAIN, dtype=np.uint8), task.class_names)
    search(Model(), blind, store=store, recipe="quick", place=Place("cpu"), train=3)
    assert trainings.order == list(CELLS[:3])
