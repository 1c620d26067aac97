"""How a path or a URL becomes an engine: SQLite files, of which some are only read, and PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from databases.errors import UserError
from databases.paths import user_path

NO_DATABASE = "is not a database; give a database of metad2a or a path that does not exist yet"
ONLY_READ = {"mode": "ro"}  # all that may stand behind the URL of an SQLite file
_SMALLEST = 512  # bytes of the smallest SQLite database that is not empty


def url_of(location: str | Path) -> URL:
    """The URL of a path or of a text; raises UserError where no database that we know can be meant."""
    if "://" not in str(location):
        return URL.create("sqlite", database=str(user_path(location)))
    try:
        url = make_url(str(location))
    except (ArgumentError, ValueError) as error:
        raise UserError(
            "the database URL cannot be read; use sqlite:///file.db or postgresql://user@host/name"
        ) from error
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql", "postgres"):
        raise UserError(
            f"databases of kind {kind!r} are not supported; use sqlite:///file.db or postgresql://user@host/name"
        )
    if kind == "sqlite":
        return _url_of_file(url)
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def engine_of(url: URL, timeout: float) -> Engine:
    """The engine of a URL that `url_of` gave; raises UserError for a driver or a place that is not there."""
    if url.get_backend_name() == "sqlite":
        if url.query:
            return _sqlite_engine(_reading(url.database or ""), timeout)
        _prepare_place(url.database)
        return _sqlite_engine(url, timeout)
    try:
        return create_engine(url, connect_args={"connect_timeout": max(2, round(timeout))})
    except ModuleNotFoundError as error:
        raise UserError(f"PostgreSQL needs the package {error.name}; run: pip install 'metad2a[postgres]'") from error
    except ArgumentError as error:
        raise UserError(
            f"the database driver {url.drivername!r} is not known; use postgresql://user@host/name"
        ) from error


def engine_of_still(file: str, timeout: float) -> Engine:
    """The engine of an SQLite file that nobody writes, in a folder where SQLite may make none of its files beside."""
    return _sqlite_engine(_reading(file, immutable="1"), timeout)


def _url_of_file(url: URL) -> URL:
    """The URL of an SQLite file: what SQLAlchemy does not know behind it, it would drop."""
    asked, path = dict(url.query), url.database
    if path and path.startswith("file:") and asked.pop("uri", None) == "true":  # SQLite's own way to say it
        path = unquote(path.removeprefix("file:"))
    if asked not in ({}, ONLY_READ) or url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise UserError(
            f"given the database {url.render_as_string(hide_password=True)}; allowed are sqlite:///file.db and "
            "sqlite:///file.db?mode=ro, which is only read: give one of them"
        )
    if asked and not (path and os.path.isfile(path)):
        raise UserError(f"given {path or 'no file'} with mode=ro, which makes none: give a file that is there")
    return URL.create("sqlite", database=path, query=asked)


def _reading(file: str, **more: str) -> URL:
    """A file that is only read, as SQLite wants to be told."""
    return URL.create("sqlite", database=f"file:{quote(file)}", query={**ONLY_READ, "uri": "true", **more})


def _prepare_place(file: str | None) -> None:
    """Makes the folder of a file, and refuses what SQLite would not: it overwrites a foreign file of a single byte.

    The file is not opened: closing it would lift the locks that this process has on it.
    """
    if not file or file == ":memory:":
        return
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the folder of {file} cannot be made ({error.strerror}); give a place you may write to"
        ) from error
    if os.path.isfile(file) and 0 < os.path.getsize(file) < _SMALLEST:  # False where it may not be looked at
        raise UserError(f"{file} {NO_DATABASE}")


def _sqlite_engine(url: URL, timeout: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": timeout})

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a writer takes its lock at once: a read lock that is raised later fails without waiting
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

    return engine
