"""What a service is told: where its files and its database are, and its limits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from metad2a.runtime.home import database_path, home

MEBIBYTE = 2**20
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Allowances:
    """What strangers may send, and how long they may keep a process busy.

    Attributes:
        upload_bytes: of one dataset. upload_files: in one archive. unpacked_bytes: what an archive may grow to.
        reading_seconds, reading_bytes: processor time and memory for understanding one dataset.
        answer_seconds: for one recommendation.
        pictures, picture_bytes: in one prediction, and of one of its pictures.
        uploads_a_minute: of one client.
        json_bytes: of any other request.
    """

    upload_bytes: int = 1024 * MEBIBYTE
    upload_files: int = 100_000
    unpacked_bytes: int = 4096 * MEBIBYTE
    reading_seconds: int = 600
    reading_bytes: int = 6144 * MEBIBYTE
    answer_seconds: float = 300.0
    pictures: int = 64
    picture_bytes: int = 16 * MEBIBYTE
    uploads_a_minute: int = 30
    json_bytes: int = 256 * 1024


def usual_database() -> str:
    """The path or URL of the database where none is named; raises UserError where it has yet to be made and cannot."""
    return os.environ.get("METAD2A_DATABASE") or str(database_path())


@dataclass(frozen=True)
class Settings:
    """One service.

    Attributes:
        database: path or URL of the database that holds records, datasets, tokens and jobs; by default
            ``METAD2A_DATABASE``, else a file in the home folder.
        folder: where datasets and uploads are kept; web and workers must both see it.
        runs: where jobs train.
        host, port: where the web process listens.
        names: further host names by which it may be called.
        jobs: how many jobs one worker runs at once. job_bytes: memory that one job may take, None for no limit.
        tracking: whether jobs become MLflow runs.
        lease: seconds without a sign of life after which a worker's jobs go to another.
    """

    database: str = field(default_factory=usual_database)
    folder: Path = field(default_factory=lambda: home() / "service")
    runs: Path = field(default_factory=lambda: home() / "runs")
    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    jobs: int = 1
    job_bytes: int | None = None
    tracking: bool = True
    lease: float = 10.0
    limits: Allowances = field(default_factory=Allowances)

    @property
    def local(self) -> bool:
        """Whether only programs on this machine can reach the service."""
        return self.host in LOOPBACK

    @property
    def datasets(self) -> Path:
        """A folder for each dataset."""
        return self.folder / "datasets"

    @property
    def bases(self) -> Path:
        """Pretrained networks that the server's owner put there."""
        return self.folder / "bases"

    @property
    def uploads(self) -> Path:
        """What is still being received."""
        return self.folder / "uploads"

    def run_folder(self, job: str) -> Path:
        """Where a job trains, and leaves its network."""
        return self.runs / f"job-{job}"
