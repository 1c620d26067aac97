"""The service's tables, which stand beside tasks and records in the same database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text

from databases.records.connection import Database

METADATA = MetaData()
PATIENCE = 30.0  # seconds to wait for another writer
TOKENS = Table(
    "service_tokens",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),  # sha256 of the secret
    Column("created", Float, nullable=False),
    Column("used", Float),
    Column("revoked", Float),
)
DATASETS = Table(
    "service_datasets",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created", Float, nullable=False),
    Column("summary", Text, nullable=False),  # JSON
)
JOBS = Table(
    "service_jobs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("dataset", Text),
    Column("options", Text, nullable=False),  # JSON
    Column("digest", Text, nullable=False),  # of the request, for idempotency keys
    Column("priority", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("attempts", Integer, nullable=False),
    Column("owner", Text),  # the worker that runs it: no other may write its end
    Column("reason", Text),
    Column("result", Text),  # JSON
    Index("service_jobs_by_time", "created", "id"),
)
PROGRESS = Table(
    "service_progress",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("job", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("data", Text, nullable=False),  # JSON
    Index("service_progress_by_job", "job", "seq"),
    sqlite_autoincrement=True,  # a number is never used twice: it is the id of an event
)
WORKERS = Table(
    "service_workers",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("process", Integer, nullable=False),
    Column("seen", Float, nullable=False),
)


def open_database(location: str) -> Database:
    """The database with the store's tables and the service's; raises UserError where it cannot be written."""
    database = Database(location, timeout=PATIENCE)
    with database.writing() as connection:
        database.create_missing(connection, METADATA)
    return database


def dbos_url(database: Database) -> str:
    """The same database, as DBOS wants to be told."""
    return database.engine.url.render_as_string(hide_password=False)
