"""`recommend`: the contract of its answer, for a small untrained model built in place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from made_up import meta_model

from databases.architectures.space import Architecture, finite_space, space
from databases.datasets.backbone import WIDTHS
from databases.datasets.features import STATISTICS, extract
from databases.datasets.task import VALIDATION, Task
from databases.errors import UserError
from metad2a.recommend.limits import Limits
from metad2a.recommend.model import MetaD2A
from metad2a.recommend.ranking import reason, shape_told
from metad2a.search.controllers import bayesian as surrogate
from metad2a.search.searchers import recommended
from predictors.adaptation import adapt
from predictors.gain import Gain
from predictors.scale import sampling_noise
from predictors.surrogates import Surrogate
from predictors.task_process import Kernel, MeasuredTask, Posterior, TaskProcess

CONTRACT = {"candidates", "recipe", "nearest", "unlike", "seed", "fingerprint", "weights", "versions"}
OF_A_CANDIDATE = {"architecture", "expected_accuracy", "interval", "parameters", "flops", "origin"}


@pytest.fixture(scope="module", name="model")
def model_fixture() -> MetaD2A:
    return meta_model(WIDTHS[-1])


def test_the_answer_keeps_the_contract(model: MetaD2A, images: Task) -> None:
    answer = json.loads(json.dumps(model.recommend(images, top=3, seed=7).to_json()))
    assert answer.keys() >= CONTRACT
    assert (answer["recipe"], answer["seed"], answer["fingerprint"]) == ("tiny", 7, images.fingerprint)
    assert answer["data"] == images.summary
    assert answer["notes"] == ["one picture was skipped"]
    assert len(answer["nearest"]) == 3 and answer["nearest"][0].keys() == {"name", "source", "distance"}
    assert len(answer["candidates"]) == 3
    for each in answer["candidates"]:
        assert each.keys() >= OF_A_CANDIDATE
        low, high = each["interval"]
        assert 0 <= low <= each["expected_accuracy"] <= high <= 100
        assert each["origin"] in ("generator", "space")
        space("nasbench201").parse(each["architecture"])


def test_few_images_of_a_class_are_told(model: MetaD2A, images: Task) -> None:
    assert not any("looked at" in note for note in model.recommend(images, top=1).notes)
    notes = model.recommend(images, top=1, images_per_class=1).notes
    assert notes[-1] == "looked at only 1 training image of a class: the figures are rough"


def test_all_of_the_space_is_ranked_best_first(model: MetaD2A, images: Task) -> None:
    found = model.recommend(images, top=None).candidates
    scores = [each.score for each in found]
    assert len(found) == len({each.architecture for each in found}) == 4973
    assert scores == sorted(scores, reverse=True)
    assert {each.origin for each in found} == {"generator", "space"}


def test_the_candidates_can_be_the_generators_alone_or_the_space_alone(model: MetaD2A, images: Task) -> None:
    drawn = model.recommend(images, top=None, candidates="generator").candidates
    ranked = model.recommend(images, top=None, candidates="all").candidates
    assert 1 < len(drawn) <= 500
    assert {each.origin for each in drawn} == {"generator"}
    assert {each.origin for each in ranked} == {"space"}
    assert {each.architecture for each in drawn} <= {each.architecture for each in ranked}


def test_limits_are_kept_and_the_best_within_them_comes_first(model: MetaD2A, images: Task) -> None:
    everything = model.recommend(images, top=None).candidates
    most = int(np.median([each.parameters for each in everything]))
    cheap = model.recommend(images, top=None, limits=Limits(params=most)).candidates
    assert [each.architecture for each in cheap] == [
        each.architecture for each in everything if each.parameters <= most
    ]
    flops = min(each.flops for each in everything)
    assert {each.flops for each in model.recommend(images, top=None, limits=Limits(flops=flops)).candidates} == {flops}


@pytest.mark.parametrize("limits", [Limits(params=10), Limits(flops=0), Limits(params=0, flops=10**9)])
def test_an_impossible_limit_is_refused_with_the_nearest_possible(model: MetaD2A, images: Task, limits: Limits) -> None:
    with pytest.raises(UserError) as refusal:
        model.recommend(images, limits=limits)
    least = min(model.recommend(images, top=None).candidates, key=lambda each: each.parameters)
    given = [most for most in (limits.params, limits.flops) if most is not None]
    for number in (*given, least.parameters, least.flops):
        assert f"{number:,}" in str(refusal.value)


def test_a_seed_repeats_the_answer(model: MetaD2A, images: Task) -> None:
    first, second = (model.recommend(images, top=50, seed=1, candidates="generator") for _ in range(2))
    assert first.to_json() == second.to_json()
    assert first.to_json() != model.recommend(images, top=50, seed=2, candidates="generator").to_json()


def test_a_recipe_of_unknown_level_gives_the_order_alone(images: Task) -> None:
    answer = meta_model(WIDTHS[-1], level_known=False).recommend(images, top=4)
    assert [(each.expected_accuracy, each.interval) for each in answer.candidates] == [(None, None)] * 4
    assert answer.best.score == max(each.score for each in answer.candidates)
    assert "order only" in answer.reason.lower()


def test_a_printed_answer_is_short(model: MetaD2A, images: Task) -> None:
    answer = with_process(model, 4.0).recommend(images, top=None)
    text = str(answer)
    lines = text.splitlines()
    assert repr(answer) == text and repr(answer.best) == str(answer.best)  # which notebooks show
    assert len(lines) == 8 and lines[1].startswith("1. ") and "% expected" in lines[1] and "more" in lines[6]
    assert len(text) < 1500 and "Choosing is worth" in lines[-1]


def test_an_order_that_no_image_changes_is_said_to_be_the_same_for_all(model: MetaD2A, images: Task) -> None:
    knows = with_process(model, 4.0)
    plain, reading = knows.recommend(images, recipe="small"), knows.recommend(images)
    assert plain.same_for_all and plain.to_json()["same_for_all"] and not reading.same_for_all
    assert "under the recipe 'small' the order is the same for all data" in plain.notes[-1]
    assert not any("same for all" in note for note in reading.notes)


def with_process(model: MetaD2A, spread: float, noise: float = 0.02) -> MetaD2A:
    """The model with a surrogate over 20 made-up tasks on which the first classes are the best by ``spread``."""
    rng = np.random.default_rng(0)
    classes = len(model.predictor_space.classes)
    known = []
    for _ in range(20):
        cells = rng.choice(classes, 30, replace=False)
        values = spread * (1 - cells / classes) + 0.01 * rng.normal(size=30)
        known.append(MeasuredTask(rng.normal(size=len(STATISTICS)), cells, values, np.ones(30)))
    process = TaskProcess(known, lambda numbers: numbers[:, None] / classes * 3, Kernel(looks_at=(0,), noise=noise))
    header = {**model.header, "recipe": "tiny"}
    surrogate = Surrogate(process, tuple(map(str, range(20))), ("a",) * 20)
    return MetaD2A(model.predictor, model.generator, model.known, header, model.weights, {"tiny": surrogate})


def test_a_choice_that_is_worth_points_says_how_many_and_keeps_the_order(model: MetaD2A, images: Task) -> None:
    answer = with_process(model, 4.0).recommend(images, top=None)
    gain = answer.to_json()["expected_gain"]
    assert not gain["within_noise"]
    assert gain["interval"][0] < gain["points"] < gain["interval"][1]
    assert f"{gain['points']:.1f} points" in answer.reason
    first, others = answer.candidates[: answer.equal], answer.candidates[answer.equal :]
    scores, costs = [each.score for each in others], [each.flops for each in first]
    assert scores == sorted(scores, reverse=True) and min(each.score for each in first) > scores[0]
    assert 1 <= answer.equal < len(answer.candidates) / 2 and costs == sorted(costs)


def test_each_candidate_says_what_it_lacks_of_the_first(model: MetaD2A, images: Task) -> None:
    answer = with_process(model, 4.0).recommend(images, top=None)
    assert answer.best.behind == (0.0, 0.0, 0.0)
    last = answer.candidates[99].behind
    assert last is not None and last[1] < last[0] < last[2] and answer.candidates[100].behind is None
    assert answer.to_json()["candidates"][99]["behind"] == list(last)
    first = answer.best.expected_accuracy
    for each in answer.candidates[:100]:  # no column contradicts the other
        assert each.behind is not None and each.expected_accuracy is not None and first is not None
        assert each.behind[0] == first - each.expected_accuracy


def test_the_words_about_the_gain_do_not_contradict_each_other() -> None:
    wide, small = Gain(14.6, -0.5, 29.0, 7.5), Gain(2.0, 0.5, 4.0, 7.5)
    told = [reason(each, "tiny", [], level_known=True, equal=3) for each in (wide, small)]
    assert "includes 0, so it may be worth nothing" in told[0] and "less than the noise" not in told[0]
    assert "less than the noise of one training (7.5 points)" in told[1] and "includes 0" not in told[1]
    assert all("3 cells" in each and "cheapest" in each for each in told)
    assert "cheapest" not in reason(wide, "tiny", [], level_known=True)


def test_where_the_differences_drown_the_cheapest_of_the_equals_comes_first(model: MetaD2A, images: Task) -> None:
    answer = with_process(model, 0.001, noise=1.5).recommend(images, top=None)
    assert answer.to_json()["expected_gain"]["within_noise"]
    assert answer.best.flops == min(each.flops for each in answer.candidates)
    assert "cheapest" in answer.reason
    shape = answer.reason.partition("The first cell is ")[2]
    assert shape and shape in shape_told(answer.best.architecture, model.predictor_space)


@pytest.mark.parametrize(
    ("walk", "shape", "speed"),
    [((3, 0, 3, 0, 0, 3), "1c wide and 3 deep", "slower"), ((3, 3, 0, 3, 3, 3), "2.33c wide and 2 deep", "faster")],
)
def test_the_reason_tells_what_goes_with_the_first_cell_s_shape(walk: tuple[int, ...], shape: str, speed: str) -> None:
    told = shape_told(Architecture("nasbench201", walk), finite_space("nasbench201"))
    assert shape in told and told.endswith(f"such cells tend to learn {speed} than others.")


def test_a_search_is_told_the_noise_that_the_recommendation_knows(
    model: MetaD2A, images: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = with_process(model, 4.0)
    answer = known.recommend(images, top=1)
    expected = known.surrogates["tiny"].process.seed_noise(extract(images).statistics)
    assert answer.noise == pytest.approx(expected)
    told: list[float | None] = []

    def spy(*given: Any, noise: float | None, **rest: Any) -> Posterior:
        told.append(noise)
        return adapt(*given, noise=noise, **rest)

    monkeypatch.setattr(surrogate, "adapt", spy)
    made = recommended("surrogate", known, images, recipe=known.recipe("tiny"), seed=0).controller
    made.tell(made.ask(1), [50.0])
    made.ask(1)
    assert answer.best.expected_accuracy is not None and answer.noise is not None
    chance = sampling_noise(answer.best.expected_accuracy, int((images.parts == VALIDATION).sum()))
    assert told and told == [pytest.approx(np.hypot(answer.noise, chance))] * len(told)


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        ({"prefer": "speed"}, "accuracy, balanced, latency"),
        ({"prefer": "latency"}, "the preference 'latency' needs a device"),
        ({"latency": 3}, "a limit on latency needs a device"),
        ({"latency": "3 hours", "device": "raspi4"}, "such as 15ms"),
    ],
)
def test_limits_that_mean_nothing_are_refused_when_they_are_made(limits: dict[str, object], allowed: str) -> None:
    with pytest.raises(UserError, match=allowed):
        Limits(**limits)  # type: ignore[arg-type]


def test_limits_on_a_device_keep_what_is_fast_enough_there(model: MetaD2A, images: Task) -> None:
    everything = model.recommend(images, top=None, limits=Limits(device="raspi4")).candidates
    middle = float(np.median([each.latency_ms or 0.0 for each in everything]))
    found = model.recommend(images, top=None, limits=Limits(latency=f"{middle}ms", device="raspi4")).candidates
    assert [each.architecture for each in found] == [
        each.architecture for each in everything if each.latency_ms is not None and each.latency_ms <= middle
    ]
    with pytest.raises(UserError, match=r"at most 0.001 ms on raspi4: the fastest of those takes"):
        model.recommend(images, limits=Limits(latency="1us", device="raspi4"))


def test_a_candidate_builds_the_network_it_describes(model: MetaD2A, images: Task) -> None:
    best = model.recommend(images, top=1).best
    network = best.build()
    assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 3)
    assert sum(each.numel() for each in network.parameters()) == best.parameters


@pytest.mark.parametrize(
    ("option", "allowed"),
    [
        ({"top": 0}, "1 or more"),
        ({"images_per_class": 0}, "1 or more"),
        ({"candidates": "some"}, "generator, all, both"),
        ({"recipe": "large"}, "tiny"),
        ({"seed": -1}, "from 0 to 4,294,967,295"),
        ({"seed": 2**32}, "from 0 to 4,294,967,295"),
    ],
)
def test_an_impossible_option_is_refused_with_what_is_allowed(
    model: MetaD2A, images: Task, option: dict[str, object], allowed: str
) -> None:
    with pytest.raises(UserError, match=allowed):
        model.recommend(images, **option)  # type: ignore[arg-type]
