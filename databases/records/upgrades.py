"""Steps from each schema of the store to the next: forwards only, all in one transaction, after a copy was made."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from databases.files import replace_file

if TYPE_CHECKING:
    from alembic.operations import Operations


def _index_by_recipe(change: Operations) -> None:
    """Looking for the records of one recipe or source read the whole table."""
    change.create_index("records_by_recipe", "records", ["recipe", "source"])


STEPS: dict[int, Callable[[Operations], None]] = {1: _index_by_recipe}  # schema -> the way to the next one


def apply_steps(connection: Connection, *, since: int, to: int) -> None:
    """Changes the tables from one schema to another, inside the transaction of the connection."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    change = Operations(MigrationContext.configure(connection))
    for version in range(since, to):
        STEPS[version](change)


def copy_file(engine: Engine, *, version: int) -> Path | None:
    """Copies an SQLite database beside itself, as it is, and returns where; None for one that is no file.

    Raises:
        sqlite3.Error: it cannot be read, or the copy not be written.
    """
    with closing(engine.raw_connection()) as pooled:
        source = pooled.driver_connection
        assert isinstance(source, sqlite3.Connection)
        file = source.execute("PRAGMA database_list").fetchone()[2]
        if not file:
            return None
        place = _free(f"{file}.schema-{version}.backup")
        draft = place.with_name(f".{place.name}")  # one of an upgrade that was killed is written anew
        draft.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(draft)) as target:
                source.backup(target)
            replace_file(draft, place)
        finally:
            draft.unlink(missing_ok=True)
    return place


def _free(wanted: str) -> Path:
    """The path, or the first of path-2, path-3 ... that is not taken."""
    path, number = Path(wanted), 1
    while os.path.lexists(path):
        number += 1
        path = Path(f"{wanted}-{number}")
    return path
