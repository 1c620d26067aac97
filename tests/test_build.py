"""`database build`: what is measured, in which order, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from databases.architectures.spaces import space
from databases.architectures.spaces.nasbench201 import NASBench201
from databases.datasets.sampler import TaskSpec, build_task
from databases.errors import UserError
from databases.records.recipe import RECIPES, Recipe
from databases.records.record import Record
from databases.records.store import Store
from metad2a import build as building
from metad2a.build import CORE, Measurement, build, core_architectures, measure, plan, scattered_architectures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labels = np.repeat(np.arange(3), 10)
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1)).astype(np.uint8)
    for name in ("one", "two"):
        np.savez(
            tmp_path / f"{name}.npz",
            x_train=images,
            y_train=labels,
            x_test=images[::-1],
            y_test=labels[::-1],
            class_names=np.array(list("abc")),
        )
    return tmp_path


@pytest.fixture
def measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Measurement]:
    """Two tasks, and the jobs that were measured instead of trained."""
    jobs: list[Measurement] = []

    def fake(job: Measurement) -> Record:
        jobs.append(job)
        if len(jobs) == 7:
            raise KeyboardInterrupt
        key = build_task(job.spec, job.folder).fingerprint
        return Record(key, job.space, job.architecture, job.recipe, job.seed, "own", 50.0, 50.0)

    def here(
        function: Callable[[Measurement], Record], jobs: Iterable[Measurement], **options: object
    ) -> Iterator[Record]:
        return map(function, jobs)

    specs = [TaskSpec("one", (0, 1, 2), 4), TaskSpec("two", (0, 2), 5)]
    monkeypatch.setattr(building, "sample_specs", lambda *args, tasks, **options: specs[:tasks])
    monkeypatch.setattr(building, "measure", fake)
    monkeypatch.setattr("metad2a.executor.run", here)
    return jobs


def test_an_interrupted_build_goes_on_and_measures_nothing_twice(
    folder: Path, measured: list[Measurement], tmp_path: Path
) -> None:
    store = Store(tmp_path / "records.db")

    def go() -> building.Built:
        return build(store, folder, tasks=2, per_task=4, recipe="tiny", judged=1, seeds=2)

    with pytest.raises(KeyboardInterrupt):
        go()
    assert len(list(store.records())) == 6
    done = go()
    assert (done.done, done.known, done.left) == (6, 6, 0)  # 4 cells: first task 2 seeds, second 1
    assert (go().done, len(measured)) == (0, 13)
    assert sum(measured.count(job) for job in set(measured)) - len(set(measured)) == 1  # the interrupted one
    assert {entry.name for entry in store.tasks()} == {"one-3x4-s0", "two-2x5-s0"}


def test_first_seeds_come_before_further_ones_and_only_judged_tasks_have_them(folder: Path) -> None:
    specs = [TaskSpec("one", (0, 1, 2), 4), TaskSpec("two", (0, 2), 5)]
    jobs = plan(specs, folder, per_task=8, recipe="tiny", judged=1, seeds=3)
    seeds = [job.seed for job in jobs]
    assert seeds == sorted(seeds)
    assert len(jobs) == len(set(jobs)) == 3 * 8 + 8
    assert {job.spec.source for job in jobs if job.seed} == {"one"}


def test_judged_tasks_share_the_core_and_others_scatter_a_quarter(folder: Path) -> None:
    specs = [TaskSpec("one", (0, 1, 2), 4), TaskSpec("two", (0, 2), 5)]
    jobs = plan(specs, folder, per_task=16, recipe="tiny", judged=1, seeds=1)
    cells = [[job.architecture for job in jobs if job.spec == spec] for spec in specs]
    assert cells[0] == list(CORE)
    assert cells[1][:12] == list(CORE[:12])
    assert not set(cells[1][12:]) & set(CORE[:12])


def test_core_and_scattered_cells_are_canonical_different_and_learn() -> None:
    chosen = space("nasbench201")
    assert isinstance(chosen, NASBench201)
    cells = [*core_architectures(16), *scattered_architectures(30, seed=3)]
    assert len(set(cells)) == 46
    assert all(chosen.canonical(each) == each for each in cells)
    assert all(sum(chosen.describe(each)[:2]) for each in cells[16:])
    assert scattered_architectures(5, seed=3) == scattered_architectures(5, seed=3)
    assert scattered_architectures(5, seed=3) != scattered_architectures(5, seed=4)


@pytest.mark.parametrize("count", [0, 17])
def test_more_cells_than_the_core_has_are_refused(count: int) -> None:
    with pytest.raises(UserError, match="1 to 16"):
        core_architectures(count)


def test_an_unknown_recipe_is_refused_before_anything_is_measured(folder: Path) -> None:
    with pytest.raises(UserError, match="tiny"):
        plan([TaskSpec("one", (0, 1), 4)], folder, per_task=4, recipe="tinny", judged=1, seeds=1)


def test_a_measurement_is_a_training_tested_on_the_held_out_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", Recipe("tiny", 4, 1, 8, epochs=1, batch=8, learning_rate=0.05))
    spec = TaskSpec("one", (0, 1, 2), 4)
    record = measure(Measurement(spec, folder, CORE[0], "tiny", seed=1))
    assert (record.task, record.seed, record.source) == (build_task(spec, folder).fingerprint, 1, "own")
    assert (record.extra["valid_images"], record.extra["test_images"]) == (18, 30)
    assert record.test_accuracy is not None and 0 <= record.test_accuracy <= 100
    assert record.train_seconds is not None and record.train_seconds > 0
