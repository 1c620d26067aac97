"""The database under the store: its tables, how it is opened, and its failures in words a user can act on."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError

from databases.errors import UserError
from databases.records.engine import NO_DATABASE, engine_of, engine_of_still, url_of
from databases.records.upgrades import apply_steps, copy_file

logger = logging.getLogger("metad2a")

SCHEMA_VERSION = 2  # a change of the tables below needs a new one, and a step in `upgrades`
SEED = BigInteger().with_variant(Integer(), "sqlite")  # which holds 64 bits in both
METADATA = MetaData()
VERSIONS = Table("schema_version", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))
TASKS = Table(
    "tasks",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("statistics", Text, nullable=False),  # JSON
    Column("spec", Text, nullable=False),  # JSON
)
RECORDS = Table(
    "records",
    METADATA,
    # the rows lie in the order of the key: all records of one task and recipe are neighbours
    Column("task", Text, primary_key=True),
    Column("recipe", Text, primary_key=True),
    Column("space", Text, primary_key=True),
    Column("architecture", Text, primary_key=True),
    Column("seed", SEED, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("valid_accuracy", Float),
    Column("test_accuracy", Float),
    Column("train_seconds", Float),
    Column("extra", Text),  # JSON, null when there is none
    Column("created", Text, nullable=False),
    Index("records_by_recipe", "recipe", "source"),
    sqlite_with_rowid=False,
)

_ADVICE = {  # a part of the driver's message -> what to tell
    "locked": "stayed locked by another program for {timeout:g} s; wait for that program or stop it",
    "not a database": NO_DATABASE,
    "malformed": "is damaged; restore a copy of it, or move it away and import again",
    "readonly": "cannot be written; give a place you may write to",
    "unable to open": "cannot be opened; give the path of a file in a folder you may write to",
    "is full": "cannot grow because the disk is full; free some space and run the same command again",
    "disk i/o error": "cannot be read or written (disk error); check the disk and its free space",
}


_CREATING = 201_2021  # the advisory lock of who makes tables


class Database:
    """An opened database: ``reading()`` and ``writing()`` give a connection inside one transaction.

    ``location`` is a path (SQLite; missing folders are made) or a URL of SQLite or PostgreSQL.
    ``timeout`` is how many seconds to wait for another writer. Raises UserError when it cannot be opened,
    is no database of metad2a or comes from a newer version. One of an older version is upgraded, which is logged;
    of an SQLite file a copy is made first. An SQLite file with ``?mode=ro`` behind its URL, or in a folder that may
    not be written, is only read: ``reads_only``.
    """

    def __init__(self, location: str | Path, *, timeout: float) -> None:
        url = url_of(location)
        file = url.database if url.drivername == "sqlite" else None
        self.place = file or url.render_as_string(hide_password=True)
        self.timeout = timeout
        self.reads_only = file is not None and bool(url.query)
        self.engine = engine_of(url, timeout)
        with self._explained():
            try:
                self._begin(file)
            except BaseException:
                self.engine.dispose()
                raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that sees one state of the database and does not hinder a writer."""
        with self._explained(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that takes the write lock at its start and is written as a whole or not at all."""
        if self.reads_only:
            raise UserError(
                f"{self.place} is only read, for its URL says mode=ro or its folder may not be written; "
                "give a database you may write to"
            )
        with (
            self._explained(),
            self.engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    def insert_new(self, connection: Connection, table: Table, rows: list[dict[str, object]]) -> int:
        """Insert the rows whose primary key is not there yet and return how many these were."""
        if not rows:
            return 0
        insert = postgresql.insert if self.engine.dialect.name == "postgresql" else sqlite.insert
        statement = insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
        return connection.execute(statement, rows).rowcount

    def create_missing(self, connection: Connection, metadata: MetaData) -> None:
        """Makes the tables that are not there; of processes that do so at once one waits for the other."""
        if self.engine.dialect.name == "postgresql":  # whose writers do not exclude each other
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_CREATING})"))
        metadata.create_all(connection)

    def check_writable(self) -> None:
        """Raises UserError where nothing can be written, before there is anything to write."""
        with self.writing() as connection:
            self.insert_new(connection, VERSIONS, [{"version": SCHEMA_VERSION}])  # it is there already

    def _begin(self, file: str | None) -> None:
        """Opens it, as it stands where a file of SQLite's can neither be written nor have others made beside it."""
        try:
            self._prepare()
        except (UserError, sqlite3.DatabaseError) as error:
            hindered = any(part in str(error.__cause__ or error) for part in ("readonly", "unable to open"))
            if not hindered or not file or not os.path.isfile(file) or os.path.exists(f"{file}-wal"):
                raise
            self.engine.dispose()
            self.engine, self.reads_only = engine_of_still(file, self.timeout), True
            self._prepare()

    def _prepare(self) -> None:
        with self.reading() as connection:
            tables = inspect(connection).get_table_names()
            version = connection.scalar(select(VERSIONS.c.version)) if VERSIONS.name in tables else None
            narrow = version is not None and self._is_narrow(connection)
        if version is None and tables:
            raise UserError(
                f"{self.place} belongs to another program (it has a table {tables[0]!r}); "
                "give metad2a a database of its own"
            )
        if version is not None and version > SCHEMA_VERSION:
            raise UserError(
                f"{self.place} was written by a newer metad2a (schema {version} > {SCHEMA_VERSION}); upgrade metad2a"
            )
        if self.reads_only:
            if version != SCHEMA_VERSION:
                lacks = "holds nothing of metad2a yet" if version is None else f"is of an older version ({version})"
                raise UserError(f"{self.place} {lacks}, and is only read here; open it once where it may be written")
            return
        if self.engine.dialect.name == "sqlite":
            self._write_ahead()
        if version is None:
            with self.writing() as connection:  # another process may be first: all of this tolerates that
                self.create_missing(connection, METADATA)
                self.insert_new(connection, VERSIONS, [{"version": SCHEMA_VERSION}])
        elif version < SCHEMA_VERSION:
            self._upgrade()
        if narrow:
            with self.writing() as connection:
                connection.execute(text(f"ALTER TABLE {RECORDS.name} ALTER COLUMN seed TYPE BIGINT"))

    def _is_narrow(self, connection: Connection) -> bool:
        """Whether seeds have 32 bits, as PostgreSQL's had at first: too few for all that may be given.

        Files of SQLite never were so: that is why it is no version of its own.
        """
        if self.engine.dialect.name != "postgresql":
            return False
        kinds = {each["name"]: each["type"] for each in inspect(connection).get_columns(RECORDS.name)}
        return not isinstance(kinds["seed"], BigInteger)

    def _upgrade(self) -> None:
        """Brings the tables of an older version up to date, all or nothing, while nobody else writes."""
        with self.writing() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(text(f"LOCK TABLE {VERSIONS.name} IN ACCESS EXCLUSIVE MODE"))
            version = connection.scalar(select(VERSIONS.c.version)) or SCHEMA_VERSION
            if version >= SCHEMA_VERSION:
                return  # another process was first
            copy = copy_file(self.engine, version=version) if self.engine.dialect.name == "sqlite" else None
            apply_steps(connection, since=version, to=SCHEMA_VERSION)
            connection.execute(update(VERSIONS).values(version=SCHEMA_VERSION))
        kept = f"a copy of it as it was is {copy}" if copy else "all or nothing, so no copy was made"
        logger.warning("%s was upgraded from schema %d to %d; %s", self.place, version, SCHEMA_VERSION, kept)

    def _write_ahead(self) -> None:
        """Let readers and a writer work at once; SQLite does not always wait for this switch by itself."""
        deadline = time.monotonic() + self.timeout
        while True:
            pooled = self.engine.raw_connection()
            try:
                pooled.cursor().execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            finally:
                pooled.close()
            time.sleep(0.02)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (DatabaseError, sqlite3.DatabaseError) as error:
            mistaken = "invalid connection option" in str(error)  # behind the URL of PostgreSQL
            if type(error).__name__ not in ("DatabaseError", "OperationalError") and not mistaken:
                raise  # a broken constraint or statement is our mistake, not the user's
            reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
            advice = next(
                (text for part, text in _ADVICE.items() if part in reason.lower()),
                f"cannot be used: {reason}",
            )
            raise UserError(f"{self.place} {advice.format(timeout=self.timeout)}") from error
