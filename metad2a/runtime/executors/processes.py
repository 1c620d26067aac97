"""Runs independent jobs: in this process, or spread over worker processes with one thread each."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from databases.errors import UserError
from databases.hosting import own_process

Job = TypeVar("Job")
Result = TypeVar("Result")
DEATHS = 3  # of a job's processes, after which it is given up


class GivenUp(UserError):
    """Jobs whose process died each time; all other jobs were done."""

    def __init__(self, jobs: Sequence[Any]) -> None:
        further = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
        super().__init__(
            f"given up, since the process died {DEATHS} times (out of memory, or killed): {named(jobs[0])}{further}; "
            "all else was done: give fewer workers or more memory and run the same command again"
        )
        self.jobs = tuple(jobs)


@dataclass(frozen=True)
class Death:
    """A worker process that ended in the midst of a job, the job's ``times``-th one."""

    job: Any
    times: int

    def __str__(self) -> str:
        after = "given up" if self.times >= DEATHS else "tried again by a new one"
        return f"a process died (out of memory, or killed), time {self.times} of {DEATHS}: {named(self.job)}, {after}"


def named(job: object) -> str:
    """A job in a line of text."""
    text = " ".join(str(job).split())
    return text if len(text) <= 200 else text[:197] + "..."


@dataclass(frozen=True)
class _Try(Generic[Job]):
    job: Job
    pool: ProcessPoolExecutor
    deaths: int = 0


def run(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int = 2,
    nice: int = 0,
    on_death: Callable[[Death], None] = lambda death: None,
) -> Iterator[Result]:
    """Yields ``function(job)`` as each finishes (any order); ``workers`` 0 or 1 runs them here, unless ``nice``.

    Only a process of its own can be nice: ours could not be made as it was again.

    Jobs are drawn as workers come free, so stopping loses at most what is running. A job's exception is
    raised when what was running with it is done. A job whose process dies is told to ``on_death`` and tried
    again by a new one, ``DEATHS`` times in all. Workers end with the process that runs them, however that ends.
    ``function`` and the jobs must be picklable where they do not run here.

    Raises:
        GivenUp: at the end, where jobs are left that no process lived through.
    """
    if workers < 2 and not nice:
        yield from map(function, jobs)
        return
    yield from drained(_Crew(function, jobs, nice, on_death), max(workers, 1))


class Crew(Protocol[Result]):
    """What has jobs to do, several at once."""

    running: Any  # empty when all is done
    given_up: list[Any]
    failed: BaseException | None

    def start(self, workers: int) -> None:
        """Begins with so many jobs."""

    def finished(self) -> list[Result]:
        """Waits for the next results; new jobs are on their way by then."""

    def stop(self) -> None:
        """Ends what is running."""


def drained(crew: Crew[Result], workers: int) -> Iterator[Result]:
    """All results as they are there; raises what a job raised, or `GivenUp`, when what was running is done."""
    try:
        crew.start(workers)
        while crew.running:
            yield from crew.finished()
        if crew.failed is not None:
            raise crew.failed
        if crew.given_up:
            raise GivenUp(crew.given_up)
    finally:
        crew.stop()


class _Crew(Generic[Job, Result]):
    """Pools of one process each: when one breaks, it is known which job it had, and the others go on."""

    def __init__(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], nice: int, on_death: Callable[[Death], None]
    ) -> None:
        self.function, self.waiting, self.nice, self.on_death = function, iter(jobs), nice, on_death
        self.running: dict[Future[Result], _Try[Job]] = {}
        self.pools: set[ProcessPoolExecutor] = set()
        self.given_up: list[Job] = []
        self.failed: BaseException | None = None

    def start(self, workers: int) -> None:
        """Gives the first jobs to as many new processes."""
        for job in islice(self.waiting, workers):
            self._submit(_Try(job, self._pool()))

    def finished(self) -> list[Result]:
        """Waits for the next results; their processes have new jobs by then, unless one failed."""
        done, _ = wait(self.running, return_when=FIRST_COMPLETED)
        results = []
        for future in done:
            each, problem = self.running.pop(future), future.exception()
            if isinstance(problem, BrokenProcessPool):
                self._mourn(each)
                continue
            if problem is None:
                results.append(future.result())
            else:
                self.failed = self.failed or problem
            self._next(each.pool)
        return results

    def stop(self) -> None:
        """Waits for what is running and ends the processes."""
        for pool in self.pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self.pools:
            pool.shutdown(wait=True)

    def _mourn(self, dead: _Try[Job]) -> None:
        """Tells of a death; a new process takes the same job, or the next one where it is given up."""
        death, pool = Death(dead.job, dead.deaths + 1), self._instead(dead.pool)
        self.on_death(death)
        if death.times >= DEATHS:
            self.given_up.append(dead.job)
            self._next(pool)
        elif self.failed is None:
            self._submit(_Try(dead.job, pool, death.times))

    def _next(self, pool: ProcessPoolExecutor) -> None:
        """The next job, unless one failed."""
        if self.failed is None:
            for job in islice(self.waiting, 1):
                self._submit(_Try(job, pool))

    def _submit(self, each: _Try[Job]) -> None:
        try:
            future = each.pool.submit(self.function, each.job)
        except BrokenProcessPool:  # it died after its last job
            each = replace(each, pool=self._instead(each.pool))
            future = each.pool.submit(self.function, each.job)
        self.running[future] = each

    def _instead(self, broken: ProcessPoolExecutor) -> ProcessPoolExecutor:
        broken.shutdown(wait=False)
        self.pools.discard(broken)
        return self._pool()

    def _pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(prepare, self.nice))
        self.pools.add(pool)
        return pool


def _begin(prepare: Callable[[int], None], nice: int) -> None:
    """The first that a worker does: it sees to it that it ends with its parent, even a killed one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    own_process()
    prepare(nice)


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def prepare(nice: int) -> None:
    """One torch thread a worker: two collapse when another process uses the core."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if nice and hasattr(os, "nice"):  # not on Windows
        os.nice(nice)
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
