"""Child processes that die with their parent, and are told their settings where no other user can read them."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from metad2a.service.settings import Allowances, Settings


def start_child(command: list[str], settings: Settings, **options: Any) -> subprocess.Popen[bytes]:
    """Starts a child with its settings on the first line of its standard input, which stays open.

    When this process dies, however it does, the child reads the end of that pipe. (The database's URL may hold a
    password: command lines and environments can be read by others.)
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, **options)
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(asdict(settings), default=str).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it died at once: whoever waits for it will see that
    return process


def settings_of_parent() -> Settings:
    """The settings that `start_child` sent."""
    line = b""
    while not line.endswith(b"\n"):  # not by sys.stdin: its buffer would keep what comes after
        byte = os.read(0, 1)
        if not byte:
            os._exit(1)
        line += byte
    told = json.loads(line)
    paths = {name: Path(told[name]) for name in ("folder", "runs")}
    return Settings(**{**told, **paths, "names": tuple(told["names"]), "limits": Allowances(**told["limits"])})


def end_with_parent(end: Callable[[], object] = lambda: os._exit(1)) -> None:
    """Calls ``end`` when the parent's end of the pipe closes."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        end()

    threading.Thread(target=wait, daemon=True).start()


def limit_memory(size: int, *, seconds: int | None = None) -> None:
    """Bounds the bytes of this process, and its seconds of processor time, where the system can."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    if seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
