"""What is expected of a pipeline: learnt from measured ones, by source, and turned into an answer with costs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome_world import ALL, HOG, OWN, examples, law
from pipeline_world import opened, stripes

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.errors import UserError
from databases.records.record import Record, TaskEntry
from metad2a.recommend.chances import MeasuredProbe, outcomes, probe_seconds, sensible_probes
from metad2a.recommend.limits import Limits
from metad2a.recommend.looking import IS_FAR, NO_TIME
from metad2a.recommend.pipeline_cost import THIS_MACHINE, cost_of
from metad2a.recommend.pipelines import PipelineRecommendation, Seen, look_at, recommend_pipelines
from metad2a.reports.figure import save
from metad2a.reports.pipeline_figures import front_figure, write_pipelines
from metad2a.search.pipelines import competing
from metad2a.service import answering
from predictors import gaussian_process, outcome
from predictors.fine_tunings import Example, Looked, examples_of
from predictors.gaussian_process import alike, learn_process
from predictors.outcome import OutcomeModel
from predictors.scale import to_logit, to_percent


def test_a_law_is_learnt_and_holds_on_a_task_that_was_not_seen() -> None:
    found = OutcomeModel(examples()).expect(Looked(10, 320, {("own", 32): 60.0}), [(ALL, 50), (ALL, 300)])
    np.testing.assert_allclose(found.mean, [law(60, 5), law(60, 30)], atol=3.0)


def test_more_passes_than_were_measured_promise_no_more() -> None:
    found = OutcomeModel(examples()).expect(Looked(10, 320, {("own", 32): 60.0}), [(ALL, 400), (ALL, 1e6)])
    assert found.mean[0] == found.mean[1]


def test_what_imagenets_weights_tell_is_learnt_and_counts_as_ours_where_they_were_not_asked() -> None:
    made = []
    for number, gap in enumerate((-20.0, -10.0, 0.0, 10.0, 20.0, 15.0, -15.0, 5.0)):  # photographs gain less
        looked = Looked(10, 320, {("own", 32): 60.0, ("lite0", 64): 60.0 + gap})
        made += [
            Example(looked, ALL, 10 * passes, (law(60, passes) - gap / 2,), f"s{number}") for passes in (5.0, 40.0)
        ]
    model = OutcomeModel(tuple(made))

    def told(lite0: float | None = None) -> float:
        probes = {("own", 32): 60.0} | ({} if lite0 is None else {("lite0", 64): lite0})
        return float(model.expect(Looked(10, 320, probes), [(ALL, 50)]).mean[0])

    assert told(lite0=42.0) > told(lite0=60.0) + 2 > told(lite0=78.0) + 4
    assert told() == pytest.approx(told(lite0=60.0))


def test_the_interval_holds_on_sources_that_were_left_out() -> None:
    model, inside = OutcomeModel(examples(25, noise=0.3)), []
    for source in model.sources:
        known = model.without(source)
        assert source not in known.sources
        for each in (each for each in model.examples if each.source == source):
            told = known.expect(each.looked, [(each.pipeline, each.steps)])
            inside.append(told.low[0] <= each.accuracy <= told.high[0])
    assert 0.7 <= np.mean(inside) <= 0.92


def test_errors_that_a_task_has_in_common_do_not_count_between_its_pipelines() -> None:
    model = OutcomeModel(examples(20, noise=0.3))
    assert model.noise < 0.1 * model.width


def test_examples_are_fine_tunings_whose_probe_was_measured() -> None:
    extra = {"classes": 3.0, "train_images": 90.0}

    def record(text: str, recipe: str, task: str = "t") -> Record:
        return Record(task, "pipeline", text, recipe, 0, "own", valid_accuracy=70.0, test_accuracy=72.0, extra=extra)

    records = [
        record("own 32px probe whole", "probe"),
        record("own 48px all rate0.03 slim", "100-steps-anew"),
        record("lite0 64px all rate0.01 whole", "100-steps"),  # begins with a probe that nobody measured
        record("own 32px all rate0.03 whole", "100-steps-anew", task="other"),
        record("own 32px all rate0.03 whole", "100-steps"),  # as we trained before, with the statistics of pretraining
    ]
    (found,) = examples_of([TaskEntry("t", "toy", "toys")], records)
    assert found == Example(found.looked, Pipeline("own", 48, "all", 0.03, slim=True), 100.0, (72.0,), "toys")
    assert found.looked == Looked(3, 90, {("own", 32): 72.0})


def test_seeds_of_a_pipeline_are_runs_of_one_example_and_its_error_is_that_of_a_run() -> None:
    extra = {"classes": 3.0, "train_images": 90.0}

    def record(text: str, recipe: str, seed: int, reached: float) -> Record:
        return Record("t", "pipeline", text, recipe, seed, "own", test_accuracy=reached, extra=extra)

    tuned = ("own 48px all rate0.03 whole", "100-steps-anew")
    reached = (70.0, 80.0, 84.0)
    records = [record("own 32px probe whole", "probe", 0, 60.0)]
    records += [record(*tuned, seed, value) for seed, value in enumerate(reached)]
    (found,) = examples_of([TaskEntry("t", "toy", "toys")], records)
    assert found.runs == reached and found.accuracy == 78.0
    made = examples(8)
    spread = [replace(each, runs=(each.accuracy - 8, each.accuracy + 8)) for each in made]
    once, often = OutcomeModel(tuple(made)), OutcomeModel(tuple(spread))
    assert all(len(often.errors[each]) == 2 * len(once.errors[each]) for each in once.sources)
    assert often.width > 2 * once.width


def test_the_shipped_measurements_can_be_learnt_from() -> None:
    model = outcomes()
    assert len(model.examples) > 5 and len(model.sources) > 2 and 0 < model.noise <= 2 * model.width


def test_small_images_are_not_blown_up_and_missing_weights_not_probed() -> None:
    assert [each.resolution for each in sensible_probes(32, ["lite0"])] == [64]
    assert [each.resolution for each in sensible_probes(128, ["lite0"])] == [64, 96, 128]
    assert sensible_probes(32, ["own", "hog"]) == [OWN, HOG, replace(OWN, resolution=48)]


def test_a_probe_takes_features_of_all_images_and_a_regression_on_those_learnt_from() -> None:
    given: dict[str, Any] = {"rate": 500.0, "features": 1_000, "classes": 12}
    learnt, judging = probe_seconds(1_000, 0, **given), probe_seconds(0, 1_000, **given)
    assert judging == pytest.approx(0.1 + 2) and learnt - judging == pytest.approx(1_000 * 2e-8 * 1_000 * 20)
    assert probe_seconds(1_000, 1_000, **given) == pytest.approx(learnt + judging - 0.1)


@pytest.fixture
def world(lawful: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Our weights replaced by a tiny random network."""

    monkeypatch.setattr("metad2a.train.pipeline.open_base", opened)
    monkeypatch.setattr("metad2a.recommend.looking.installed", lambda: {"own": True})
    yield


def asked(**given: object) -> PipelineRecommendation:
    task = stripes(90)
    return recommend_pipelines(task, seconds=60, looked=look_at(task, seconds=600.0), **given)  # type: ignore[arg-type]


def test_an_answer_has_a_front_a_knee_and_costs(world: None, tmp_path: Path) -> None:
    answer = asked()
    accuracies, latencies = zip(*((each.expected_accuracy, each.latency_ms) for each in answer.front), strict=True)
    assert list(accuracies) == sorted(accuracies) and list(latencies) == sorted(latencies)
    assert answer.knee in answer.front and answer.best in answer.choices and answer.equal in answer.choices
    assert answer.equal.latency_ms <= answer.best.latency_ms
    assert all(PIPELINE.of(each.pipeline) == each.architecture for each in answer.choices)
    assert all(each.interval[0] <= each.expected_accuracy <= each.interval[1] for each in answer.choices)
    assert {each.measured for each in answer.choices} == {True, False} and "Probes on your images" in answer.reason
    assert write_pipelines(answer, tmp_path / "answer")[-1] == "recommendation.json"
    assert (tmp_path / "answer" / "front.png").stat().st_size > 10_000
    save(front_figure(answer), tmp_path / "again.svg")
    told = answer.to_json()
    assert told["choices"][0]["pipeline"] == str(answer.best.pipeline) and told["space"] == "pipeline"
    assert repr(answer) == str(answer) and str(answer).count("\n") == len(answer.front) + 1


def test_limits_hold_and_impossible_ones_name_the_nearest(world: None) -> None:
    most = min(each.parameters for each in asked().choices)
    assert all(each.parameters <= most for each in asked(limits=Limits(params=most)).choices)
    with pytest.raises(UserError, match=r"at most 5 parameters.*the smallest has"):
        asked(limits=Limits(params=5))
    with pytest.raises(UserError, match=r"at most 1e-06 ms on this machine: the fastest"):
        asked(limits=Limits(latency=1e-6, device=THIS_MACHINE))


def test_limits_that_only_what_was_left_out_keeps_are_told_with_it(world: None) -> None:
    task, small = stripes(90), cost_of(HOG, stripes(90)).parameters
    looked = replace(look_at(task, seconds=600.0), left_out={"hog": NO_TIME, "lite0": IS_FAR})
    for most, told in ((small, f"hog 64px has, but was left out: {NO_TIME}"), (small - 1, f"smallest has {small:,} ")):
        with pytest.raises(UserError, match=told):
            recommend_pipelines(task, seconds=60, looked=looked, limits=Limits(params=most))
    assert recommend_pipelines(task, seconds=60, looked=looked, limits=Limits(params=10**8)).choices


def test_without_a_validation_image_nothing_can_be_told(world: None) -> None:
    task = stripes(90)
    parts = np.where(task.parts == VALIDATION, TRAIN, task.parts).astype(task.parts.dtype)
    with pytest.raises(UserError, match="no image is held out for validation"):
        recommend_pipelines(replace(task, parts=parts), seconds=60)


def test_many_images_are_sampled_and_it_is_said(world: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metad2a.recommend.pipelines.MOST_SEEN", 40)
    assert any(re.match("looked at (3[0-9]|40) of the images", note) for note in asked().notes)


@pytest.mark.parametrize(("rare", "most"), [(5, 11), (5, 12), (4, 12)])
def test_a_rare_class_is_never_lost_from_what_is_looked_at(
    world: None, monkeypatch: pytest.MonkeyPatch, rare: int, most: int
) -> None:
    monkeypatch.setattr("metad2a.recommend.pipelines.MOST_SEEN", most)
    task = stripes(180)
    few = replace(task, labels=np.where(np.arange(180) < rare, 2, task.labels % 2), parts=np.zeros(180, np.uint8))
    parts = np.where(np.arange(180) % 5 == 4, VALIDATION, few.parts).astype(np.uint8)
    for seed in range(5):
        assert look_at(replace(few, parts=parts), seed=seed).images <= most


def test_the_ridge_is_scikit_learns() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (40, 5)), rng.normal(size=40)
    x[:, 4] = 1.0  # says nothing
    scaled = StandardScaler().fit_transform(x)
    found = outcome._ridge(x, y, 7.0)
    np.testing.assert_allclose(x @ found[:-1] + found[-1], Ridge(7.0).fit(scaled, y).predict(scaled))


def test_the_process_is_scikit_learns() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct

    rng = np.random.default_rng(0)
    x, y, group = rng.normal(3, 2, (40, 5)), rng.normal(size=40), np.arange(40) % 3
    group[:20] = 0
    weight = alike(group)
    assert weight.mean() == pytest.approx(1) and np.allclose(np.bincount(group, weight), 40 / 3)
    scaled, mean = (x - x.mean(0)) / x.std(0), np.average(y, weights=weight)
    trend = ConstantKernel(gaussian_process.TREND / 5) * DotProduct(1e-9)
    kernel = RBF(np.sqrt(5 / (2 * gaussian_process.NEARNESS))) + trend
    theirs = GaussianProcessRegressor(kernel, alpha=gaussian_process.NOISE / weight, optimizer=None)
    asked = rng.normal(3, 2, (6, 5))
    wanted = theirs.fit(scaled, y - mean).predict((asked - x.mean(0)) / x.std(0), return_std=True)
    found = learn_process(x, y, weight).predict(asked)
    np.testing.assert_allclose(found[0], wanted[0] + mean, atol=1e-8)
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-8)


def test_nobody_is_sure_far_from_what_was_measured() -> None:
    model, near = OutcomeModel(examples(12, noise=0.2)), Looked(10, 320, {("own", 32): 60.0})
    far = Looked(200, 90_000, {("own", 32): 5.0})
    widths = [
        np.ptp(to_logit([told.low[0], told.high[0]]))
        for told in (model.expect(each, [(ALL, 90)]) for each in (near, far))
    ]
    assert widths[1] > 1.3 * widths[0]


def curves(sources: int = 6) -> OutcomeModel:
    """Deep fine-tunings that go on as steeply as they began, and half ones that stop."""
    rng, found = np.random.default_rng(0), []
    for number in range(sources):
        looked = Looked(10, 320, {("own", 32): float(rng.uniform(40, 70))})
        begin = float(to_logit(looked.probes["own", 32]))
        for training, slope in (("all", 0.4), ("half", 0.0)):
            for steps in (100, 400):
                reached = begin + 0.4 + slope * math.log(steps / 100) + 0.1 * number * (training == "all")
                pipeline = Pipeline("own", 32, training, 0.03)
                found.append(Example(looked, pipeline, steps, (float(to_percent(reached)),), f"source{number}"))
    return OutcomeModel(tuple(found))


def test_a_curve_goes_on_as_those_of_its_kind_did(monkeypatch: pytest.MonkeyPatch) -> None:
    model, looked, half = curves(), Looked(10, 320, {("own", 32): 50.0}), replace(ALL, training="half")
    assert model.later(looked, ALL, 62.0, 4.0) > 70 and model.later(looked, half, 62.0, 4.0) == pytest.approx(62, abs=3)
    assert model.later(looked, ALL, 62.0, 1.0) == pytest.approx(62)
    monkeypatch.setattr(competing, "outcomes", lambda: model)
    tuned = [(half, 64.0, 8.0), (ALL, 62.0, 8.0)]
    given = {"measured": [MeasuredProbe(OWN, 50.0, 900.0)], "images": 320, "classes": 10}
    assert competing.to_go_on(tuned, **given, left=24.0) == 1  # type: ignore[arg-type]
    assert competing.to_go_on(tuned, **given, left=0.1) == 0  # type: ignore[arg-type]


def test_without_curves_what_is_best_goes_on() -> None:
    assert OutcomeModel(()).later(Looked(10, 320, {("own", 32): 50.0}), ALL, 62.0, 4.0) == pytest.approx(62)


def test_the_service_looks_at_a_dataset_once_for_all_questions(
    world: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looked: list[int] = []

    def look(task: Task, **given: Any) -> Seen:
        looked.append(given["seed"])
        return look_at(task, seconds=600.0)

    monkeypatch.setenv("METAD2A_HOME", str(tmp_path))
    monkeypatch.setattr("metad2a.recommend.pipelines.look_at", look)
    monkeypatch.setattr("metad2a.service.library.load_data", lambda *given, **named: stripes(90))
    question = {"space": "pipeline", "top": 5, "max_params": None, "max_flops": None, "max_latency": None}
    for seed, seconds in ((0, 60), (0, 30), (1, 60)):
        asked = {**question, "seed": seed, "seconds": seconds}
        told = answering.recommend("a", "a", "shipped", asked, "sqlite://", str(tmp_path))
        assert told["seconds"] == seconds
    assert looked == [0, 1]
