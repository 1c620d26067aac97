"""Searches keep their budget and lose nothing: kills, second processes, larger budgets."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search_world import CELLS, Model, Recommendation, a_task, quick

from databases.architectures.space import Architecture
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.errors import UserError
from databases.records.store import Store
from metad2a.export.export import load_exported
from metad2a.runtime.tracking import Run
from metad2a.search import ending
from metad2a.search.judgement import ended, remarks
from metad2a.search.result import SearchProgress
from metad2a.search.run_state import Trained
from metad2a.search.search import train_one
from metad2a.train.inference import accuracy
from metad2a.train.training import Training

pytestmark = pytest.mark.usefixtures("search_home")


def test_the_best_by_validation_is_exported_and_tested_once(
    store: Store, search_home: Path, monkeypatch: pytest.MonkeyPatch, trainings: list[Architecture]
) -> None:
    tested: list[int] = []

    def counted(training: Training, task: Task, part: int) -> float | None:
        tested.append(part)
        return accuracy(training, task, part)

    monkeypatch.setattr(ending, "accuracy", counted)
    result = quick(store)
    assert trainings == list(CELLS[:3]) and tested == [TEST]
    assert [each.architecture for each in result.trained] == list(CELLS[:3])
    best = max(each.valid_accuracy or 0.0 for each in result.trained)
    assert result.valid_accuracy == best > 40
    assert result.best == next(each.architecture for each in result.trained if each.valid_accuracy == best)
    assert (result.stopped_by, result.resumed) == ("trainings", 0)
    first, second, third = (each.expected_accuracy for each in result.trained)
    assert first == 50.0 != second != third, "what is expected follows what was measured"
    told = result.notes[0]
    assert "follows what those before it measured: 3 finished trainings measured" in told
    assert re.fullmatch("my-images-quick-[0-9a-f]{8}", result.folder.name)
    assert result.folder.parent == search_home / "runs"
    exported = load_exported(result.folder)
    assert exported.card.architecture == str(result.best) and exported.program.exists()
    assert exported.card.test_accuracy == result.test_accuracy
    assert accuracy(exported.training, a_task(), TEST) == result.test_accuracy


def test_every_training_is_recorded_for_others_without_a_test(store: Store) -> None:
    result = quick(store, train=2, seed=5)
    records = store.records(task=a_task().fingerprint, recipe="quick", source="user")
    assert {record.architecture for record in records} == {str(each) for each in CELLS[:2]}
    assert all(record.test_accuracy is None and record.seed == 5 for record in records)
    measured = {str(each.architecture): each.valid_accuracy for each in result.trained}
    assert {record.architecture: record.valid_accuracy for record in records} == measured
    assert store.task(a_task().fingerprint) is not None


def test_the_same_command_again_trains_nothing_and_a_larger_one_goes_on(
    store: Store, trainings: list[Architecture]
) -> None:
    first = quick(store, train=2)
    again = quick(store, train=2)
    assert len(trainings) == 2 and again.resumed == 2
    assert (again.trained, again.best, again.test_accuracy) == (
        first.trained,
        first.best,
        first.test_accuracy,
    )
    larger = quick(store, train=4)
    assert trainings == list(CELLS) and larger.resumed == 2
    assert quick(store, train=1).trained == first.trained[:1]


def test_another_seed_or_model_is_another_run(store: Store) -> None:
    first, second = quick(store, train=1), quick(store, train=1, seed=1)
    third = quick(store, train=1, model=Model("another"))
    assert len({each.folder for each in (first, second, third)}) == 3
    with pytest.raises(UserError, match="holds the run of another"):
        quick(store, train=1, seed=2, folder=first.folder)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import search_world as t
t.RECIPES["quick"] = t.QUICK
def kill(event):
    if (event.event, event.number) == ("epoch", 2):
        os.kill(os.getpid(), signal.SIGKILL)
with t.Store(t.Path(os.environ["METAD2A_HOME"]) / "database.db") as store:
    t.quick(store, on_progress=kill)
"""


@pytest.mark.slow
def test_a_killed_search_goes_on_and_ends_as_if_never_killed(store: Store, trainings: list[Architecture]) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent))
    killed = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
    assert killed.returncode == -signal.SIGKILL
    events: list[SearchProgress] = []
    result = quick(store, on_progress=events.append)
    assert trainings == list(CELLS[1:3]) and result.resumed == 1
    told = [event.event for event in events if event.event != "epoch"]
    assert told == ["kept", "started", "trained", "started", "trained", "tested"]
    assert len(store.records(source="user")) == 3
    whole = quick(store, folder=result.folder / "never killed")
    assert [each.valid_accuracy for each in whole.trained] == [each.valid_accuracy for each in result.trained]
    assert (whole.best, whole.test_accuracy) == (result.best, result.test_accuracy)


def test_a_finished_search_given_again_adds_no_second_and_no_tracked_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    discarded: list[int] = []
    monkeypatch.setattr(Run, "discard", lambda run: discarded.append(1))
    first = quick(store)
    assert not discarded
    again = quick(store, begun=time.monotonic() - 60)
    assert again.seconds == pytest.approx(first.seconds, abs=0.5) and discarded == [1]
    assert quick(store, train=4).seconds > first.seconds and discarded == [1]


def test_a_printed_result_is_short(store: Store) -> None:
    result = quick(store, train=2)
    lines = str(result).splitlines()
    assert len(lines) <= 2 + len(result.notes) and f"{result.valid_accuracy:.1f}%" in lines[0]
    assert str(result.folder) in lines[-1] and len(str(result)) < 600


class Indifferent(Model):
    def recommend(
        self, data: Task, *, top: int | None, seed: int, recipe: str, deadline: float = 0.0
    ) -> Recommendation:
        return replace(super().recommend(data, top=top, seed=seed, recipe=recipe), same_for_all=True)


def test_a_search_that_begins_with_the_same_order_for_all_data_says_so(store: Store) -> None:
    told = [quick(store, model=Indifferent(), train=1, searcher=each).notes for each in ("zero-shot", "random")]
    assert any("is the same for all data" in note for note in told[0])
    assert not any("is the same for all data" in note for note in told[1])


def test_what_became_of_each_training_is_told() -> None:
    made = Trained(CELLS[0], None, 60.0, True, 2, 1.0, 10, 10)
    cut, stopped = replace(made, complete=False, valid_accuracy=64.0), replace(made, complete=False, stopped=True)
    short = replace(cut, shortened=True)
    assert [each.fate for each in (made, short, stopped, cut)] == ["", "shortened", "given up", "cut"]
    told = "no time for another training: of 5 trainings 1 finished, 1 shortened, 1 given up, 1 cut, 1 never begun"
    assert ended([made, short, stopped, cut], 5) == told
    assert ended([made, made], None) == "no time for another training: of 2 trainings 2 finished"
    assert any("(64.0%): only finished trainings compete" in each for each in remarks([made, cut], made, recipe="r"))
    assert any("fitted to the time left (2 epochs)" in each for each in remarks([made, short], short, recipe="r"))
    assert remarks([made, replace(cut, valid_accuracy=50.0)], made, recipe="r") == []
    judged = [replace(made, expected_accuracy=each) for each in (66.0, 58.0)]
    assert remarks([*judged, made, replace(cut, expected_accuracy=90.0, valid_accuracy=50.0)], made, recipe="r") == [
        "Expected is of before each training, and follows what those before it measured: "
        "2 finished trainings measured 2.0 points below it on average"
    ]
    assert remarks(judged[:1], made, recipe="r") == [
        "Expected is of before the training, which measured 6.0 points below it"
    ]


def test_a_measurement_missing_in_the_store_is_added_on_resumption(store: Store, search_home: Path) -> None:
    quick(store)
    with Store(search_home / "other.db") as other:
        assert quick(other).resumed == 3
        assert other.records() == store.records()


def test_accuracies_on_very_few_images_are_called_rough(store: Store) -> None:
    task = a_task()
    few = replace(task, parts=np.where(np.arange(60) == 3, np.uint8(VALIDATION), np.uint8(TRAIN)))
    result = train_one(few, CELLS[0], store=store, recipe="quick", on="cpu")
    assert "only 1 image for validation: that accuracy is rough" in result.notes
    parts = np.where(np.arange(60) < 20, np.uint8(VALIDATION), np.uint8(TRAIN))
    parts[[30, 31]] = TEST
    tested = train_one(replace(task, parts=parts), CELLS[0], store=store, recipe="quick", on="cpu")
    assert "only 2 images for test: that accuracy is rough" in tested.notes


def test_one_architecture_is_trained_by_the_same_code(store: Store, trainings: list[Architecture]) -> None:
    result = train_one(a_task(test=0.0), CELLS[1], store=store, recipe="quick", on="cpu")
    assert (result.best, len(result.trained), result.test_accuracy) == (CELLS[1], 1, None)
    assert [record.architecture for record in store.records(source="user")] == [str(CELLS[1])]
    assert train_one(a_task(test=0.0), CELLS[1], store=store, recipe="quick", on="cpu").resumed == 1
    assert trainings == [CELLS[1]]
