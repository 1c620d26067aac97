"""`metad2a serve`: the web process here, a worker beside it that is started again when it dies."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

from databases.errors import UserError
from metad2a.service import tokens
from metad2a.service.children import start_child
from metad2a.service.settings import Settings
from metad2a.service.tables import open_database

logger = logging.getLogger("metad2a")
_LONGEST_PAUSE = 30.0
_STOPPING = 10.0


class Workers:
    """The worker process that belongs to a web process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Starts the worker, and a thread that starts it again when it dies."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the worker in good order; it is killed after ten seconds."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOPPING)
                return
            process.kill()

    def _watch(self) -> None:
        pause = 0.5
        while not self._stopping.is_set():
            begun = time.monotonic()
            command = [sys.executable, "-m", "metad2a", "worker", "--with-parent"]
            self._process = start_child(command, self._settings)
            status = self._process.wait()
            if self._stopping.is_set():
                return
            sound = status < 0 or time.monotonic() - begun > _LONGEST_PAUSE  # killed, or broken after a while
            pause = 0.5 if sound else min(2 * pause, _LONGEST_PAUSE)
            logger.warning("the worker ended (status %s): started again in %.1f s", status, pause)
            self._stopping.wait(pause)


def check_binding(settings: Settings) -> None:
    """Refuses to listen to other machines while nobody has a token."""
    if settings.local:
        return
    database = open_database(settings.database)
    try:
        if not tokens.any_valid(database):
            raise UserError(
                f"--host {settings.host} lets other machines in, and there is no token yet: "
                "run `metad2a token create NAME` first, or keep to 127.0.0.1"
            )
    finally:
        database.engine.dispose()


def listen(settings: Settings) -> socket.socket:
    """Takes the service's address; raises UserError where it cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except (OSError, UnicodeError) as problem:
        reason = (getattr(problem, "strerror", None) or "no name of a host").partition(" (")[0]
        raise UserError(
            f"--host {settings.host} --port {settings.port} cannot be listened on ({reason}): give another one"
        ) from problem


def serve(settings: Settings, *, worker: bool) -> None:
    """Serves until SIGTERM or SIGINT, with a worker beside it or without."""
    import uvicorn

    from metad2a.service.app import create_app

    check_binding(settings)
    listening = listen(settings)
    settings.uploads.mkdir(parents=True, exist_ok=True)
    import tempfile

    tempfile.tempdir = str(settings.uploads)  # uploads are spooled to the disk that has room for data
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
        server_header=False,
        h11_max_incomplete_event_size=64 * 1024,
    )
    beside = Workers(settings) if worker else None
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    logger.warning("metad2a serves http://%s:%d (stop it with Ctrl-C)", name, listening.getsockname()[1])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn stops by its own handlers, then raises the signal once more
    if beside is not None:
        beside.start()
    try:
        asyncio.run(uvicorn.Server(config).serve([listening]))
    finally:
        if beside is not None:
            beside.stop()
