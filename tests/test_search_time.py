"""The time of a search is a promise."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from search_world import CELLS, QUICK, a_task, identity_of, quick

from databases.architectures.space import Architecture
from databases.datasets.task import Task
from databases.errors import UserError
from databases.records.store import Store
from metad2a.export.export import load_exported
from metad2a.search import candidate
from metad2a.search.runs import RunFolder
from metad2a.search.session import Session
from metad2a.train.train import seconds_a_step, train
from metad2a.train.training import Training

pytestmark = pytest.mark.usefixtures("search_home")


def test_time_is_a_promise_and_a_training_whose_schedule_is_shortened_is_no_measurement(store: Store) -> None:
    seconds_a_step(a_task(), CELLS[0], recipe=QUICK, on="cpu")  # what a process imports for its first training is there
    begin = time.monotonic()
    result = quick(store, recipe="endless", seconds=2.0)
    assert time.monotonic() - begin < 3.0
    assert (result.stopped_by, len(result.trained)) == ("time", 1)
    assert not result.trained[0].complete and result.trained[0].epochs >= 1
    assert store.records() == []
    assert "1 shortened" in result.notes[0] or "1 cut" in result.notes[0]
    assert not load_exported(result.folder).card.complete


def test_time_that_earlier_processes_spent_counts(store: Store, trainings: list[Architecture]) -> None:
    result = quick(store, recipe="endless", seconds=1.0)
    with RunFolder(result.folder, identity_of(result), begin=time.monotonic()) as run:
        assert run.spent > result.seconds / 2 > 0
    quick(store, recipe="endless", seconds=result.seconds)
    assert len(trainings) == 1
    assert quick(store, recipe="endless", seconds=result.seconds + 5.0).trained[0].epochs >= 1
    assert trainings == [CELLS[0], CELLS[0]]


def test_a_whole_training_replaces_one_cut_short_in_its_last_epoch(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(task: Task, architecture: Architecture, **options: object) -> Training:
        return replace(train(task, architecture, **options), complete=False)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(candidate, "train", cut)
        assert not quick(store, train=1).exported.card.complete
    whole = quick(store, train=1)
    assert whole.exported.card.complete and whole.stopped_by == "trainings"


def test_tries_that_came_to_no_training_cost_later_ones_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, trainings: list[Architecture]
) -> None:
    def late(session: Session, index: int) -> bool:  # as of a first import on a slow disk, and speeds that are timed
        time.sleep(0.7)
        return False

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_fits", late)
        for _ in range(4):
            with pytest.raises(UserError, match=r"0\.3 seconds was over before the first step .* took 1 s"):
                quick(store, recipe="endless", seconds=0.3)
    quick(store, recipe="endless", seconds=2.0)
    assert len(trainings) == 1


def test_no_time_for_a_single_step_is_a_user_error(store: Store) -> None:
    with pytest.raises(UserError, match=r"0\.0001 seconds was over before the first step"):
        quick(store, seconds=1e-4)
    assert quick(store).stopped_by == "trainings"
