"""Figures of an answer are of what would be built, and trained, here: latencies by size, seconds by this machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cli_world import CELLS, FakeModel, run
from cli_world import answer as run_answer
from made_up import meta_model
from records_world import says

from databases.datasets.backbone import WIDTHS
from databases.datasets.loading import load_task
from databases.errors import UserError
from databases.records.recipe import RECIPES
from databases.records.record import Record
from databases.records.store import Store
from metad2a.devices.devices import find_device, size_of
from metad2a.recommend import here
from metad2a.recommend.limits import Limits
from metad2a.recommend.measured import measured_here
from metad2a.recommend.preference import usual_recipe
from metad2a.recommend.ranking import reason
from metad2a.recommend.recommendation import Recommendation
from metad2a.runtime.home import DATABASE, home
from predictors.gain import Gain

pytestmark = pytest.mark.usefixtures("home")


def answer(data: str, recipe: str) -> Recommendation:
    return FakeModel().recommend(load_task(data), top=None, seed=0, recipe=recipe)


def test_training_times_are_those_of_this_machine(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told, task = answer(data, "quick"), load_task(data)
    told = replace(told, candidates=(told.best, replace(told.candidates[1], expected_seconds=24.0)), front=(told.best,))
    took = {CELLS[0]: 0.5}  # seconds a step; only the first is timed
    monkeypatch.setattr(here, "seconds_a_step", lambda task, cell, **rest: took[str(cell)])
    found = here.timed_here(told, task)
    steps = RECIPES["quick"].steps(36)
    assert [each.expected_seconds for each in found.candidates] == [0.5 * steps, steps]
    assert found.front == found.candidates[:1] and "of this machine" in found.notes[-1]


def test_a_recipe_that_nobody_trains_by_here_is_not_timed(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(here, "seconds_a_step")
    for told in (answer(data, "metad2a"), answer(data, "a user's own")):
        assert here.timed_here(told, load_task(data)) == told


def test_what_is_expected_follows_trainings_of_the_same_images(data: str) -> None:
    told = answer(data, "quick")
    told = replace(told, front=told.candidates[:1])
    with Store("sqlite://") as store:
        assert measured_here(told, store) == measured_here(told, None) == told
        others = [("elsewhere", "quick"), (told.fingerprint, "tiny")]
        for task, recipe in others:
            store.add([Record(task, "nasbench201", CELLS[0], recipe, 0, "user", valid_accuracy=1.0)])
        assert measured_here(told, store) == told, "neither other images nor other recipes count"
        for seed in range(16):
            store.add([Record(told.fingerprint, "nasbench201", CELLS[1], "quick", seed, "user", valid_accuracy=74.0)])
        found = measured_here(told, store)
    assert [each.expected_accuracy for each in told.candidates] == [90.0, 89.0, 88.0]
    first, second, third = (each.expected_accuracy or 0.0 for each in found.candidates)
    assert 74 < second < 76 and first > second > third and found.front == found.candidates[:1]
    low, high = found.best.interval or (0.0, 0.0)
    assert low < first < high and low < 70
    assert found.notes[-1].startswith("16 trainings of these images by the recipe measured 15.0 points below")


def test_the_command_knows_what_was_measured_and_lists_as_many_as_wanted(model: FakeModel, data: str) -> None:
    fingerprint = load_task(data).fingerprint
    with Store(home() / DATABASE) as store:
        store.add([Record(fingerprint, "nasbench201", CELLS[2], "quick", 0, "user", valid_accuracy=60.0)])
    told = run_answer("recommend", data, "--space", "nasbench201", "--recipe", "quick", "--top", "2")
    assert len(told["candidates"]) == 2 and told["candidates"][0]["expected_accuracy"] < 85
    assert any("1 training of these images" in each for each in told["notes"])


def test_the_command_tells_whose_time_a_training_takes(model: FakeModel, data: str) -> None:
    assert "of this machine" in " ".join(
        run("recommend", data, "--space", "nasbench201", "--recipe", "quick").stdout.split()
    )


def test_an_answer_for_a_device_is_of_networks_whose_latencies_are_known_there(data: str) -> None:
    model, task = meta_model(WIDTHS[-1]), load_task(data)
    device = find_device("raspi4")
    told = model.recommend(task, limits=Limits(latency="15ms", device="raspi4"))
    assert size_of(RECIPES[told.recipe]) == device.size != size_of(RECIPES["tiny"])
    assert not any("not of the size" in each for each in told.notes)
    known = {name: model.recipe(name) for name in model.predictor.config.recipes}
    for target in (None, replace(device, recipe="tiny")):
        assert usual_recipe(known, target, by=(model.reads_images, model.level_known)) == "tiny"
    with pytest.raises(UserError) as error:
        model.recommend(task, recipe="tiny", limits=Limits(latency="15ms", device="raspi4"))
    assert "'tiny' builds 8 channels" in says(error)


def test_one_cell_that_alone_keeps_the_limits_is_no_choice() -> None:
    told = reason(Gain(0.0, 0.0, 0.0, 7.5), "tiny", [], level_known=True, offered=1)
    assert "one cell alone keeps the limits" in told and "worth" not in told
