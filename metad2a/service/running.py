"""Runs one job as a child process, and writes how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from databases.errors import UserError
from databases.records.connection import Database
from metad2a.service import jobs
from metad2a.service.children import start_child
from metad2a.service.jobs import Job
from metad2a.service.settings import Settings

OUTCOME, LOG = "outcome.json", "job.log"
NO_MEMORY = "memory ran out: take a smaller recipe, or give jobs more memory"
NO_ROOM = "the disk is full: make room, then ask again"
NO_ROOM_STATUS = 75  # of a child that could not even write that
_LOOK = 0.5  # seconds between looks at the job's row
_LONGEST_OUTAGE = 3600.0
Value = TypeVar("Value")


def run_job(settings: Settings, database: Database, key: str, *, owner: str, stopping: threading.Event) -> None:
    """Runs a job to its end, unless it has ended, is somebody else's, or the worker stops."""
    job = patiently(lambda: jobs.begin(database, key, owner))
    if job is None:
        return
    outcome = _finished(settings, job)
    if outcome is None:
        outcome = _child(settings, database, job, owner=owner, stopping=stopping)
    if outcome is not None:
        told = outcome
        patiently(lambda: jobs.end(database, key, owner, **told))
    while stopping.is_set():  # returning would tell DBOS that the job has ended; this process is about to
        time.sleep(_LOOK)


def patiently(action: Callable[[], Value]) -> Value:
    """Does what needs the database, however long that is away (an hour at most)."""
    deadline = time.monotonic() + _LONGEST_OUTAGE
    while True:
        try:
            return action()
        except UserError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def _finished(settings: Settings, job: Job) -> dict[str, Any] | None:
    """What the job's child left, where it ended and its worker died before that was written."""
    try:
        told: dict[str, Any] = json.loads((settings.run_folder(job.id) / OUTCOME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told


def _child(
    settings: Settings, database: Database, job: Job, *, owner: str, stopping: threading.Event
) -> dict[str, Any] | None:
    """Runs the child; how the job ended, None where that is not for this worker to say."""
    folder = settings.run_folder(job.id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("ab") as log:
            process = _start(settings, job, owner, log)
    except OSError as problem:
        return {"state": "failed", "reason": f"the job cannot be started ({problem.strerror}): make room or memory"}
    try:
        while process.poll() is None:
            if stopping.wait(_LOOK) or not _owned(database, job.id, owner):
                return None
    finally:
        _end(process)
    if stopping.is_set():
        return None
    return _finished(settings, job) or {
        "state": "failed",
        "reason": _why(process.returncode, folder / LOG, settings.job_bytes),
    }


def _start(settings: Settings, job: Job, owner: str, log: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "metad2a.service.job", job.id, owner]
    return start_child(command, settings, stdout=log, stderr=log, start_new_session=True)


def _owned(database: Database, key: str, owner: str) -> bool:
    """Whether the job is still this worker's; also while the database cannot say."""
    try:
        return jobs.still_owned(database, key, owner)
    except UserError:
        return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the child's group is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def lacks_memory(words: str) -> bool:
    """Whether memory ran out: torch's allocator, the loader of libraries and Python all say so in other words."""
    return any(each in words.lower() for each in ("memory", "failed to map segment"))


def _why(status: int, log: Path, limit: int | None = None) -> str:
    """Why a job's process ended by itself; within a ``limit`` of memory libraries die of not getting any."""
    if status == NO_ROOM_STATUS:
        return NO_ROOM
    if status < 0:
        name = signal.Signals(-status).name
        short = {signal.SIGKILL} if limit is None else {signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT}
        memory = ", most likely because memory ran out: take a smaller recipe or a machine with more"
        return f"the training was ended by the system ({name}){memory if -status in short else ''}"
    lines: list[str] = []
    with suppress(OSError):
        lines = [each for each in log.read_text(encoding="utf-8", errors="replace").splitlines() if each.strip()]
    if lines and lacks_memory(lines[-1]):
        return NO_MEMORY
    return f"this is a mistake of ours: {lines[-1][:200] if lines else f'status {status}'} (job.log tells more)"
