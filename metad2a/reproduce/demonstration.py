"""What a demonstration is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from databases.errors import Say, UserError
from databases.records.benchmark_table import IMPORT_FIRST, BenchmarkTable, read_table
from databases.usual import DEFAULT_SPACE
from metad2a.reports.report import Report
from metad2a.reproduce.kept_jobs import run_jobs

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Demonstration:
    """A published system as `metad2a reproduce NAME` shows it.

    Args:
        run: called with ``Context``. title: one line for the list of all.
    """

    name: str
    title: str
    source: str
    run: Callable[[Context], Report]

    def report(self, context: Context) -> Report:
        """Runs it; the report knows whether that was the short run, and with which seeds."""
        found = self.run(context)
        return replace(found, short=context.fast, seeds=tuple(sorted(context.asked)) or (context.seed,))


@dataclass(frozen=True)
class Context:
    """What a demonstration is given.

    Attributes:
        fast: about 15 s and loose, for CI; else the full run. seed: the first seed.
        database: path or URL of the store with the tables, None where there is none.
        images: folder of image sources, None where there is none. workers: processes to use.
        say: prints a line of progress. trainings: folder where what is done is kept until the report is written, so
            that a demonstration that was killed goes on; None: it is not. asked: the `seeds` that were given out.
    """

    fast: bool
    seed: int = 0
    database: str | None = None
    images: Path | None = None
    workers: int = 2
    say: Say = print
    trainings: Path | None = None
    asked: set[int] = field(default_factory=set, repr=False, compare=False)

    def seeds(self, count: int) -> range:
        """So many seeds from the first on."""
        found = range(self.seed, self.seed + count)
        self.asked.update(found)
        return found

    def table(self, task: str, *, recipe: str = "nasbench201", name: str = DEFAULT_SPACE) -> BenchmarkTable:
        """The benchmark table of a task, such as ``nasbench201/cifar10``, over the space ``name``.

        Raises:
            UserError: no database is at hand, or it lacks the table or a part of it.
        """
        from databases.records.store import Store

        if self.database is None:
            raise UserError(f"the table of {task!r} is needed: {IMPORT_FIRST}")
        with Store(self.database) as store:
            return read_table(store, task, recipe=recipe, name=name)

    def run(self, follow: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """The results of jobs in worker processes, as they come; first those that a killed run had done."""
        return run_jobs(follow, jobs, workers=self.workers, folder=self.trainings)

    def image_source(self, name: str) -> Path:
        """The file of an image source, such as ``cifar10``; raises `UserError` where it is not at hand."""
        path = None if self.images is None else self.images / f"{name}.npz"
        if path is None or not path.is_file():
            place = "there is no folder of image sources" if self.images is None else f"{self.images} lacks {name}.npz"
            raise UserError(f"the images of {name!r} are needed and {place}: set METAD2A_SHARED or give --images")
        return path
