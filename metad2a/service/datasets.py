"""Datasets that users sent: a folder and a row each, named by their content."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row, delete, insert, select, tuple_

from databases.errors import UserError
from databases.records.connection import Database
from databases.usual import AUTOMATIC
from metad2a.service import jobs
from metad2a.service.settings import Settings
from metad2a.service.tables import DATASETS, JOBS


@dataclass(frozen=True)
class Dataset:
    """One dataset: ``summary`` holds what was understood of it (see `metad2a.service.reading`)."""

    id: str
    name: str
    file: str
    size: int
    created: float
    summary: dict[str, Any]

    @property
    def groups(self) -> str:
        """What belongs together by its owner's word; datasets of an earlier version tell nothing."""
        return str(self.summary.get("groups", AUTOMATIC))


def folder_of(settings: Settings, key: str) -> Path:
    """Where a dataset's file and thumbnails are."""
    return settings.datasets / key


def path_of(settings: Settings, dataset: Dataset) -> Path:
    """The file as the library reads it."""
    return folder_of(settings, dataset.id) / dataset.file


def find(database: Database, key: str) -> Dataset | None:
    """The dataset of that id."""
    with database.reading() as connection:
        row = connection.execute(select(DATASETS).where(DATASETS.c.id == key)).first()
    return None if row is None else _dataset(row)


def listed(database: Database, *, limit: int, after: tuple[float, str] | None = None) -> list[Dataset]:
    """Datasets, the latest first, from ``after`` (created, id) on."""
    query = select(DATASETS).order_by(DATASETS.c.created.desc(), DATASETS.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(tuple_(DATASETS.c.created, DATASETS.c.id) < tuple_(*after))
    with database.reading() as connection:
        return [_dataset(row) for row in connection.execute(query)]


def keep(
    database: Database, settings: Settings, draft: Path, summary: dict[str, Any], *, name: str
) -> tuple[Dataset, bool]:
    """Moves a draft folder that was understood into its place; whether the content is new comes with it."""
    key = str(summary.pop("id"))
    known = find(database, key)
    if known is not None and path_of(settings, known).is_file():
        return known, False
    file = str(summary.pop("file"))
    place = folder_of(settings, key)
    settings.datasets.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        shutil.rmtree(place)  # what a killed upload left
    draft.rename(place)
    size = (place / file).stat().st_size
    row = {"id": key, "name": name, "file": file, "size": size, "created": time.time(), "summary": json.dumps(summary)}
    try:
        with database.writing() as connection:
            connection.execute(delete(DATASETS).where(DATASETS.c.id == key))
            connection.execute(insert(DATASETS).values(row))
    except UserError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return Dataset(key, name, file, size, float(str(row["created"])), summary), True


def remove(database: Database, settings: Settings, key: str) -> bool:
    """Removes a dataset; refused while a job needs it. False where there is none."""
    from metad2a.service.problems import Problem  # a job's process, which removes nothing, is spared fastapi

    with database.writing() as connection:
        live = (JOBS.c.dataset == key) & JOBS.c.state.in_(jobs.LIVE)
        if connection.execute(select(JOBS.c.id).where(live)).first() is not None:
            raise Problem(409, "a job needs this dataset: cancel the job or wait for its end, then delete again")
        found = connection.execute(delete(DATASETS).where(DATASETS.c.id == key)).rowcount
    shutil.rmtree(folder_of(settings, key), ignore_errors=True)
    return bool(found)


def _dataset(row: Row[Any]) -> Dataset:
    values = dict(row._mapping)
    return Dataset(**{**values, "summary": json.loads(values["summary"])})
