"""The store: tasks and records in a database, SQLite by default, PostgreSQL by URL.

Records are only ever added; the first record of a key stays. Several processes may read and write at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from sqlalchemy import ColumnElement, Row, Select, case, distinct, func, select

from databases.errors import UserError
from databases.records.connection import RECORDS, TASKS, Database
from databases.records.csv_file import read_csv, to_json, write_csv
from databases.records.record import PUBLISHED_MEAN, Record, RecordKey, TaskEntry
from databases.usual import DEFAULT_SPACE

BATCH = 10_000  # rows a transaction: few waits for the disk, short waits for other writers

_FIELDS = tuple(field.name for field in fields(Record))
_EXTRA = _FIELDS.index("extra")
_fields = attrgetter(*_FIELDS)
_place = attrgetter(*(column.name for column in RECORDS.primary_key.columns))

Metric = Literal["valid_accuracy", "test_accuracy", "train_seconds"]


@dataclass(frozen=True)
class SourceSummary:
    """How much the store holds of one source and recipe."""

    source: str
    recipe: str
    tasks: int
    architectures: int
    records: int


class Store:
    """Tasks and records, kept in the database at ``location``: a path (SQLite, made when missing) or a URL.

    ``timeout`` is how many seconds to wait while another process writes. Every method raises UserError, in
    one line, when the database is locked for longer, cannot be written, is damaged, belongs to another
    program or to a newer version of this one. Threads may share a store; each process opens its own.
    """

    def __init__(self, location: str | Path, *, timeout: float = 30.0) -> None:
        self._database = Database(location, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the database's connections back; using the store again opens new ones."""
        self._database.engine.dispose()

    def check_writable(self) -> None:
        """Raises UserError where nothing can be added, before there is anything to add."""
        self._database.check_writable()

    def add_task(self, task: TaskEntry) -> int:
        """Add a task unless its key is known; returns how many were new, 0 or 1."""
        return self.add_tasks([task])

    def add_tasks(self, tasks: Iterable[TaskEntry]) -> int:
        """Add the tasks whose keys are not known yet, in one transaction; returns how many these were."""
        rows = [_task_row(task) for task in tasks]
        with self._database.writing() as connection:
            return self._database.insert_new(connection, TASKS, rows)

    def tasks(self, *, prefix: str = "") -> list[TaskEntry]:
        """The tasks whose key begins with ``prefix``, sorted by key."""
        query = select(TASKS).order_by(TASKS.c.key)
        if prefix:
            query = query.where(TASKS.c.key.startswith(prefix, autoescape=True))
        with self._database.reading() as connection:
            return [_task(row) for row in connection.execute(query)]

    def task(self, key: str) -> TaskEntry | None:
        """The task with this key, None when there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(TASKS).where(TASKS.c.key == key)).one_or_none()
        return None if row is None else _task(row)

    def add(self, records: Iterable[Record]) -> int:
        """Add the records whose keys are not known yet; returns how many these were.

        Written in transactions of ``BATCH`` records: a kill leaves whole batches, adding again adds the rest.
        """
        new, remaining = 0, iter(records)
        while batch := list(islice(remaining, BATCH)):
            batch.sort(key=_place)  # neighbours in the table are written together
            rows = [_record_row(record) for record in batch]
            with self._database.writing() as connection:
                new += self._database.insert_new(connection, RECORDS, rows)
        return new

    def keys(
        self,
        *,
        task: str | None = None,
        recipe: str | None = None,
        source: str | None = None,
        space: str | None = None,
    ) -> set[RecordKey]:
        """The keys of the records that agree with every argument given."""
        query = _selected(select(*(RECORDS.c[name] for name in RecordKey._fields)), task, recipe, source, space)
        with self._database.reading() as connection:
            return {RecordKey(*row) for row in connection.execute(query)}

    def records(
        self,
        *,
        task: str | None = None,
        recipe: str | None = None,
        source: str | None = None,
        space: str | None = None,
    ) -> list[Record]:
        """The records that agree with every argument given, by task, recipe, space, architecture and seed."""
        query = _selected(select(*(RECORDS.c[name] for name in _FIELDS)), task, recipe, source, space)
        query = query.order_by(*RECORDS.primary_key.columns)
        with self._database.reading() as connection:
            return [_record(row) for row in connection.execute(query)]

    def values(
        self, task: str, recipe: str, *, metric: Metric = "valid_accuracy", space: str = DEFAULT_SPACE
    ) -> dict[str, float]:
        """Architecture -> its mean on one task: the published mean where there is one, else that over seeds.

        Accuracies in percent, times in seconds. Architectures without a value are left out.
        """
        column: ColumnElement[float] = RECORDS.c[metric]
        published = func.max(case((RECORDS.c.seed == PUBLISHED_MEAN, column)))
        runs = func.avg(case((RECORDS.c.seed != PUBLISHED_MEAN, column)))
        mean = func.coalesce(published, runs)
        query = _selected(select(RECORDS.c.architecture, mean), task, recipe, None, space)
        query = query.group_by(RECORDS.c.architecture).having(mean.is_not(None)).order_by(RECORDS.c.architecture)
        with self._database.reading() as connection:
            return {architecture: float(value) for architecture, value in connection.execute(query)}

    def summary(self) -> list[SourceSummary]:
        """Counts of tasks, architectures and records for every source and recipe."""
        kind = (RECORDS.c.source, RECORDS.c.recipe)
        counts = (
            func.count(distinct(RECORDS.c.task)),
            func.count(distinct(RECORDS.c.architecture)),
            func.count(),
        )
        query = select(*kind, *counts).group_by(*kind).order_by(*kind)
        with self._database.reading() as connection:
            return [SourceSummary(*row) for row in connection.execute(query)]

    def export_csv(self, path: str | Path, *, source: str | None = None) -> int:
        """Write the records of a source, or all, and their tasks to a ``.csv.gz``; returns how many records.

        Without ``source`` tasks without records are written too. The same content gives the same bytes.
        Raises UserError for a source without records, and writes nothing then.
        """
        records = self.records(source=source)
        if source is not None and not records:
            known = ", ".join(sorted({each.source for each in self.summary()}))
            there = f"choose one of {known}" if known else "it holds none at all, so measure or import some first"
            raise UserError(f"the database holds no records of the source {source!r}: {there}")
        spoken_of = {record.task for record in records}
        tasks = [task for task in self.tasks() if source is None or task.key in spoken_of]
        write_csv(path, tasks, records)
        return len(records)

    def import_csv(self, path: str | Path) -> int:
        """Add the tasks and records of a file that ``export_csv`` wrote; returns how many records were new.

        Raises UserError for a damaged file, of which nothing is then added.
        """
        entries = list(read_csv(path))
        self.add_tasks(entry for entry in entries if isinstance(entry, TaskEntry))
        return self.add(entry for entry in entries if isinstance(entry, Record))


def _selected(
    query: Select[Any], task: str | None, recipe: str | None, source: str | None, space: str | None
) -> Select[Any]:
    wanted = {"task": task, "recipe": recipe, "source": source, "space": space}
    return query.where(*(RECORDS.c[name] == value for name, value in wanted.items() if value is not None))


def _task_row(task: TaskEntry) -> dict[str, object]:
    texts = {"key": task.key, "name": task.name, "source": task.source}
    return {**texts, "statistics": to_json(task.statistics), "spec": to_json(task.spec)}


def _task(row: Row[Any]) -> TaskEntry:
    return TaskEntry(row.key, row.name, row.source, json.loads(row.statistics), json.loads(row.spec))


def _record_row(record: Record) -> dict[str, object]:
    row: dict[str, object] = dict(zip(_FIELDS, _fields(record), strict=True))
    row["extra"] = to_json(record.extra) if record.extra else None
    return row


def _record(row: Sequence[Any]) -> Record:
    values = list(row)
    values[_EXTRA] = json.loads(row[_EXTRA]) if row[_EXTRA] else {}
    return Record(*values)
