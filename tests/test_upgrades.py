"""A database of an older version is brought up to date, after a copy was made, all or nothing."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from postgres_server import PostgresServer
from records_world import says, started
from sqlalchemy import create_engine, inspect, text

from databases.errors import UserError
from databases.records import upgrades
from databases.records.connection import SCHEMA_VERSION
from databases.records.record import Record
from databases.records.store import Store

SCHEMA_1 = """
CREATE TABLE schema_version (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE tasks (
    "key" TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, statistics TEXT NOT NULL, spec TEXT NOT NULL,
    PRIMARY KEY ("key")
);
CREATE TABLE records (
    task TEXT NOT NULL, recipe TEXT NOT NULL, space TEXT NOT NULL, architecture TEXT NOT NULL, seed INTEGER NOT NULL,
    source TEXT NOT NULL, valid_accuracy FLOAT, test_accuracy FLOAT, train_seconds FLOAT, extra TEXT,
    created TEXT NOT NULL,
    PRIMARY KEY (task, recipe, space, architecture, seed)
){rowid};
INSERT INTO schema_version VALUES (1);
INSERT INTO tasks VALUES ('digits', 'Digits', 'sklearn', '{{"classes": 10}}', '{{}}');
INSERT INTO records VALUES
    ('digits', 'tiny', 'nasbench201', 'a', 0, 'own', 90.0, NULL, 12.5, '{{"loss": 0.5}}', '2026-11-22T20:00:00+00:00');
"""
OLD = Record("digits", "nasbench201", "a", "tiny", 0, "own", 90.0, None, 12.5, {"loss": 0.5})


def old_file(folder: Path) -> Path:
    path = folder / "records.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA_1.format(rowid=" WITHOUT ROWID"))
    return path


def backups(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if "backup" in each.name)


def schema_of(location: str) -> dict[str, Any]:
    engine = create_engine(location)
    seen = inspect(engine)
    tables = {name: (seen.get_columns(name), seen.get_indexes(name)) for name in sorted(seen.get_table_names())}
    engine.dispose()
    return {
        name: (str(columns), sorted(str(each["name"]) for each in each_)) for name, (columns, each_) in tables.items()
    }


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT version FROM schema_version").fetchone()[0])


def test_each_older_schema_has_its_step() -> None:
    assert sorted(upgrades.STEPS) == list(range(1, SCHEMA_VERSION))


def test_a_file_of_schema_1_is_upgraded_after_a_copy_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = old_file(tmp_path)
    with caplog.at_level(logging.WARNING, logger="metad2a"), Store(path) as store:
        assert store.records() == [OLD] and store.task("digits") is not None
        assert store.add([OLD]) == 0
    (line,) = caplog.messages
    assert f"{path} was upgraded from schema 1 to {SCHEMA_VERSION}" in line and "\n" not in line
    assert f"{path}.schema-1.backup" in line and backups(tmp_path) == ["records.db.schema-1.backup"]
    Store(tmp_path / "new.db").close()
    assert schema_of(f"sqlite:///{path}") == schema_of(f"sqlite:///{tmp_path}/new.db")
    caplog.clear()
    Store(path).close()
    assert not caplog.messages and len(backups(tmp_path)) == 1


def test_the_copy_is_the_database_as_it_was_and_is_never_overwritten(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    Store(path).close()
    copy = tmp_path / "records.db.schema-1.backup"
    assert version_of(copy) == 1 and version_of(path) == SCHEMA_VERSION
    for each in tmp_path.glob("records.db*"):
        if each != copy:
            each.unlink()
    path.write_bytes(copy.read_bytes())  # as one who goes back
    with Store(path) as store:
        assert store.records() == [OLD]
    assert backups(tmp_path) == ["records.db.schema-1.backup", "records.db.schema-1.backup-2"]


def test_the_command_line_says_it_in_one_line_on_stderr(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    command = [sys.executable, "-m", "metad2a", "database", "info", "--database", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "METAD2A_HOME": str(tmp_path)})
    assert done.returncode == 0 and "backup" not in done.stdout
    assert [line for line in done.stderr.splitlines() if "schema-1.backup" in line] == done.stderr.splitlines()


def die_half_way(path: Path) -> None:
    def step(change: Any) -> None:
        change.execute("DELETE FROM records")
        change.execute("ALTER TABLE tasks RENAME TO work")
        os._exit(9)

    upgrades.STEPS[1] = step
    Store(path)


def opens(path: Path, times: int) -> None:
    for _ in range(times):
        Store(path, timeout=60).close()


def test_an_upgrade_that_is_killed_half_way_loses_nothing_and_is_done_by_the_next(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    process = started(die_half_way, path)
    process.join(60)
    assert process.exitcode == 9 and version_of(path) == 1
    with Store(path) as store:
        assert store.records() == [OLD] and len(store.tasks()) == 1
    assert version_of(path) == SCHEMA_VERSION


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_file(tmp_path)

    def step(change: Any) -> None:
        change.execute("DELETE FROM records")
        raise MemoryError

    monkeypatch.setitem(upgrades.STEPS, 1, step)
    with pytest.raises(MemoryError):
        Store(path)
    monkeypatch.undo()
    with Store(path) as store:
        assert store.records() == [OLD]


def test_two_processes_at_once_upgrade_once(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    processes = [started(opens, path, 3) for _ in range(2)]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert backups(tmp_path) == ["records.db.schema-1.backup"] and version_of(path) == SCHEMA_VERSION


def test_a_copy_that_cannot_be_written_stops_the_upgrade_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_file(tmp_path)
    monkeypatch.setattr(upgrades, "_free", lambda wanted: tmp_path / "missing" / "copy")
    with pytest.raises(UserError) as error:
        Store(path)
    assert "cannot be opened" in says(error) and version_of(path) == 1


@pytest.mark.slow
def test_a_database_of_schema_1_in_postgresql_is_upgraded(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres.database()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text(SCHEMA_1.format(rowid="").replace(":00", "\\:00")))
    engine.dispose()
    with caplog.at_level(logging.WARNING, logger="metad2a"), Store(url) as store:
        assert store.records() == [OLD]
        assert store.add([replace(OLD, seed=2**32 - 1)]) == 1  # seeds had 32 bits
    assert "from schema 1" in caplog.messages[0] and "no copy" in caplog.messages[0]
    new = postgres.database()
    Store(new).close()
    plain = [schema_of(each.replace("postgresql:", "postgresql+psycopg:")) for each in (url, new)]
    assert plain[0] == plain[1]
