"""Jobs of a demonstration, whose results are kept until its report is written: a killed run goes on with the others."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from joblib.hashing import NumpyHasher

from databases.files import write_files
from metad2a.runtime.executors import processes

Given = TypeVar("Given")
Result = TypeVar("Result")
PACKAGES = ("databases", "predictors", "metad2a")


def run_jobs(
    follow: Callable[[Given], Result], jobs: Iterable[Given], *, workers: int, folder: Path | None
) -> Iterator[Result]:
    """The results of jobs in worker processes, as they come; those that ``folder`` keeps come first.

    What is kept counts only for the same job by the same code. The files are pickles of our own, in a folder of the
    home: whoever can write there can run anything as the user anyway.
    """
    if folder is None:
        yield from processes.run(follow, jobs, workers=workers)
        return
    todo = []
    for job in jobs:
        each = _Job(job, folder / f"{follow.__name__}-{digest(follow.__module__, job)}.pickle")
        found = _read(each.path)
        if found is None:
            todo.append(each)
        else:
            yield found[0]
    yield from processes.run(_Keeping(follow), todo, workers=workers)


@dataclass(frozen=True)
class _Job(Generic[Given]):
    job: Given
    path: Path

    def __str__(self) -> str:
        return str(self.job)


@dataclass(frozen=True)
class _Keeping(Generic[Given, Result]):
    """Follows a job and keeps its result."""

    follow: Callable[[Given], Result]

    def __call__(self, given: _Job[Given]) -> Result:
        result = self.follow(given.job)
        write_files({given.path: pickle.dumps((result,))})
        return result


def _read(path: Path) -> tuple[Any] | None:
    """The result in a tuple; None where there is no whole file of it."""
    try:
        found: tuple[Any] = pickle.loads(path.read_bytes())
        return found
    except Exception:  # a broken pickle can fail in every way there is
        return None


def digest(module: str, job: object) -> str:
    """Of a job, the module of what follows it, all our code and what it runs on; the same in every process."""
    return str(_Hasher("md5").hash((_code(), torch.__version__, torch.cuda.is_available(), module, job)))


class _Hasher(NumpyHasher):  # type: ignore[misc]  # published without types
    """Joblib's, which tells tensors by where they lie: here by their values."""

    def save(self, obj: object) -> None:
        """Adds a part of what is hashed."""
        super().save(obj.detach().cpu().numpy() if isinstance(obj, torch.Tensor) else obj)


@cache
def _code() -> str:
    """SHA-256 of everything in our packages, weights and records too."""
    found = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted(Path(str(files(package))).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                found.update(path.read_bytes())
    return found.hexdigest()
