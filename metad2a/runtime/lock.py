"""Locks between processes, which the system gives back however their holder ends."""

from __future__ import annotations

import math
import os
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout


class Held(Exception):
    """Another holder has the lock: ``process`` is its id, where that can be told."""

    def __init__(self, process: str) -> None:
        super().__init__(process)
        self.process = process


def hold(path: Path, *, patience: float) -> BaseFileLock:
    """Takes the lock within ``patience`` seconds, to be given back by its ``release()``.

    The holder's process id stands in a file beside it: the lock's own file cannot be read on every system.

    Raises:
        Held: another still has it then.
    """
    lock, beside = (
        FileLock(path, timeout=-1 if patience == math.inf else patience),
        path.with_name(f"{path.name}.holder"),
    )
    try:
        lock.acquire()
    except Timeout:
        process = beside.read_text(encoding="ascii", errors="replace").strip() if beside.is_file() else ""
        raise Held(process or "unknown") from None
    try:
        beside.write_text(f"{os.getpid()}\n", encoding="ascii")
    except BaseException:
        lock.release()
        raise
    return lock
