"""`database build`: what is measured, in which order, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from databases.architectures.space import space
from databases.architectures.spaces.nasbench201 import NASBench201
from databases.architectures.spaces.nasbench201_core import CORE
from databases.datasets.sampler import TaskSpec, build_task
from databases.errors import UserError
from databases.records.recipe import RECIPES, Recipe
from databases.records.record import Record
from databases.records.store import Store
from metad2a.build import build as building
from metad2a.build.build import Measurement, build, core_rounds, measure, scattered_architectures
from metad2a.runtime.executors import EXECUTORS
from metad2a.runtime.executors import processes as executor
from metad2a.runtime.place import Place


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
    monkeypatch.setattr(building, "telling_round", _one_more_cell)
    monkeypatch.setitem(EXECUTORS, "processes", here)
    return jobs


def _one_more_cell(
    store: Store, specs: list[TaskSpec], folder: Path, *, per_task: int, recipe: str, cache: Path | None
) -> list[Measurement]:
    """One cell more than the three of the core."""
    return [Measurement(spec, folder, str(scattered_architectures(1, seed=0)[0]), recipe, 0) for spec in specs]


def test_the_executor_that_is_named_measures(
    folder: Path, measured: list[Measurement], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses: list[str] = []

    def there(
        function: Callable[[Measurement], Record], jobs: Iterable[Measurement], *, address: str, **options: object
    ) -> Iterator[Record]:
        addresses.append(address)
        return map(function, jobs)

    monkeypatch.setattr(building, "CORE", CORE[:2])
    monkeypatch.setitem(EXECUTORS, "ray", there)
    store = Store(tmp_path / "records.db")
    build(
        store,
        folder,
        tasks=1,
        per_task=2,
        recipe="tiny",
        judged=1,
        seeds=2,
        place=Place(workers=2, executor="ray:one:6379"),
    )
    assert set(addresses) == {"one:6379"} and len(measured) == 4
    with pytest.raises(UserError, match="unknown executor 'threads'"):
        build(store, folder, tasks=1, per_task=2, recipe="tiny", judged=0, place=Place(executor="threads"))


def test_an_interrupted_build_goes_on_and_measures_nothing_twice(
    folder: Path, measured: list[Measurement], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "CORE", CORE[:4])
    store = Store(tmp_path / "records.db")

    def go(on_progress: Callable[[building.Built], None] | None = None) -> building.Built:
        return build(store, folder, tasks=2, per_task=4, recipe="tiny", judged=1, seeds=2, on_progress=on_progress)

    with pytest.raises(KeyboardInterrupt):
        go()
    assert len(list(store.records())) == 6
    left: list[int] = []
    done = go(lambda each: left.append(each.left))
    assert (done.done, done.known, done.left) == (6, 6, 0)  # 4 cells: first task 2 seeds, second 1
    assert left == [5, 4, 3, 2, 1, 0]
    assert (go().done, len(measured)) == (0, 13)
    assert sum(measured.count(job) for job in set(measured)) - len(set(measured)) == 1  # the interrupted one
    assert {entry.name for entry in store.tasks()} == {"one-3x4-s0", "two-2x5-s0"}


def test_judged_tasks_take_the_whole_core_under_all_seeds_and_others_a_stretch_of_it(folder: Path) -> None:
    specs = [TaskSpec("one", (0, 1, 2), 4), TaskSpec("two", (0, 2), 5)]
    first, last = core_rounds(specs, folder, per_task=16, recipe="tiny", judged=1, seeds=3)
    cells = [[job.architecture for job in first if job.spec == spec] for spec in specs]
    assert cells == [list(CORE), list(CORE[:12])]
    assert {job.seed for job in first} == {0}
    assert [job.seed for job in last] == [1] * 20 + [2] * 20
    assert {job.spec.source for job in last} == {"one"}


def test_later_laps_take_other_stretches_so_that_every_core_cell_is_met(folder: Path) -> None:
    specs = [TaskSpec("one", (0, 1, 2), 4, seed=lap) for lap in range(60)]
    first, _ = core_rounds(specs, folder, per_task=16, recipe="tiny", judged=0, seeds=1)
    stretches = {tuple(job.architecture for job in first if job.spec == spec) for spec in specs}
    assert len(stretches) == 3
    assert {cell for stretch in stretches for cell in stretch} == set(CORE)


def test_core_and_scattered_cells_are_canonical_different_and_learn() -> None:
    chosen = space("nasbench201")
    assert isinstance(chosen, NASBench201)
    cells = [*map(chosen.parse, CORE), *scattered_architectures(30, seed=3)]
    assert len(set(cells)) == 50
    assert all(chosen.canonical(each) == each for each in cells)
    assert all(sum(chosen.graph_numbers(each)[:2]) for each in cells[20:])
    assert scattered_architectures(5, seed=3) == scattered_architectures(5, seed=3)
    assert scattered_architectures(5, seed=3) != scattered_architectures(5, seed=4)


def test_no_cells_at_all_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="1 or more"):
        core_rounds([TaskSpec("one", (0, 1), 4)], folder, per_task=0, recipe="tiny", judged=1, seeds=1)


def test_an_unknown_recipe_is_refused_before_anything_is_measured(folder: Path) -> None:
    with Store(folder / "database.db") as store, pytest.raises(UserError, match="tiny"):
        build(store, folder, tasks=1, per_task=4, recipe="tinny", judged=0)


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


def test_what_no_process_lives_through_is_named_when_all_else_is_measured(
    folder: Path, measured: list[Measurement], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(
        function: Callable[[Measurement], Record], jobs: Iterable[Measurement], **options: object
    ) -> Iterator[Record]:
        todo = list(jobs)
        yield from map(function, todo[1:])
        if todo:
            raise executor.GivenUp(todo[:1])

    monkeypatch.setitem(EXECUTORS, "processes", here)
    monkeypatch.setattr(building, "CORE", CORE[:3])
    with Store(tmp_path / "records.db") as store:
        with pytest.raises(executor.GivenUp, match=r"one-3x4-s0, \|.*tiny, seed 0 and 1 more"):
            build(store, folder, tasks=1, per_task=3, recipe="tiny", judged=1, seeds=2)
        assert len(list(store.records())) == 4  # two rounds of 3, but for the first of each
