"""`metad2a serve`, `worker` and `token ...`: the service for a team."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from databases.errors import UserError
from databases.paths import real_path
from metad2a.cli.options import DatabaseUrl, Json, NoTracking
from metad2a.cli.output import console, print_json, table
from metad2a.runtime.home import DATABASE, home_to_read

if TYPE_CHECKING:
    from databases.records.connection import Database
    from metad2a.service.settings import Settings
    from metad2a.service.tokens import Token

tokens = typer.Typer(help="Bearer tokens of the service: make one, list them, revoke one.")
Jobs = Annotated[int, typer.Option("--jobs", min=1, max=64, help="How many jobs the worker runs at once.")]
JobMemory = Annotated[
    int | None, typer.Option("--job-memory", metavar="MIB", min=512, help="Memory of one job.", show_default="no limit")
]


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on; others than this machine need tokens.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 8000,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A further host name by which the service may be called.")
    ] = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run a worker beside the pages.")] = True,
    jobs: Jobs = 1,
    job_memory: JobMemory = None,
    max_upload: Annotated[int, typer.Option("--max-upload", metavar="MIB", min=1, help="Largest dataset.")] = 1024,
    database: DatabaseUrl = None,
    no_tracking: NoTracking = False,
) -> None:
    """Serve pages and an HTTP API over recommend, search, train and retrain; jobs survive crashes."""
    from dataclasses import replace

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # fifty clients' threads would fight over two cores
    from metad2a.service.serving import serve as run
    from metad2a.service.settings import MEBIBYTE

    settings = _settings(database, no_tracking, jobs, job_memory)
    limits = replace(settings.limits, upload_bytes=max_upload * MEBIBYTE)
    settings = replace(settings, host=host, port=port, names=tuple(name or ()), limits=limits)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    run(settings, worker=worker)


def worker(
    jobs: Jobs = 1,
    job_memory: JobMemory = None,
    database: DatabaseUrl = None,
    no_tracking: NoTracking = False,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", hidden=True, help="End with the process that began this one.")
    ] = False,
) -> None:
    """Take jobs from the service's queue. Start as many as you like, on machines that share home and database."""
    from metad2a.service.children import end_with_parent, settings_of_parent
    from metad2a.service.worker import work

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    if with_parent:
        settings = settings_of_parent()
        end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    else:
        settings = _settings(database, no_tracking, jobs, job_memory)
    work(settings)


@tokens.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is.")],
    database: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Make a token. It is shown once; only its sha256 is kept."""
    from metad2a.service import tokens as kept

    token = kept.create(_open(database), name)
    if json:
        print_json({"token": token})
    else:
        print(token)


@tokens.command("list")
def list_tokens(database: DatabaseUrl = None, json: Json = False) -> None:
    """Show the tokens' ids, names and when they were last used."""
    from metad2a.service.schemas import stamp

    found = _tokens(database)
    rows = [(each.id, each.name, stamp(each.created), stamp(each.used), stamp(each.revoked)) for each in found]
    if json:
        names = ("id", "name", "created", "used", "revoked")
        print_json({"tokens": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    headings = ("Id", "Name", "Created", "Last used", "Revoked")
    console().print(table(None, headings, [[value or "-" for value in row] for row in rows]))


@tokens.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="As token list shows it.")],
    database: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Answer no request with this token from now on."""
    from metad2a.service import tokens as kept

    kept.revoke(_open(database), key)
    if json:
        print_json({"revoked": key})
    else:
        console().print(f"token {key} is revoked")


def _settings(database: str | None, no_tracking: bool, jobs: int, job_memory: int | None) -> Settings:
    try:
        from metad2a.service.settings import MEBIBYTE, Settings
    except ModuleNotFoundError as error:
        raise UserError(f"the service needs the package {error.name}: install metad2a again") from error
    memory = None if job_memory is None else job_memory * MEBIBYTE
    settings = Settings(jobs=jobs, job_bytes=memory, tracking=not no_tracking)
    if database is None:
        return settings
    from dataclasses import replace

    location = database if "://" in database else str(real_path(database))
    return replace(settings, database=location)


def _tokens(database: str | None) -> list[Token]:
    """All tokens; whoever only looks makes neither a database nor tables."""
    from databases.records.connection import Database
    from metad2a.service import tokens as kept
    from metad2a.service.settings import usual_database
    from metad2a.service.tables import PATIENCE

    named = database or os.environ.get("METAD2A_DATABASE")
    if not named and not (home_to_read() / DATABASE).is_file():
        return []
    return kept.tokens(Database(named or usual_database(), timeout=PATIENCE))


def _open(database: str | None) -> Database:
    from metad2a.service.settings import usual_database
    from metad2a.service.tables import open_database

    return open_database(database or usual_database())
