"""Locks, kills, foreign files and full disks: the store loses nothing and says in one line what to do."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from records_world import says, started
from sqlalchemy import inspect

from databases.errors import UserError
from databases.records.connection import Database
from databases.records.record import Record
from databases.records.store import BATCH, Store
from metad2a.service.tables import open_database

ANY = Record("digits", "nasbench201", "a", "tiny", 0, "own", 90.0)


def numbered(count: int, *, first: int = 0) -> Iterator[Record]:
    return (replace(ANY, seed=seed) for seed in range(first, first + count))


def test_a_locked_database_can_be_read_and_is_a_user_error_to_write(tmp_path: Path) -> None:
    with Store(tmp_path / "records.db", timeout=0.1) as store:
        store.add([ANY])
        with closing(sqlite3.connect(tmp_path / "records.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with Store(tmp_path / "records.db", timeout=0.1) as reader:
                assert reader.records() == [ANY]
            with pytest.raises(UserError) as error:
                store.add([replace(ANY, seed=1)])
        assert "locked by another program for 0.1 s" in says(error)
        assert store.add([replace(ANY, seed=1)]) == 1


def test_a_new_file_that_another_program_locks_is_a_user_error(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError) as error:
            Store(tmp_path / "new.db", timeout=0.1)
    assert "locked" in says(error)


def test_a_database_of_a_newer_version_is_refused_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    Store(path).close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(UserError) as error:
        Store(path)
    assert "newer metad2a (schema 99" in says(error)


def test_the_database_of_another_program_is_refused_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE runs (id)")
    before = path.read_bytes()
    with pytest.raises(UserError) as error:
        Store(path)
    assert "'runs'" in says(error) and path.read_bytes() == before


@pytest.mark.parametrize("size", [1, 2, 511, 512, 1_600, 5_000])
def test_a_file_that_is_no_database_is_refused_unchanged(tmp_path: Path, size: int) -> None:
    path, text = tmp_path / "notes.txt", ("a shopping list " * 400)[:size]
    path.write_text(text)
    with pytest.raises(UserError) as error:
        Store(path)
    assert "is not a database" in says(error) and path.read_text() == text


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with Store(tmp_path / "empty.db") as store:
        assert store.add([ANY]) == 1


def test_a_place_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "records.db", tmp_path):
        with pytest.raises(UserError) as error:
            Store(place)
        assert "you may write to" in says(error)


def test_a_full_disk_is_a_user_error_and_what_was_there_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "records.db")
    store.add([ANY])
    with store._database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=8")
    with pytest.raises(UserError) as error:
        store.add(numbered(5000, first=1))
    assert "disk is full" in says(error) and store.records() == [ANY]
    store.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me@host/name", "'mysql' are not supported"),
        ("postgresql+nonsense://me@host/name", "not known"),
        ("://", "cannot be read"),
        ("sqlite://host:port/x", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_a_user_error(url: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        Store(url)
    assert message in says(error)


def add_one_by_one(place: Path | str, first: int) -> None:
    with Store(place) as store:
        for record in numbered(200, first=first):
            store.add([record])


def add_without_end(path: Path) -> None:
    with Store(path) as store:
        store.add(numbered(10**9))


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_two_processes_writing_at_once_lose_nothing(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    server = request.getfixturevalue("postgres") if kind == "postgresql" else None
    place = tmp_path / "records.db" if server is None else server.database()
    processes = [started(add_one_by_one, place, first) for first in (0, 100)]  # half of their records are the same
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    with Store(place) as store:
        assert {key.seed for key in store.keys()} == set(range(300))


@pytest.mark.slow
@pytest.mark.parametrize("opens", [partial(Database, timeout=30.0), open_database], ids=["Database", "open_database"])
def test_those_who_open_an_empty_database_at_once_all_get_it(
    opens: Callable[..., Database], request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres")
    for _ in range(4):
        place, together = server.database(), threading.Barrier(8)

        def opened(number: int, place: str = place, together: threading.Barrier = together) -> list[str]:
            together.wait()
            database = opens(place)
            try:
                return inspect(database.engine).get_table_names()
            finally:
                database.engine.dispose()

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(opened, range(8)))


def test_a_kill_leaves_whole_batches_and_the_same_import_adds_the_rest(tmp_path: Path) -> None:
    with Store(tmp_path / "records.db") as store:
        process = started(add_without_end, tmp_path / "records.db")
        deadline = time.monotonic() + 60
        while ANY.key not in store.keys() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.join()
        there = len(store.keys())
        assert there > 0 and there % BATCH == 0
        with closing(sqlite3.connect(tmp_path / "records.db")) as other:
            assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert store.add(numbered(there + 5)) == 5
