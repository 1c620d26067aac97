"""A job's own process: ``python -m metad2a.service.job JOB OWNER``, ended by its parent's end or the job's."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from databases.errors import UserError
from databases.files import write_files
from databases.hosting import own_process
from databases.usual import DEFAULT_SPACE
from metad2a.service import jobs, library, pipelines
from metad2a.service.children import end_with_parent, limit_memory, settings_of_parent
from metad2a.service.running import NO_MEMORY, NO_ROOM, NO_ROOM_STATUS, OUTCOME, lacks_memory, patiently
from metad2a.service.tables import open_database
from metad2a.service.words import as_fields

if TYPE_CHECKING:
    from databases.architectures.space import Space
    from databases.datasets.task import Task
    from databases.records.connection import Database
    from metad2a.export.export import Exported
    from metad2a.runtime.tracking import Tracker
    from metad2a.service.settings import Settings

_LOOK = 1.0


def main(key: str, owner: str) -> int:
    """Runs the job and leaves its outcome in its folder; the worker writes it into the database."""
    settings = settings_of_parent()
    end_with_parent()
    if settings.job_bytes is not None:
        limit_memory(settings.job_bytes)
    database = patiently(lambda: open_database(settings.database))
    begun = time.monotonic()  # waiting for a worker and for the database is no part of the budget
    threading.Thread(target=_end_when_taken, args=(database, key, owner), daemon=True).start()
    outcome = _outcome(settings, database, key, begun)
    try:
        write_files({settings.run_folder(key) / OUTCOME: json.dumps(outcome).encode()})
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            return NO_ROOM_STATUS
        raise
    return 0


def _outcome(settings: Settings, database: Database, key: str, begun: float) -> dict[str, Any]:
    """How the job ended. A database that goes away meanwhile costs no job: the run goes on when it is back."""
    while True:
        try:
            return {"state": "succeeded", "result": run(settings, database, key, begun)}
        except UserError as problem:
            if not _outage(problem):
                return {"state": "failed", "reason": as_fields(" ".join(str(problem).split()))}
            patiently(lambda: jobs.find(database, key))
            begun = time.monotonic()  # the run's folder knows what was spent before
        except Exception as problem:
            if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
                return {"state": "failed", "reason": NO_ROOM}
            if not lacks_memory(f"{type(problem).__name__}: {problem}"):
                raise
            return {"state": "failed", "reason": NO_MEMORY}


def _outage(problem: UserError) -> bool:
    """Whether the database could not be reached, which may change without anybody's help."""
    from sqlalchemy.exc import OperationalError

    lasting = ("disk", "written", "damaged", "not a database")
    return isinstance(problem.__cause__, OperationalError) and not any(word in str(problem) for word in lasting)


def run(settings: Settings, database: Database, key: str, begun: float) -> dict[str, Any]:
    """The job's result; raises UserError where it cannot be done."""
    from databases.architectures.spaces.pipeline import searched_space
    from databases.datasets.room import Room
    from databases.records.store import Store
    from metad2a.service import datasets, judging

    job = jobs.find(database, key)
    assert job is not None
    folder = settings.run_folder(key)

    def on_event(event: str, data: dict[str, Any]) -> None:
        with suppress(UserError):  # a database that is away costs lines of progress, never a training
            jobs.tell(database, key, event, {**data, "at": round(time.time(), 2)})

    tracker = _tracker(settings)
    with Store(settings.database) as store:
        place = library.Workplace(store, folder, settings.bases, tracker, begun)
        if job.kind == "retraining":
            return _tracked(library.retrain(job.options, place, on_event), tracker)
        dataset = None if job.dataset is None else datasets.find(database, job.dataset)
        if dataset is None:
            raise UserError("the dataset of this job is gone: upload it again")
        on_event("reading", {"attempt": job.attempts})
        chosen = searched_space(job.options.get("space") or DEFAULT_SPACE)
        path, room = str(datasets.path_of(settings, dataset)), Room(settings.folder / "pictures")
        task = library.load_data(
            path, dataset.name, seed=job.options["seed"], up_to=chosen.up_to, room=room, groups=dataset.groups
        )
        told, exported = _found(job, chosen, task, place, on_event)
        on_event("judging", {})
        told |= judging.judge(exported, task, folder)
        on_event("exporting", {})
        return _tracked(told | {"onnx": library.export_onnx(folder)}, tracker)


def _tracked(told: dict[str, Any], tracker: Tracker) -> dict[str, Any]:
    """A result with the address of its MLflow run, or a note why there is none though it was wanted."""
    notes = list(map(as_fields, told.get("notes", [])))
    if tracker.failure is not None:
        notes.append(f"MLflow could not be used, so that not all of this job is there: {tracker.failure}")
    return {**told, "notes": notes, "tracking": tracker.address()}


def _found(
    job: jobs.Job, chosen: Space, task: Task, place: library.Workplace, on_event: library.OnEvent
) -> tuple[dict[str, Any], Exported]:
    """What a search or a training found, in plain values and exported."""
    from databases.architectures.spaces.pipeline import PipelineSpace

    if isinstance(chosen, PipelineSpace):
        found = pipelines.search(task, job.options, place, on_event)
        return pipelines.summed_up(found), found.exported
    result = (library.search if job.kind == "search" else library.train)(task, job.options, place, on_event)
    return library.summed_up(result), result.exported


def _tracker(settings: Settings) -> Tracker:
    from metad2a.runtime.tracking import NullTracker, Tracker

    return Tracker() if settings.tracking else NullTracker()


def _end_when_taken(database: Database, key: str, owner: str) -> None:
    """Ends this process once the job is cancelled or another worker's: its worker may be frozen and not see it."""
    while True:
        time.sleep(_LOOK)
        with suppress(UserError):
            if not jobs.still_owned(database, key, owner):
                os._exit(1)


if __name__ == "__main__":
    own_process()
    sys.exit(main(*sys.argv[1:]))
