"""The seconds of a search for networks are kept, and spent: as many trainings as fit, the rest for the best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search_world import CELLS, QUICK, a_task, quick

from databases.architectures.space import Architecture
from databases.datasets.task import TRAIN, VALIDATION, Task, split
from databases.records.recipe import RECIPES
from databases.records.store import Store
from metad2a.search import budget, ending
from metad2a.search.ending import AGAIN
from metad2a.search.result import SearchProgress
from metad2a.search.run_state import read_state
from metad2a.train.train import seconds_a_step, train

pytestmark = pytest.mark.usefixtures("search_home")


@pytest.fixture
def paces(monkeypatch: pytest.MonkeyPatch) -> dict[Architecture, float]:
    """Seconds of a step that are believed of an architecture, others are fast."""
    known: dict[Architecture, float] = {}

    def pace(task: Task, architecture: Architecture, **options: object) -> float:
        return known.get(architecture, 1e-4)

    monkeypatch.setattr(budget, "seconds_a_step", pace)
    return known


def test_without_a_number_as_many_are_trained_as_there_is_time_for(store: Store) -> None:
    assert len(quick(store).trained) == 3
    assert len(quick(store, seconds=60.0).trained) == len(CELLS)
    assert len(quick(store, seconds=60.0, train=2, seed=1).trained) == 2


def test_a_training_that_does_not_fit_is_not_begun(store: Store, paces: dict[Architecture, float]) -> None:
    paces[CELLS[1]] = 10.0
    events: list[SearchProgress] = []
    result = quick(store, seconds=60.0, on_progress=events.append)
    assert [each.architecture for each in result.trained] == [CELLS[0]] and result.trained[0].complete
    assert result.stopped_by == "time" and any(note.startswith("no time for another training") for note in result.notes)
    started = [each for each in events if each.event == "started"]
    assert len(started) == 1 and started[0].expected is not None and started[0].expected < 1


def test_the_first_training_is_fitted_to_the_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "seconds_a_step", lambda *given, **options: 4 * seconds_a_step(*given, **options))
    events: list[SearchProgress] = []
    result = quick(store, recipe="endless", seconds=2.0, on_progress=events.append)
    (expected,) = [each.expected for each in events if each.event == "started"]
    assert expected is not None and expected <= 2.0, "what is told is what it gets"
    trained = result.trained[0]
    assert trained.shortened and not trained.complete and result.seconds < 4  # also where others work
    assert any("fitted to the time left" in note for note in result.notes)


def test_the_rest_of_the_time_trains_the_best_on_validation_images_too(store: Store) -> None:
    result = quick(store, seconds=60.0)
    assert AGAIN in result.notes
    state = read_state(result.folder)
    assert state is not None and state.again is not None
    index, steps = state.again
    both = replace(a_task(), parts=np.where(a_task().parts == VALIDATION, np.uint8(TRAIN), a_task().parts))
    assert steps == 2 * QUICK.steps(int((both.parts == TRAIN).sum()))
    assert state.trained[index].architecture == result.best
    assert result.valid_accuracy == state.trained[index].valid_accuracy
    again = train(both, result.best, recipe=QUICK, on="cpu", steps=steps).network.state_dict()
    exported = result.exported.training.network.state_dict()
    assert all((again[name] == exported[name]).all() for name in again)


def test_given_again_a_finished_search_trains_nothing_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = quick(store, seconds=60.0)
    monkeypatch.setattr(ending, "accuracy", lambda *given: pytest.fail("tested again"))
    again = quick(store, seconds=60.0)
    assert (again.test_accuracy, again.trained) == (first.test_accuracy, first.trained) and AGAIN in again.notes


def test_killed_while_the_best_is_trained_again_the_same_command_goes_on(store: Store) -> None:
    def stop(event: SearchProgress) -> None:
        if event.event == "again":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(store, seconds=60.0, on_progress=stop)
    result = quick(store, seconds=60.0)
    assert result.resumed == len(CELLS) and AGAIN in result.notes
    whole = quick(store, seconds=60.0, folder=result.folder / "never killed")
    assert (whole.best, whole.test_accuracy) == (result.best, result.test_accuracy)


def test_without_a_time_or_validation_images_nothing_is_trained_again(store: Store) -> None:
    assert AGAIN not in quick(store).notes
    clock = budget.Budget(replace(a_task(), parts=np.zeros(60, np.uint8)), QUICK, None, "cpu", 60.0)  # type: ignore[arg-type]
    assert clock.last_steps(CELLS[0]) is None


def test_a_step_is_timed_without_touching_what_is_trained(store: Store) -> None:
    plain = train(a_task(), CELLS[1], recipe=QUICK, on="cpu").network.state_dict()
    assert 0 < seconds_a_step(a_task(), CELLS[1], recipe=QUICK, on="cpu") < 1
    again = train(a_task(), CELLS[1], recipe=QUICK, on="cpu").network.state_dict()
    assert all((plain[name] == again[name]).all() for name in plain)


def arrows() -> Task:
    """Colour pictures of arrows to the left and to the right: mirrored, one is the other."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 60, (120, 32, 32, 3)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        for row in range(4, 28):
            reach = 14 - abs(row - 16)
            image[row, 4 : 4 + max(2, 2 * reach)] = (220, 60, 60)
        image[:] = image if label else image[:, ::-1]
    return Task("arrows", images, labels, split(labels), ("left", "right"))


def test_mirroring_that_would_change_the_class_is_left_out_and_said(store: Store) -> None:
    RECIPES["quick"] = replace(QUICK, augment=True, resolution=32)
    from metad2a.search.search import train_one

    told = train_one(arrows(), CELLS[1], store=store, recipe="quick", on="cpu").notes
    assert any("not mirrored: mirrored, " in note for note in told)
    assert any(
        "fitted in seconds, is right for 100.0% of the validation images, more than the" in note for note in told
    )
    asked = train_one(arrows(), CELLS[1], store=store, recipe="quick", on="cpu", augment="flip")
    assert "training images are shifted and mirrored, as asked" in asked.notes
    RECIPES["quick"] = QUICK
    plain = train_one(a_task(), CELLS[0], store=store, recipe="quick", on="cpu").notes
    assert "training images stay as they are, by the recipe 'quick'" in plain
    assert len(store.records()) == 2  # what was asked for is not by the recipe
