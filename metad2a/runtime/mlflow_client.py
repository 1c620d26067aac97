"""MLflow's client: opened once, told to be quick and quiet; what dead processes left running is closed."""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from databases.files import replace_file
from metad2a.runtime.home import home
from metad2a.runtime.lock import hold

if TYPE_CHECKING:
    from mlflow import MlflowClient


logger = logging.getLogger("metad2a")
EXPERIMENT = "metad2a"
PLACES = (  # table and column of MLflow's, wherever a file of ours is named
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
# Read by MLflow; a value that the user has set stays. Without them a dead server holds a run up for minutes.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # migrations are no news to our user, and failures are told by us
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout belongs to --json
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def prepare_environment() -> None:
    """Settles how MLflow behaves in this process; to be called before it is imported."""
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)


def open_client(uri: str | None) -> tuple[MlflowClient, str]:
    """The client and the id of our experiment, both made on demand."""
    prepare_environment()
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        return _connect(uri, None)
    folder = home()
    # two processes that make MLflow's tables at once break each other
    lock = hold(folder / "mlflow.lock", patience=math.inf)
    artifacts, database = (folder.absolute() / "mlartifacts").as_uri(), folder / "mlflow.db"
    try:
        if not _is_whole(database):
            _make(database, artifacts)
        opened = _connect(file_url(database), artifacts)
        _bring_along(database, opened[1], artifacts)
        return opened
    finally:
        lock.release()


def _is_whole(database: Path) -> bool:
    """Whether MLflow's tables are all there: it adds its first experiment when they are."""
    if not database.exists():
        return False
    with closing(sqlite3.connect(database)) as connection:
        try:
            return connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
        except sqlite3.OperationalError as problem:  # such as a database that is locked
            return "no such table" not in str(problem)
        except sqlite3.DatabaseError:  # no database at all
            return False


def _make(database: Path, artifacts: str) -> None:
    """Makes MLflow's tables in a draft: killed halfway in the database itself, they could never be completed.

    What stands in its place holds no run; it is moved aside all the same.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if database.exists():
        aside = next(each for n in count(1) if not (each := database.with_name(f"{database.name}.broken-{n}")).exists())
        database.rename(aside)
        logger.warning("%s was not whole: it is %s now, and a new one is made", database, aside.name)
    draft = database.with_name(f"{database.name}.draft")
    for each in (draft, draft.with_name(f"{draft.name}-journal")):  # of a process that was killed
        each.unlink(missing_ok=True)
    SqlAlchemyStore(file_url(draft), artifacts).engine.dispose()  # type: ignore[no-untyped-call]
    replace_file(draft, database)


def _bring_along(database: Path, experiment: str, artifacts: str) -> None:
    """Makes a home that was moved or copied its own: MLflow keeps whole URLs, and none can be changed by its client."""
    with closing(sqlite3.connect(database)) as connection, connection:
        asked = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
        old = connection.execute(asked, (experiment,)).fetchone()[0]
        if old == artifacts:
            return
        for table, column in PLACES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, length(?) + 1) "
                f"WHERE {column} = ? OR substr({column}, 1, length(?) + 1) = ? || '/'",
                (artifacts, old, old, old, old),
            )


def file_url(path: Path) -> str:
    """The URL of a SQLite database, whose path may hold what means something in a URL.

    MLflow makes a folder of what follows sqlite:/// as it stands there; with the driver's name it does not.
    """
    from sqlalchemy.engine import URL

    driver = "sqlite" if str(path) in URL.create("sqlite", database=str(path)).render_as_string() else "sqlite+pysqlite"
    return URL.create(driver, database=str(path)).render_as_string(hide_password=False)


def close_abandoned(client: MlflowClient, place: str) -> None:
    """Mark as KILLED what processes of this machine left RUNNING that are gone."""
    wanted = f"attributes.status = 'RUNNING' and tags.host = '{gethostname()}'"
    for each in client.search_runs([place], wanted):
        try:
            os.kill(int(each.data.tags["process"]), 0)  # asks only whether it is there
        except ProcessLookupError:
            client.set_terminated(each.info.run_id, "KILLED")
        except PermissionError:  # another user's, so it is there
            pass


@contextmanager
def quietly() -> Iterator[None]:
    """What MLflow and urllib3 tell at length goes unmentioned, whoever imported them first: the one warning is ours.

    Within, their loggers are as strict as `ENVIRONMENT` or the user's own variable says; afterwards as before.
    """
    prepare_environment()
    strict = {"urllib3.connectionpool": "ERROR"}
    if "mlflow" in sys.modules:  # it sets its level when it is imported, by the same variable
        strict["mlflow"] = os.environ["MLFLOW_LOGGING_LEVEL"].upper()
    before = {logging.getLogger(name): logging.getLogger(name).level for name in strict}
    try:
        for each, level in zip(before, strict.values(), strict=True):
            each.setLevel(level)
        yield
    finally:
        for each, old in before.items():
            each.setLevel(old)


def _connect(uri: str, artifacts: str | None) -> tuple[MlflowClient, str]:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    if not uri.startswith("http"):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = 1  # ten by default: a minute and a half for a database that cannot be opened
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        try:
            return client, client.create_experiment(EXPERIMENT, artifacts)
        except MlflowException:  # another process was faster
            experiment = client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                raise
    return client, experiment.experiment_id
