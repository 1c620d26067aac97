"""`database build --space pipeline`: what is measured of whole pipelines, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from databases.architectures.spaces.pipeline import PROBE
from databases.datasets.sampler import TaskSpec
from databases.records.record import Record
from databases.records.store import Store
from metad2a.build import pipelines
from metad2a.build.build import Built
from metad2a.build.builders import BuildOptions, build_space
from metad2a.build.pipelines import Job
from metad2a.runtime.executors import EXECUTORS
from metad2a.runtime.place import ALONE


def here(function: Callable[[Job], Record], jobs: Iterable[Job], **options: object) -> Iterator[Record]:
    return map(function, jobs)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One source of stripes, level and upright, of which both tasks are drawn."""
    labels = np.repeat(np.arange(2), 20)
    level = np.where(np.arange(32)[:, None] % 8 < 4, 40, 200) * np.ones((32, 32), dtype=np.int64)
    noise = np.random.default_rng(0).integers(0, 30, (40, 32, 32))
    images = (np.where(labels[:, None, None] == 0, level, level.T) + noise).astype(np.uint8)[..., None]
    np.savez(
        tmp_path / "one.npz",
        x_train=images,
        y_train=labels,
        x_test=images[::-1],
        y_test=labels[::-1],
        class_names=np.array(["level", "upright"]),
    )
    specs = [TaskSpec("one", (0, 1), 8), TaskSpec("one", (0, 1), 10)]
    monkeypatch.setattr(pipelines, "sample_specs", lambda *args, tasks, **options: specs[:tasks])
    monkeypatch.setitem(EXECUTORS, "processes", here)
    return tmp_path


def test_probes_are_measured_once_a_task_and_nothing_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "ROUNDS", ((("hog 64px", 0), ("lite0 96px probe whole", 0)),))
    told: list[Built] = []

    def built(tasks: int) -> Built:
        asked = BuildOptions(tasks, per_task=17, recipe="tiny", judged=1, seeds=3, seed=0)
        given = {"place": ALONE, "cache": folder, "on_progress": told.append, "on_death": print}
        return build_space(store, folder, asked, space="pipeline", **given)

    with Store("sqlite://") as store:
        first, both = built(1), built(2)
        records = store.records(space="pipeline")
    assert [(each.done, each.known, each.left) for each in (first, both)] == [(1, 0, 0), (1, 1, 0)]
    assert len(told) == len(records) == len({each.task for each in records}) == 2
    for each in records:  # images are too small for 96 px
        assert (each.architecture, each.recipe, each.seed, each.source) == ("hog 64px", PROBE, 0, "own")
        assert each.test_accuracy == 100 and each.extra["images_a_second"] > 0
