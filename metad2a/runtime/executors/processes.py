"""Runs independent jobs: in this process, or spread over worker processes with one thread each."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run(function: Callable[[Job], Result], jobs: Iterable[Job], *, workers: int = 2, nice: int = 0) -> Iterator[Result]:
    """Yields ``function(job)`` as each finishes (any order); ``workers`` 0 or 1 runs them here, unless ``nice``.

    Only a process of its own can be nice: ours could not be made as it was again.

    Jobs are drawn as workers come free, so stopping loses at most what is running. A job's exception is
    raised when what was running with it is done. ``function`` and the jobs must be picklable where they do
    not run here.
    """
    if workers < 2 and not nice:
        yield from map(function, jobs)
        return
    workers = max(workers, 1)
    waiting = iter(jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare, initargs=(nice,)) as pool:
        running: set[Future[Result]] = {pool.submit(function, job) for job in islice(waiting, workers)}
        try:
            failed: Future[Result] | None = None
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                failed = failed or next((each for each in done if each.exception() is not None), None)
                if failed is None:
                    running |= {pool.submit(function, job) for job in islice(waiting, len(done))}
                yield from (each.result() for each in done if each.exception() is None)
            if failed is not None:
                failed.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare(nice: int) -> None:
    """One torch thread a worker: two collapse when another process uses the core."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if nice:
        os.nice(nice)
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
