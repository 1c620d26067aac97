"""Jobs for the machines of a cluster: apart from the tests, so that a machine need not import what these do."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from databases.errors import UserError

LET_GO = "let-go"  # file beside the jobs' folders


def where(job: tuple[str, bool]) -> tuple[str, str, str | None]:
    """Says on which machine it begins, and may stay there until it is let go."""
    import ray

    folder, stays = job
    machine = ray.get_runtime_context().get_node_id()
    Path(folder, f"{machine}-{os.getpid()}").touch()
    while stays and not Path(folder).with_name(LET_GO).exists():
        time.sleep(0.05)
    return Path(folder).name, machine, os.environ.get("OMP_NUM_THREADS")


def broken(number: int) -> int:
    """Fails for two."""
    if number == 2:
        raise UserError("two is too many")
    return number


def deadly(number: int) -> int:
    """Ends its process for two."""
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
