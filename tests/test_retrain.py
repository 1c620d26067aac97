"""Retraining learns a user's benchmark, keeps what was known, goes on after a kill, and loses no result."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import CLASSES, convolutions, episode, meta_model, task
from torch import nn

from databases.errors import UserError
from databases.records.episodes import TABLE
from databases.records.importers.own_table import import_table
from databases.records.store import Store
from metad2a.recommend.model import MetaD2A, load
from metad2a.retrain import champion, from_scratch, retrain
from metad2a.retrain.champion import Comparison, TaskComparison
from metad2a.retrain.meta_training import TABLES_FIRST, THEN_TASKS
from metad2a.retrain.retrain import RetrainResult
from metad2a.runtime.tracking import Alias, NullTracker, RegisteredModel, Tracker
from metad2a.train.loop import Epoch
from predictors.metrics import kendall_tau
from predictors.surrogates import learn_surrogates

CELLS = list(range(0, 6400, 64))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A user's table: tasks on which cells with many 3x3 convolutions are bad."""
    folder, rng = tmp_path_factory.mktemp("table"), np.random.default_rng(0)
    np.savez(folder / "f.npz", features=rng.normal(size=(20, 192)), labels=np.arange(20) % 2)
    values = 90 - 8 * convolutions(CELLS) + rng.uniform(0, 1, len(CELLS))
    with (folder / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow("task architecture recipe value seed features channels cells resolution".split())
        for name in ("one", "two"):
            for i, value in zip(CELLS[::2], values[::2], strict=True):
                writer.writerow((name, str(CLASSES[i]), "mine", value, 0, "f.npz", 4, 1, 8))
    with Store("sqlite://") as opened:
        import_table(opened, folder / "mine.csv")
        yield opened


@pytest.fixture(scope="module")
def start() -> MetaD2A:
    """An untrained model that knows two tasks of the recipe tiny."""
    model = meta_model(192)
    known = [episode(task(i, width=192), CELLS, convolutions(CELLS).tolist(), family=str(i)) for i in range(2)]
    model.surrogates = learn_surrogates(model.predictor, known, {})
    model.header |= {"architectures": {"tiny": 200, "nasbench201": 6466}, "tasks": {"tiny": 2, "nasbench201": 1}}
    return model


def run(store: Store, start: MetaD2A | None, folder: Path, **options: object) -> RetrainResult:
    given = {"images": None, "output": folder / "new.safetensors", "work": folder, "tracker": NullTracker(), **options}
    return retrain.retrain(store, start=start, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result(store: Store, start: MetaD2A, tmp_path_factory: pytest.TempPathFactory) -> RetrainResult:
    """What retraining makes of the table, once for all that look at it."""
    return run(store, start, tmp_path_factory.mktemp("retrained"))


def test_held_out_cells_of_a_users_benchmark_are_ranked_after_retraining(result: RetrainResult, start: MetaD2A) -> None:
    model, held_out = load(result.path), CELLS[1::2]
    asked, wanted = [CLASSES[i] for i in held_out], -convolutions(held_out).astype(float)
    before = start.score(task(width=192), asked, recipe="nasbench201").mean
    after = model.score(task(width=192), asked, recipe="mine").mean
    assert kendall_tau(after, wanted) > 0.6 > kendall_tau(before, wanted)
    assert result.header["tasks"]["mine"] == 2 and result.header["start"] == start.weights
    assert {"one", "two"} <= set(model.known.names)


def test_what_the_model_knew_stays_and_a_new_recipe_has_its_own_size(result: RetrainResult, start: MetaD2A) -> None:
    model = load(result.path)
    pool = list(CLASSES[:50])
    for recipe in ("tiny", "nasbench201"):
        before, after = (each.score(task(width=192), pool, recipe=recipe).mean for each in (start, model))
        np.testing.assert_allclose(after, before, rtol=1e-5)
    found = model.recipe("mine")
    assert (found.channels, found.cells, found.resolution, found.published) == (4, 1, 8, True)
    with pytest.raises(UserError, match="does not know the recipe 'mine'"):
        start.recipe("mine")


def test_a_rival_that_no_task_allows_is_left_out(store: Store, start: MetaD2A, tmp_path: Path) -> None:
    found = run(store, start, tmp_path, recipe="mine").header["held_out"]  # two tasks: no cell has a mean over three
    assert found["tau"] > 0 and found["tau_best_on_average"] is None


def test_a_recipe_without_tasks_cannot_judge_and_those_that_can_are_named(result: RetrainResult) -> None:
    found = result.comparison
    assert found is not None and found.others == ("mine",)
    assert found.verdict.endswith("so the champion stays: judge it on your own with --recipe mine")


def test_a_retrained_model_can_be_retrained(store: Store, result: RetrainResult, tmp_path: Path) -> None:
    once = load(result.path)
    twice = load(run(store, once, tmp_path).path)
    assert twice.predictor.config.recipes == once.predictor.config.recipes
    assert {name: each.names for name, each in twice.surrogates.items()} == {
        name: each.names for name, each in once.surrogates.items()
    }


def test_nothing_to_learn_from_is_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--from shipped"):
        run(store, None, tmp_path)
    with pytest.raises(UserError, match="other features"):
        run(store, meta_model(6), tmp_path)
    with pytest.raises(
        UserError, match=r"no task was measured with the recipe 'mien': did you mean mine\? choose one of mine$"
    ):
        run(store, meta_model(192), tmp_path, recipe="mien")
    with Store("sqlite://") as empty, pytest.raises(UserError, match="no task of the database has features"):
        run(empty, meta_model(192), tmp_path)
    assert not (tmp_path / "new.safetensors").exists()


class FakeRun:
    """Remembers the curves."""

    def __init__(self) -> None:
        self.points: dict[str, list[float]] = {}

    def metrics(self, values: dict[str, float], *, step: int = 0) -> None:
        for name, value in values.items():
            self.points.setdefault(name, []).append(value)

    def curves(self, curves: dict[str, list[float]]) -> None:
        self.points |= curves


def test_a_finished_stage_is_not_repeated_and_its_curve_is_tracked_again(tmp_path: Path) -> None:
    def train(model: nn.Linear, kept: Path, told: Callable[[Epoch], bool | None]) -> nn.Linear:
        kept.write_bytes(b"half of it")
        with torch.no_grad():
            model.weight.fill_(7)
        told(Epoch(1, loss=0.5, steps=1, progress=0.5, seconds=0.1))
        told(Epoch(2, loss=0.25, steps=2, progress=1.0, seconds=0.2))
        return model.eval()

    def never(model: nn.Linear, kept: Path, told: Callable[[Epoch], bool | None]) -> nn.Linear:
        pytest.fail("trained again")

    first, second = FakeRun(), FakeRun()
    path = tmp_path / "tables.safetensors"
    made = from_scratch._stage(path, nn.Linear(2, 2), train, first)  # type: ignore[arg-type]
    again = from_scratch._stage(path, nn.Linear(2, 2), never, second)  # type: ignore[arg-type]
    assert torch.equal(again.weight, made.weight) and not again.training
    assert first.points == second.points == {"loss_tables": [0.5, 0.25]}
    assert list(tmp_path.iterdir()) == [path]


def test_from_scratch_all_networks_are_made_and_the_same_command_begins_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_scratch, "TABLES_FIRST", replace(TABLES_FIRST, steps=2))
    monkeypatch.setattr(from_scratch, "THEN_TASKS", replace(THEN_TASKS, steps=2))
    monkeypatch.setattr(from_scratch, "GENERATOR_STEPS", 2)
    table = episode(task(width=192), range(TABLE), (50 + convolutions(range(TABLE))).tolist(), recipe="nasbench201")
    measured = [episode(task(i, width=192), CELLS, (50 + convolutions(CELLS)).tolist(), family=str(i)) for i in (1, 2)]

    def learn() -> tuple[from_scratch.Learnt, set[float]]:
        with NullTracker().run("scratch", "meta-training") as run:
            made = from_scratch.learn(tmp_path, [table, *measured], {}, 0, run, lambda line: None)
        return made, {each.stat().st_mtime for each in tmp_path.rglob("*.safetensors")}

    (made, files), (again, unchanged) = learn(), learn()
    assert list(made.surrogates) == ["tiny"] and list(made.memory) == ["nasbench201"]
    assert len(files) == 3 and unchanged == files
    for ours, theirs in ((made.predictor, again.predictor), (made.generator, again.generator)):
        assert all(torch.equal(each, theirs.state_dict()[name]) for name, each in ours.state_dict().items())


def better(monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    tasks = tuple(TaskComparison(f"t{i}", f"s{i}", 9, 0.2, 0.2 + gain + 0.01 * i) for i in range(6))
    monkeypatch.setattr(retrain, "compare", lambda *_, recipe: Comparison(recipe, "old", "new", tasks))


@pytest.mark.slow
def test_the_new_model_is_challenger_and_champion_only_if_better(
    store: Store, start: MetaD2A, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = Tracker()

    def bearer(alias: Alias) -> RegisteredModel | None:
        return tracker.registered(champion.MODEL_NAME, alias)

    better(monkeypatch, -0.1)
    first = run(store, start, tmp_path, tracker=tracker)
    shipped, worse = bearer("champion"), bearer("challenger")
    assert shipped is not None and worse is not None and (shipped.version, worse.version) == ("1", "2")
    assert (first.version, first.promoted) == ("2", False)
    assert worse.metrics["tau_difference"] == pytest.approx(-0.075)
    better(monkeypatch, 0.1)
    second, promoted = run(store, start, tmp_path, tracker=tracker), bearer("champion")
    assert second.promoted and promoted is not None and promoted.version == second.version == "3"
    assert bearer("challenger") is None
    assert len(list((tmp_path / "home" / "mlartifacts").rglob("comparison/comparison.csv"))) == 2


@pytest.mark.slow
def test_a_dead_server_costs_a_warning_and_no_result(
    store: Store, start: MetaD2A, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    better(monkeypatch, 0.1)
    with caplog.at_level(logging.WARNING):
        result = run(store, start, tmp_path, tracker=Tracker(uri="http://127.0.0.1:9"))
    assert load(result.path).weights == result.weights
    assert result.comparison is not None and (result.version, result.promoted) == (None, False)
    assert len(caplog.records) == 1 and "no result is lost" in caplog.text
