"""A real service in processes of its own: `metad2a serve` or its parts, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(condition: Callable[[], Any], *, seconds: float = 180.0, what: str = "it") -> Any:
    """The first true value of a condition; AssertionError when it stays false.

    It is asked the more rarely the longer it takes: each answer costs those who are waited for some of their time.
    """
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < seconds:
        if found := condition():
            return found
        time.sleep(min(0.5, 0.05 + waited / 20))
    raise AssertionError(f"waited {seconds:g} s for {what}")


class Processes:
    """A home folder and the service's processes on it; all of them are ended with the ``with`` block.

    ``tracking`` is the address of an MLflow server, by default none is used. ``onnx``: as where the extra is installed;
    without it a job is done seconds sooner.
    """

    def __init__(
        self,
        home: Path,
        *,
        database: str | None = None,
        tracking: str | None = None,
        onnx: bool = True,
    ) -> None:
        self.home, self.port = home, free_port()
        self.database, self.tracking = database, tracking
        self.address = f"http://127.0.0.1:{self.port}"
        self.started: list[subprocess.Popen[bytes]] = []
        self._path = [str(ROOT)]
        self._hidden = home / "hidden" / "onnxscript.py"
        if not onnx:
            self._path.insert(0, str(self._hidden.parent))
            self._hidden.parent.mkdir()
            self._hidden.write_text("raise ModuleNotFoundError(name=__name__)\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        for each in self.started:
            if each.poll() is None:
                each.send_signal(signal.SIGCONT)
                each.terminate()
        for each in self.started:
            try:
                each.wait(15)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()

    @contextmanager
    def exporting(self) -> Iterator[None]:
        """Jobs that begin within write ONNX too."""
        away = self._hidden.rename(self._hidden.with_suffix(".away"))
        try:
            yield
        finally:
            away.rename(self._hidden)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Runs ``metad2a ARGUMENTS`` in the background."""
        environment = {**os.environ, "METAD2A_HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(self._path)
        if self.tracking is not None:
            environment["MLFLOW_TRACKING_URI"] = self.tracking
        options = ["--no-tracking"] if self.tracking is None else []
        options += ["--database", self.database] if self.database else []
        command = [sys.executable, "-m", "metad2a", *options, *arguments]
        log = (self.home / f"log-{len(self.started)}.txt").open("wb")
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        self.started.append(process)
        return process

    def serve(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The web process (and its worker), once it answers."""
        process = self.start("serve", "--port", str(self.port), *arguments)
        until(lambda: self.ask("/healthz", quiet=True), seconds=180, what="the web process")
        return process

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        kind: str = "application/json",
        quiet: bool = False,
    ) -> Any:
        """The JSON that an address answers; None for no answer where ``quiet``."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, {"content-type": kind}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as problem:
            if quiet:
                return None
            raise AssertionError(f"{path}: {problem.read().decode()}") from problem
        except OSError:
            if quiet:
                return None
            raise

    def problem(self, path: str, body: Any, *, kind: str = "application/json") -> dict[str, Any]:
        """The problem by which a request is refused."""
        try:
            self.ask(path, body, kind=kind)
        except AssertionError as refused:
            told: dict[str, Any] = json.loads(str(refused).removeprefix(f"{path}: "))
            return told
        raise AssertionError(f"{path} was not refused")

    def text(self, path: str) -> str:
        """A page."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=60) as answer:
            return str(answer.read().decode())

    def send(self, archive: bytes) -> str:
        """The id of an uploaded dataset."""
        return str(self.ask("/v1/datasets", archive, kind="application/zip")["id"])

    def job(self, key: str) -> dict[str, Any]:
        """A job as the API shows it."""
        told: dict[str, Any] = self.ask(f"/v1/jobs/{key}")
        return told

    def ended(self, key: str, *, seconds: float = 120.0) -> dict[str, Any]:
        """A job once it has ended."""
        live = ("queued", "running")
        until(lambda: self.job(key)["state"] not in live, seconds=seconds, what=f"the end of {key}")
        return self.job(key)

    def processes(self, words: str) -> list[int]:
        """Processes of this home whose command line holds these words."""
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (each / "environ").read_bytes().decode(errors="replace")
                if words in command and f"METAD2A_HOME={self.home}\0" in environment + "\0":
                    found.append(int(each.name))
        return found

    def logs(self) -> str:
        """What all processes said."""
        return "\n".join(each.read_text() for each in sorted(self.home.glob("log-*.txt")))
