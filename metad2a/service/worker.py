"""The worker: takes jobs from the queue and runs each as a child process that dies with it.

DBOS keeps what is to be done through any crash. It does not notice that another worker died, so each worker shows a
sign of life every other second, and looks for jobs of those that show none.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from contextlib import suppress

from dbos import DBOS, DBOSClient, DBOSConfig
from sqlalchemy import delete, insert, select, update

from databases.errors import UserError
from databases.records.connection import Database
from metad2a.service import jobs
from metad2a.service.queueing import APPLICATION, JOB_FORMAT, QUEUE, WORKFLOW
from metad2a.service.running import run_job
from metad2a.service.settings import Settings
from metad2a.service.tables import WORKERS, dbos_url, open_database

logger = logging.getLogger("metad2a")
_BEAT = 2.0  # seconds between signs of life, and between looks for jobs of the dead


class Worker:
    """One worker process; `run` returns when it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.database = open_database(settings.database)
        self.stopping = threading.Event()
        self._beating_since: float | None = None

    def run(self) -> None:
        """Works until `stop`; what runs then is left to go on elsewhere, or here after the next start."""
        url = dbos_url(self.database)
        config = DBOSConfig(
            name=APPLICATION,
            system_database_url=url,
            application_version=JOB_FORMAT,
            executor_id=self.id,
            log_level="CRITICAL",
        )
        self.beat()
        DBOS(config=config)

        @DBOS.step(name=WORKFLOW)
        def step(job: str) -> None:
            run_job(self.settings, self.database, job, owner=self.id, stopping=self.stopping)

        @DBOS.workflow(name=WORKFLOW)
        def workflow(job: str) -> None:
            step(job)

        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=self.settings.jobs, polling_interval_sec=1.0)
        client = DBOSClient(system_database_url=url, application_name=APPLICATION, retry_connection_errors=False)
        logger.warning("worker %s takes jobs", self.id)
        while not self.stopping.wait(_BEAT):
            try:
                self.beat()
                self.sweep(client)
            except Exception as problem:  # the database is away: it may come back
                self._beating_since = None
                logger.warning("the database cannot be used (%s): trying again", _line(problem))

    def stop(self) -> None:
        """Ends all children and leaves: their jobs go on from where they were."""
        self.stopping.set()

    def leave(self) -> None:
        """Says that this worker is gone, so that its jobs need not wait for the lease to end."""
        with suppress(UserError), self.database.writing() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.id == self.id))
        with suppress(UserError):
            jobs.hand_over(self.database, self.id)

    def beat(self) -> None:
        """Shows a sign of life."""
        now = time.time()
        with self.database.writing() as connection:
            alive = update(WORKERS).where(WORKERS.c.id == self.id).values(seen=now)
            if not connection.execute(alive).rowcount:
                row = {"id": self.id, "host": socket.gethostname(), "process": os.getpid(), "seen": now}
                connection.execute(insert(WORKERS).values(row))
        self._beating_since = self._beating_since or now

    def sweep(self, client: DBOSClient) -> None:
        """Puts jobs of workers that are gone back into the queue."""
        pending = client.list_workflows(status="PENDING", queue_name=QUEUE, load_input=False, load_output=False)
        foreign = [each for each in pending if each.executor_id != self.id]
        if not foreign:
            return
        alive = self._alive()
        if self.id != min(alive, default=self.id):
            return  # one worker sweeps: two would take a job from each other
        for each in foreign:
            if each.executor_id not in alive:
                jobs.give_up(self.database, each.workflow_id, each.executor_id or "")
                client.resume_workflow(each.workflow_id, queue_name=QUEUE)
                logger.warning("job %s of %s, which is gone, is queued again", each.workflow_id, each.executor_id)

    def _alive(self) -> set[str]:
        """The workers that may still be at work, and those that cannot be judged yet."""
        now, here = time.time(), socket.gethostname()
        with self.database.reading() as connection:
            rows = connection.execute(select(WORKERS)).all()
        # After an outage of the database nobody's sign of life is fresh: give everybody a lease's time.
        judging = self._beating_since is not None and now - self._beating_since > self.settings.lease
        alive, gone = set(), []
        for row in rows:
            dead = not _runs(row.process) if row.host == here else False
            if dead or (judging and now - row.seen > self.settings.lease):
                gone.append(row.id)
            else:
                alive.add(str(row.id))
        if gone:
            with self.database.writing() as connection:
                connection.execute(delete(WORKERS).where(WORKERS.c.id.in_(gone)))
        return alive


def alive_workers(database: Database, lease: float) -> int:
    """How many workers showed a sign of life within the lease."""
    with database.reading() as connection:
        rows = connection.execute(select(WORKERS.c.id).where(WORKERS.c.seen > time.time() - lease)).all()
    return len(rows)


def work(settings: Settings) -> None:
    """Runs a worker in this process until SIGTERM or SIGINT."""
    worker = Worker(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    try:
        worker.run()
    finally:
        worker.leave()
    os._exit(0)  # DBOS's threads hold steps that shall not end: their jobs are somebody else's now


def _runs(process: int) -> bool:
    """Whether a process of this machine is there (and no corpse)."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not os.path.isdir("/proc")


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())[:160]
