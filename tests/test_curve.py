"""The learning curve that the record of a fine-tuning keeps, wherever it was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from pipeline_world import opened, stripes

from databases.datasets.sampler import TaskSpec
from databases.records.record import Record
from databases.records.store import Store
from metad2a.build import pipelines
from metad2a.build.pipelines import Job
from metad2a.search.pipelines.records import Recorder
from metad2a.train import finetune
from metad2a.train.augment import PLAIN
from metad2a.train.curve import POINTS, curve_of
from metad2a.train.loop import Epoch


def told(count: int) -> Iterator[Epoch]:
    """A training of so many epochs, which looks at validation images at its half."""
    for number in range(1, count + 1):
        valid = 70.0 if number == count // 2 else None
        yield Epoch(number, 2.0 / number, 3 * number, number / count, 0.1 * number, valid)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 10, 400])
def test_a_curve_has_a_point_a_tenth_at_most_and_all_that_was_looked_at(count: int) -> None:
    found = curve_of(told(count))
    assert sum(name.startswith("loss") for name in found) == min(count, POINTS)
    assert [value for name, value in found.items() if name.startswith("valid")] == [70.0] * (count > 1)
    assert not count or found["loss_at_100"] == 2.0 / count  # the last one stays


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_left_out(loss: float) -> None:
    assert curve_of([Epoch(1, loss, 3, 0.5, 1.0, 40.0)]) == {"valid_at_50": 40.0}


def test_what_was_built_holds_its_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "WATCH_SHARE", 1e9)
    monkeypatch.setattr(pipelines, "built_task", lambda spec, folder: stripes(60))
    monkeypatch.setattr(pipelines, "fingerprint_of", lambda spec, folder: stripes(60).fingerprint)
    monkeypatch.setattr(pipelines, "_augment", lambda *given: PLAIN)
    monkeypatch.setattr("metad2a.train.pipeline.open_base", opened)
    spec = TaskSpec("stripes", (0, 1, 2), 12)
    found = pipelines.measure(Job(spec, tmp_path, "own 32px all rate0.03 whole", 20, 0, tmp_path))
    assert found.extra["loss_at_100"] > 0 and any(name.startswith("valid_at_") for name in found.extra)
    assert not any("_at_" in name for name in probe_of(spec, tmp_path).extra)


def probe_of(spec: TaskSpec, folder: Path) -> Record:
    return pipelines.measure(Job(spec, folder, "own 32px probe whole", 0, 0, folder))


def test_what_a_search_measured_holds_its_curve_and_a_file_of_records_too(tmp_path: Path) -> None:
    task, curve = stripes(12), curve_of(told(7))
    with Store(tmp_path / "one.db") as store, Store(tmp_path / "two.db") as other:
        recorder = Recorder(store, task, 0, "auto")
        recorder.begin()
        tuned = pipelines._pipeline("own 32px all rate0.03 whole")
        recorder.add(tuned, 80.0, 0.5, seconds=3.0, steps=20, curve=told(7))
        store.export_csv(tmp_path / "records.csv.gz")
        other.import_csv(tmp_path / "records.csv.gz")
        for each in (store, other):
            assert curve.items() <= dict(the_one(each.records()).extra).items()


def the_one(records: Iterable[Record]) -> Record:
    (found,) = records
    return found
