"""A real PostgreSQL server of the test run's own, on loopback, never as root; a new database for each who asks."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from service_process import free_port

_numbers = itertools.count()


class PostgresServer:
    """A server in a folder that goes with it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="metad2a-postgres-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._data), "-U", "metad2a", "--auth=trust", "-N", "-E", "UTF8")
        self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        told = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self._folder), "fsync": "off"}
        options = [word for name, value in told.items() for word in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), *options]
        log = (self._folder / "log.txt").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._as)
        log.close()
        for _ in range(300):
            if self._run("psql", *self._place("postgres"), "-c", "select 1", check=False) == 0:
                return
            time.sleep(0.1)
        raise RuntimeError((self._folder / "log.txt").read_text())

    def stop_hard(self) -> None:
        """As if the machine had failed: no goodbye to anybody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test{next(_numbers)}"
        self._run("psql", *self._place("postgres"), "-c", f"create database {name}")
        return f"postgresql://metad2a@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """Stops the server and removes its folder."""
        self.stop_hard()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, name: str) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "metad2a", "-d", name, "-q"]

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, cwd=self._folder, **self._as)
        if check and done.returncode:
            raise RuntimeError(done.stderr.decode())
        return done.returncode


def started() -> PostgresServer:
    """A server of the PostgreSQL that is installed; the test is skipped where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is missing: `apt-get install postgresql`")
        pytest.skip("needs PostgreSQL: `apt-get install postgresql`")
    return PostgresServer(found[-1].parent)
