"""The store keeps every record once and gives it back as it was, also by way of a CSV file."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_world import says

from databases.errors import UserError
from databases.records.csv_file import write_csv
from databases.records.record import PUBLISHED_MEAN, Record, RecordKey, TaskEntry
from databases.records.store import Store

ANY = Record("digits", "nasbench201", "a", "tiny", 0, "own", 90.0, 89.0, 12.5, {"loss": 0.5})


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with Store(tmp_path / "records.db" if server is None else server.database()) as opened:
        yield opened


def numbered(count: int, *, first: int = 0) -> Iterator[Record]:
    return (replace(ANY, seed=seed) for seed in range(first, first + count))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
percents = st.none() | st.floats(0, 100)
records_of_any_kind = st.builds(
    Record,
    *(texts, texts, texts, texts, st.integers(-1, 2**31), texts, percents, percents),
    st.none() | st.floats(0, 1e9),
    st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(records_of_any_kind, max_size=5, unique_by=lambda record: record.key))
def test_records_come_back_as_they_were_added(records: list[Record]) -> None:
    with Store("sqlite://") as store:
        assert store.add(records) == len(records)
        assert {record.key: record for record in store.records()} == {record.key: record for record in records}
        assert store.keys() == {record.key for record in records}


def test_records_and_tasks_survive_the_way_through_a_csv_file(tmp_path: Path) -> None:
    entry = TaskEntry("digits", 'a "name", quoted\nin two lines', "sklearn", {"classes": 10}, {"ids": [1, 2]})
    records = [
        ANY,
        replace(ANY, seed=1, valid_accuracy=None, train_seconds=0.1 + 0.2, extra={}),
        replace(ANY, task="é"),
    ]
    with Store("sqlite://") as first, Store("sqlite://") as second:
        first.add_task(entry)
        first.add(records)
        assert first.export_csv(tmp_path / "all.csv.gz") == second.import_csv(tmp_path / "all.csv.gz") == 3
        assert second.tasks() == [entry] and second.records() == first.records()
        assert [record.created for record in second.records()] == [record.created for record in first.records()]
        assert second.import_csv(tmp_path / "all.csv.gz") == 0


def test_the_same_content_is_exported_as_the_same_bytes(tmp_path: Path) -> None:
    records = list(numbered(50))
    for name, order in (("one", records), ("two", records[::-1])):
        write_csv(tmp_path / name, [TaskEntry(record.task, "Digits") for record in order[:1]], order)
    data = (tmp_path / "one").read_bytes()
    assert data == (tmp_path / "two").read_bytes()
    assert data[3:8] == bytes(5)  # gzip's header names no file and no time


def test_an_export_of_one_source_holds_its_records_and_their_tasks_only(tmp_path: Path, store: Store) -> None:
    store.add_tasks([TaskEntry("digits", "Digits"), TaskEntry("letters", "Letters")])
    store.add([ANY, replace(ANY, task="letters", source="user")])
    assert store.export_csv(tmp_path / "own.csv.gz", source="own") == 1
    with Store("sqlite://") as other:
        other.import_csv(tmp_path / "own.csv.gz")
        assert other.records() == [ANY] and [task.key for task in other.tasks()] == ["digits"]


def test_an_export_of_an_unknown_source_names_the_known_ones_and_writes_nothing(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "some.csv.gz"
    with pytest.raises(UserError) as error:
        store.export_csv(path, source="own")
    assert says(error).endswith("of the source 'own': it holds none at all, so measure or import some first")
    store.add([ANY, replace(ANY, task="letters", source="user")])
    with pytest.raises(UserError) as error:
        store.export_csv(path, source="onw")
    assert says(error) == "the database holds no records of the source 'onw': choose one of own, user"
    assert not path.exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-20], "damaged"),
        (lambda data: b"no table", "no column 'kind'"),
        (lambda data: b"\xff\xfe\xff", "damaged"),
        (lambda data: gzip.decompress(data).replace(b",90.0,", b",ninety,"), "line 3: column valid_accuracy"),
        (lambda data: gzip.decompress(data).replace(b",90.0,", b",190.0,"), "in 0..100"),
        (lambda data: gzip.decompress(data).replace(b"record,", b"recrd,"), "kind is task or record"),
        (lambda data: gzip.decompress(data).replace(b"{}", b"[" * 99_999), "a JSON mapping is needed"),
        (lambda data: gzip.decompress(data).replace(b",90.0,", b","), "line 3 has not as many cells"),
    ],
)
def test_a_damaged_csv_file_is_refused_as_a_whole(
    tmp_path: Path, store: Store, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "records.csv.gz"
    with Store("sqlite://") as full:
        full.add_task(TaskEntry("digits", "Digits"))
        full.add(numbered(200))
        full.export_csv(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError) as error:
        store.import_csv(path)
    assert message in says(error)
    assert store.records() == [] and store.tasks() == []


def test_csv_files_that_cannot_be_read_or_written_are_a_user_error(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing.csv.gz", tmp_path):
        with pytest.raises(UserError) as error:
            store.import_csv(path)
        assert "cannot be read" in says(error)
    with pytest.raises(UserError) as error:
        store.export_csv(tmp_path / "file" / "own.csv.gz")
    assert "cannot be written" in says(error)


def test_a_key_is_added_once_and_its_first_record_stays(store: Store) -> None:
    again = replace(ANY, valid_accuracy=10.0)
    assert store.add([ANY, again]) == 1
    assert store.add([again, replace(ANY, seed=1)]) == 1
    assert store.records(task="digits")[0].valid_accuracy == 90.0
    assert store.keys() == {ANY.key, ANY.key._replace(seed=1)}


def test_keys_differ_in_each_of_their_five_parts(store: Store) -> None:
    others = [replace(ANY, **{name: "other"}) for name in RecordKey._fields if name != "seed"]  # type: ignore[arg-type]
    assert store.add([ANY, *others, replace(ANY, seed=7), replace(ANY, source="user")]) == 6


def test_records_are_found_by_task_recipe_source_and_space(store: Store) -> None:
    store.add([ANY, replace(ANY, task="letters", recipe="small", source="user", space="enas")])
    for name in ("task", "recipe", "source", "space"):
        chosen: dict[str, Any] = {name: getattr(ANY, name)}
        assert store.records(**chosen) == [ANY]
        assert store.keys(**chosen) == {ANY.key}
    assert store.records(task="digits", recipe="small") == []


def test_numpy_numbers_are_stored_as_plain_ones(store: Store) -> None:
    numbers: dict[str, Any] = {"seed": np.int64(3), "valid_accuracy": np.float32(50)}
    store.add([replace(ANY, **numbers, extra={"loss": numbers["valid_accuracy"]})])
    (record,) = store.records()
    assert (record.seed, record.valid_accuracy, record.extra) == (3, 50.0, {"loss": 50.0})
    assert ANY.key._replace(seed=3) in store.keys()


def test_every_seed_that_may_be_given_is_stored(store: Store) -> None:
    seeds = [2**31, 2**32 - 1, 2**63 - 1]
    assert store.add([replace(ANY, seed=seed) for seed in seeds]) == 3
    assert sorted(each.seed for each in store.records()) == seeds


@pytest.mark.parametrize(
    "change",
    [
        {"task": ""},
        {"architecture": None},
        {"task": "a\0b"},
        {"source": "a\udce9"},
        {"seed": -2},
        {"seed": 2**63},
        {"seed": 0.5},
        {"seed": "first"},
        {"valid_accuracy": 100.1},
        {"test_accuracy": -1},
        {"valid_accuracy": float("nan")},
        {"train_seconds": float("inf")},
        {"extra": {"loss": float("nan")}},
    ],
)
def test_a_record_that_cannot_be_true_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError) as error:
        replace(ANY, **change)
    assert next(iter(change)).split("_")[0] in says(error) or "loss" in says(error)


def test_values_are_published_means_or_else_means_over_the_seeds(store: Store) -> None:
    store.add(
        [
            replace(ANY, architecture="a", seed=0, valid_accuracy=10.0),
            replace(ANY, architecture="a", seed=1, valid_accuracy=30.0),
            replace(ANY, architecture="b", seed=0, valid_accuracy=10.0),
            replace(ANY, architecture="b", seed=PUBLISHED_MEAN, valid_accuracy=70.0),
            replace(ANY, architecture="c", valid_accuracy=None),
            replace(ANY, architecture="d", recipe="small"),
            replace(ANY, architecture="e", task="letters"),
        ]
    )
    assert store.values("digits", "tiny") == {"a": 20.0, "b": 70.0}
    assert store.values("digits", "tiny", metric="train_seconds") == {"a": 12.5, "b": 12.5, "c": 12.5}
    assert store.values("digits", "tiny", space="enas") == {}


def test_tasks_are_found_by_key_prefix(store: Store) -> None:
    tasks = [TaskEntry(key, key, source) for key, source in (("a/1", "x"), ("a%2", "x"), ("b/1", "y"))]
    assert store.add_tasks(tasks) == 3 and store.add_task(tasks[0]) == 0
    assert [task.key for task in store.tasks(prefix="a%")] == ["a%2"]
    assert [task.key for task in store.tasks(prefix="a/")] == ["a/1"]
    assert store.task("b/1") == tasks[2] and store.task("b/2") is None


def test_a_task_that_json_cannot_hold_is_refused(store: Store) -> None:
    with pytest.raises(UserError) as error:
        store.add_task(TaskEntry("digits", "Digits", spec={"images": object()}))
    assert "can be stored" in says(error)


def test_the_summary_counts_by_source_and_recipe(store: Store) -> None:
    store.add([*numbered(3), replace(ANY, architecture="b"), replace(ANY, recipe="small", source="user")])
    assert [(row.source, row.recipe, row.tasks, row.architectures, row.records) for row in store.summary()] == [
        ("own", "tiny", 1, 2, 4),
        ("user", "small", 1, 1, 1),
    ]
