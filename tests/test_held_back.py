"""Held-back images: measured once, in a store of their own, and judged with and without their relatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from databases.architectures.spaces.nasbench201_core import CORE
from databases.datasets.sampler import FAMILIES, TaskSpec, build_task
from databases.records.record import Record
from databases.records.store import Store
from metad2a.build.build import Measurement
from metad2a.evaluate import held_back
from metad2a.evaluate.held_back import RELATIVE, SPECS, measure_held_back


def test_the_held_back_sources_are_none_of_the_sampled_ones() -> None:
    assert {spec.source for spec in SPECS} == {"cifar10", "mnist"}
    assert not {spec.source for spec in SPECS} & set(FAMILIES)
    assert RELATIVE["mnist"] == FAMILIES["mnist_m"]


def test_what_is_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.repeat(np.arange(3), 10)
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1)).astype(np.uint8)
    names = np.array(list("abc"))
    np.savez(tmp_path / "one.npz", x_train=images, y_train=labels, x_test=images, y_test=labels, class_names=names)
    done: list[Measurement] = []

    def fake(job: Measurement) -> Record:
        done.append(job)
        if len(done) == 30:
            raise KeyboardInterrupt
        key = build_task(job.spec, job.folder).fingerprint
        return Record(key, job.space, job.architecture, job.recipe, job.seed, "own", 50.0, 50.0)

    def here(function: Callable[[Measurement], Record], jobs: Iterable[Measurement], **_: object) -> Iterator[Record]:
        return map(function, jobs)

    monkeypatch.setattr(held_back, "SPECS", (TaskSpec("one", (0, 1, 2), 4),))
    monkeypatch.setattr(held_back, "measure", fake)
    monkeypatch.setattr("metad2a.runtime.executors.processes.run", here)
    store = Store(tmp_path / "held.db")
    with pytest.raises(KeyboardInterrupt):
        measure_held_back(store, tmp_path, recipe="tiny")
    measure_held_back(store, tmp_path, recipe="tiny")
    measure_held_back(store, tmp_path, recipe="tiny")
    assert len(done) == 3 * len(CORE) + 1  # one was interrupted
    assert len(store.records()) == 3 * len(CORE)
