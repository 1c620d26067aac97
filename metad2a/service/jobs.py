"""Jobs as the database knows them: asked for, owned by one worker at a time, ended once.

DBOS keeps the queue; the rows here say what a job is and how it went. A worker that lost a job (it froze and another
took over) can no longer write its end: every change names the owner.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import Row, func, insert, select, tuple_, update

from databases.records.connection import Database
from metad2a.service.tables import JOBS, PROGRESS

Kind = Literal["search", "training", "retraining"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
LIVE: tuple[State, ...] = ("queued", "running")
MOST_ATTEMPTS = 3


@dataclass(frozen=True)
class Job:
    """One job; times are seconds since 1970, ``reason`` says why it did not succeed."""

    id: str
    kind: Kind
    state: State
    dataset: str | None
    options: dict[str, Any]
    digest: str
    priority: int
    created: float
    started: float | None
    finished: float | None
    attempts: int
    owner: str | None
    reason: str | None
    result: dict[str, Any] | None

    @property
    def done(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in LIVE


@dataclass(frozen=True)
class Event:
    """One line of a job's progress; ``seq`` is its id."""

    seq: int
    event: str
    data: dict[str, Any]


def digest_of(kind: Kind, dataset: str | None, options: Mapping[str, Any]) -> str:
    """What is the same for the same request only."""
    return hashlib.sha256(json.dumps([kind, dataset, options], sort_keys=True).encode()).hexdigest()


def new_row(
    key: str, kind: Kind, dataset: str | None, options: Mapping[str, Any], *, priority: int
) -> dict[str, object]:
    """The row of a job that was just asked for."""
    return {
        "id": key,
        "kind": kind,
        "state": "queued",
        "dataset": dataset,
        "options": json.dumps(options),
        "digest": digest_of(kind, dataset, options),
        "priority": priority,
        "created": time.time(),
        "attempts": 0,
    }


def find(database: Database, key: str) -> Job | None:
    """The job of that id."""
    with database.reading() as connection:
        row = connection.execute(select(JOBS).where(JOBS.c.id == key)).first()
    return None if row is None else _job(row)


def listed(
    database: Database,
    *,
    state: State | None = None,
    kind: Kind | None = None,
    dataset: str | None = None,
    limit: int = 50,
    after: tuple[float, str] | None = None,
) -> list[Job]:
    """Jobs, the latest first, from ``after`` (created, id) on."""
    query = select(JOBS).order_by(JOBS.c.created.desc(), JOBS.c.id.desc()).limit(limit)
    for name, value in (("state", state), ("kind", kind), ("dataset", dataset)):
        if value is not None:
            query = query.where(JOBS.c[name] == value)
    if after is not None:
        query = query.where(tuple_(JOBS.c.created, JOBS.c.id) < tuple_(*after))
    with database.reading() as connection:
        return [_job(row) for row in connection.execute(query)]


def counts(database: Database) -> dict[str, int]:
    """How many jobs are in each state."""
    with database.reading() as connection:
        rows = connection.execute(select(JOBS.c.state, func.count()).group_by(JOBS.c.state)).all()
    found = {state: int(count) for state, count in rows}
    return {state: found.get(state, 0) for state in STATES}


def begin(database: Database, key: str, owner: str) -> Job | None:
    """Gives a live job to a worker; None where it has ended, or has been tried too often and fails by that."""
    with database.writing() as connection:
        live = (JOBS.c.id == key) & JOBS.c.state.in_(LIVE)
        row = connection.execute(select(JOBS).where(live)).first()
        if row is None:
            return None
        now = time.time()
        if row.attempts >= MOST_ATTEMPTS:
            reason = (
                f"its worker died {MOST_ATTEMPTS} times while running it: look at the workers' logs, then ask again"
            )
            connection.execute(update(JOBS).where(live).values(state="failed", reason=reason, finished=now))
            return None
        values = {"state": "running", "owner": owner, "attempts": row.attempts + 1, "started": row.started or now}
        connection.execute(update(JOBS).where(live).values(values))
        row = connection.execute(select(JOBS).where(JOBS.c.id == key)).one()
    return _job(row)


def give_up(database: Database, key: str, owner: str) -> None:
    """A running job of a worker that is gone waits for another one."""
    owned = (JOBS.c.id == key) & (JOBS.c.owner == owner) & (JOBS.c.state == "running")
    with database.writing() as connection:
        connection.execute(update(JOBS).where(owned).values(state="queued", owner=None))


def hand_over(database: Database, owner: str) -> None:
    """All running jobs of a worker that stops in good order wait for another one; that was no failed attempt."""
    owned = (JOBS.c.owner == owner) & (JOBS.c.state == "running")
    values = {"state": "queued", "owner": None, "attempts": JOBS.c.attempts - 1}
    with database.writing() as connection:
        connection.execute(update(JOBS).where(owned).values(values))


def end(
    database: Database,
    key: str,
    owner: str,
    *,
    state: State,
    reason: str | None = None,
    result: Mapping[str, Any] | None = None,
) -> bool:
    """Writes how a job ended; False where it is no longer this worker's."""
    owned = (JOBS.c.id == key) & (JOBS.c.owner == owner) & (JOBS.c.state == "running")
    text = None if result is None else json.dumps(result)
    values = {"state": state, "reason": reason, "result": text, "finished": time.time()}
    with database.writing() as connection:
        return bool(connection.execute(update(JOBS).where(owned).values(values)).rowcount)


def cancel(database: Database, key: str) -> bool:
    """Ends a job that is live; its worker sees that and stops. False where it had ended."""
    live = (JOBS.c.id == key) & JOBS.c.state.in_(LIVE)
    values = {"state": "cancelled", "reason": "cancelled", "finished": time.time()}
    with database.writing() as connection:
        return bool(connection.execute(update(JOBS).where(live).values(values)).rowcount)


def still_owned(database: Database, key: str, owner: str) -> bool:
    """Whether the job is running and this worker's."""
    owned = (JOBS.c.id == key) & (JOBS.c.owner == owner) & (JOBS.c.state == "running")
    with database.reading() as connection:
        return connection.execute(select(JOBS.c.id).where(owned)).first() is not None


def tell(database: Database, key: str, event: str, data: Mapping[str, Any]) -> None:
    """Adds a line to a job's progress."""
    with database.writing() as connection:
        connection.execute(insert(PROGRESS).values(job=key, event=event, data=json.dumps(data)))


def progress(database: Database, key: str, *, after: int = 0, limit: int = 500) -> list[Event]:
    """What a job told after the event ``after``."""
    query = select(PROGRESS.c.seq, PROGRESS.c.event, PROGRESS.c.data)
    query = query.where(PROGRESS.c.job == key, PROGRESS.c.seq > after).order_by(PROGRESS.c.seq).limit(limit)
    with database.reading() as connection:
        return [Event(row.seq, row.event, json.loads(row.data)) for row in connection.execute(query)]


def _job(row: Row[Any]) -> Job:
    values = dict(row._mapping)
    result = None if values["result"] is None else json.loads(values["result"])
    return Job(**{**values, "options": json.loads(values["options"]), "result": result})


def training_counts(database: Database) -> dict[str, int]:
    """How many trainings of all jobs went to their end, and how many were given up."""
    kinds = ("trained", "stopped")
    query = select(PROGRESS.c.event, func.count()).where(PROGRESS.c.event.in_(kinds)).group_by(PROGRESS.c.event)
    with database.reading() as connection:
        found = {event: int(count) for event, count in connection.execute(query).all()}
    return {kind: found.get(kind, 0) for kind in kinds}
