"""A real MLflow server with a registry, on a free port of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from service_process import free_port, until

# no telemetry, and none of the seven processes that would wait for jobs of language models
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
# `mlflow server`, which serves in this process: the one that it would start imports everything once more
SERVER = """
import os, mlflow.server, uvicorn
from mlflow.cli import cli
def serve(command, *, extra_env, **options):
    os.environ.update(extra_env)
    uvicorn.main(command[3:])  # after: python -m uvicorn
mlflow.server._exec_cmd = serve
cli()
"""


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Its address; SQLite and artifacts are in ``folder``, what it says in ``mlflow.log`` there."""
    address, server = start(folder)
    try:
        yield address
    finally:
        end(server)


def start(folder: Path, port: int | None = None) -> tuple[str, subprocess.Popen[bytes]]:
    """The address and the process of a server that answers."""
    address = f"http://127.0.0.1:{port or free_port()}"
    store = ["--backend-store-uri", f"sqlite:///{folder / 'tracking.db'}", "--artifacts-destination", str(folder / "a")]
    place = ["--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--workers", "1"]
    with (folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, "server", *store, *place],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **QUIET},
            start_new_session=True,
        )
    try:
        until(lambda: _answers(address), seconds=180, what="MLflow's server")
    except AssertionError:
        end(server)
        raise
    return address, server


def end(server: subprocess.Popen[bytes]) -> None:
    """Ends a server and its workers."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(server.pid, kind)
            server.wait(10)


def _answers(address: str) -> bool:
    try:
        with urlopen(f"{address}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
