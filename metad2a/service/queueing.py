"""The web process's side of the queue: a job's row and its place in DBOS's queue are written together or not at all."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from dbos import DBOS, DBOSClient, EnqueueOptions, WorkflowSerializationFormat
from sqlalchemy import select

from databases.records.connection import Database
from metad2a.service import jobs
from metad2a.service.jobs import Job, Kind
from metad2a.service.tables import JOBS, dbos_url

QUEUE, WORKFLOW, APPLICATION = "jobs", "job", "metad2a"
JOB_FORMAT = "1"  # of a job's options: DBOS gives jobs to workers that know the same format only


class Queue:
    """Puts jobs into the queue of one database, and takes them out again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        DBOS.migrate(dbos_url(database))
        self._client = DBOSClient(system_database_url=dbos_url(database), application_name=APPLICATION)

    def put(
        self,
        kind: Kind,
        dataset: str | None,
        options: Mapping[str, Any],
        *,
        priority: int,
        key: str | None = None,
        owner: str = "",
    ) -> tuple[Job, bool]:
        """Accepts a job; whether it is new comes with it.

        ``key`` is an idempotency key of ``owner``: given again, the same request is answered by the same job, and
        another one, or of another priority, is a problem.
        """
        name = secrets.token_hex(16) if key is None else hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()[:32]
        row = jobs.new_row(name, kind, dataset, options, priority=priority)
        with self._database.writing() as connection:
            new = bool(self._database.insert_new(connection, JOBS, [row]))
            known = connection.execute(select(JOBS.c.digest, JOBS.c.priority).where(JOBS.c.id == name)).one()
            if tuple(known) != (row["digest"], priority):
                from metad2a.service.problems import Problem  # workers, which put nothing, are spared fastapi

                raise Problem(422, "this Idempotency-Key came with another request before: give a new one")
            if new:
                asked: EnqueueOptions = {
                    "workflow_name": WORKFLOW,
                    "queue_name": QUEUE,
                    "workflow_id": name,
                    "priority": priority,
                    "app_version": JOB_FORMAT,
                    "serialization_type": WorkflowSerializationFormat.PORTABLE,
                }
                self._client.enqueue_in_transaction(connection, asked, name)
        job = jobs.find(self._database, name)
        assert job is not None
        return job, new

    def cancel(self, key: str) -> bool:
        """Cancels a job that is live; its worker kills what runs."""
        ended = jobs.cancel(self._database, key)
        if ended:
            self._client.cancel_workflow(key)
        return ended

    def close(self) -> None:
        """Gives the connections back."""
        self._client.destroy()
