"""Runs independent jobs as tasks of a Ray cluster that this machine belongs to (extra ``ray``).

The function, with all that it holds, goes to each machine once; the jobs go one by one. How often a job may lose its
process or its machine is counted here and not by Ray, so that it is told and given up as everywhere else.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Generic, TypeVar

from databases.errors import UserError
from metad2a.runtime.executors.processes import DEATHS, Death, drained, prepare
from metad2a.runtime.versions import versions

Job = TypeVar("Job")
Result = TypeVar("Result")
_MODES = ("token", "disabled")
_ADDRESS = re.compile(r"auto|[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_REACHED, _PATIENCE = 5.0, 120.0  # seconds in which the address, and a machine, must answer


def run(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int = 2,
    nice: int = 0,
    on_death: Callable[[Death], None] = lambda death: None,
    address: str = "auto",
) -> Iterator[Result]:
    """Yields ``function(job)`` as each finishes, as `processes.run` does: ``workers`` at once, one core each.

    ``nice`` means nothing here: a cluster's cores are given to one task at a time.

    Raises:
        GivenUp: at the end, where jobs are left that no process lived through.
        UserError: no Ray, no such cluster, or a machine with other versions.
    """
    with _connected(address) as ray:
        _check_machines(ray)
        yield from drained(_Fleet(ray, function, jobs, on_death), max(1, workers))


def check_address(address: str) -> str:
    """The address, if it is one that a program on a machine of the cluster can use; raises UserError otherwise."""
    if not _ADDRESS.fullmatch(address):
        raise UserError(f"--executor ray:{address}: give ray:auto or ray:HOST:PORT, on a machine of the cluster")
    return address


class _Fleet(Generic[Job, Result]):
    """The tasks that run, and the jobs that wait."""

    def __init__(
        self, ray: Any, function: Callable[[Job], Result], jobs: Iterable[Job], on_death: Callable[[Death], None]
    ) -> None:
        self.ray, self.waiting, self.on_death = ray, iter(jobs), on_death
        self.function = ray.put(function)
        self.task = ray.remote(_call).options(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")
        self.running: dict[Any, tuple[Job, int]] = {}  # task -> job, and how many deaths it had
        self.given_up: list[Job] = []
        self.failed: BaseException | None = None
        problems = ray.exceptions
        self.deaths = (
            problems.WorkerCrashedError,
            problems.NodeDiedError,
            problems.OutOfMemoryError,
            problems.ObjectLostError,  # it had its result, and then the machine that kept it was gone
        )

    def start(self, workers: int) -> None:
        """The first tasks."""
        for job in islice(self.waiting, workers):
            self._submit(job, 0)

    def finished(self) -> list[Result]:
        """Waits for the next result; the next job is on its way by then, unless one failed."""
        (task, *_), _ = self.ray.wait(list(self.running), num_returns=1)
        job, deaths = self.running.pop(task)
        try:
            result: Result = self.ray.get(task)
        except self.deaths:
            self._mourn(Death(job, deaths + 1))
            return []
        except self.ray.exceptions.RayTaskError as problem:
            self.failed = self.failed or problem.cause or problem
            return []
        self._next()
        return [result]

    def stop(self) -> None:
        """Ends what is running."""
        for task in self.running:
            self.ray.cancel(task, force=True)

    def _mourn(self, death: Death) -> None:
        self.on_death(death)
        if death.times >= DEATHS:
            self.given_up.append(death.job)
            self._next()
        elif self.failed is None:
            self._submit(death.job, death.times)

    def _next(self) -> None:
        if self.failed is None:
            for job in islice(self.waiting, 1):
                self._submit(job, 0)

    def _submit(self, job: Job, deaths: int) -> None:
        self.running[self.task.remote(self.function, job, versions())] = (job, deaths)


def _call(function: Callable[[Job], Result], job: Job, wanted: dict[str, str]) -> Result:
    """One job, on whichever machine; also one that joined late must have our versions."""
    if other := _other(versions(), wanted):
        raise UserError(f"a machine of the cluster has {other}: install the same versions on all")
    prepare(0)
    return function(job)


def _other(there: dict[str, str], wanted: dict[str, str]) -> str:
    """What is of another version than here, in words; Ray itself compares Python's."""
    return ", ".join(
        f"{name} {there[name]} where this one has {version}"
        for name, version in wanted.items()
        if name != "python" and there[name] != version
    )


def _check_machines(ray: Any) -> None:
    """Refuses a cluster with a machine that would compute something else, before anything is computed."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asking = ray.remote(versions)
    asked = {}
    for machine in ray.nodes():
        if machine["Alive"]:
            there = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
            asked[machine["NodeManagerHostname"]] = asking.options(
                num_cpus=0, max_retries=0, scheduling_strategy=there
            ).remote()
    for name, answer in asked.items():
        try:
            other = _other(ray.get(answer, timeout=_PATIENCE), versions())
        except (ray.exceptions.NodeDiedError, ray.exceptions.WorkerCrashedError):
            continue  # gone meanwhile: it gets no jobs
        except (ray.exceptions.RayError, ImportError) as problem:
            raise UserError(
                f"the machine {name!r} cannot run metad2a ({_line(problem)}): install it there"
            ) from problem
        if other:
            raise UserError(f"the machine {name!r} has {other}: install the same versions on all")


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster as long as the block lasts; a connection that was there already stays."""
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    if os.environ.get("RAY_AUTH_MODE") not in _MODES:
        raise UserError(
            "say whether the Ray cluster asks for a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as on its "
            "machines, or RAY_AUTH_MODE=disabled for one that everybody who reaches it may use"
        )
    with _as_it_was(ray):
        try:
            _reach(address)
            ray.init(
                address=address,
                log_to_driver=False,
                configure_logging=False,
                runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
            )
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as problem:
            raise UserError(
                f"no Ray cluster can be used at {address!r} ({_line(problem)}): start one by `ray start --head`, run "
                "this on one of its machines, and set the RAY_AUTH_TOKEN that its head was started with"
            ) from problem
        try:
            yield ray
        finally:
            ray.shutdown()


def _reach(address: str) -> None:
    """Raises OSError where nobody listens: Ray would try for minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACHED).close()


@contextmanager
def _as_it_was(ray: Any) -> Iterator[None]:
    """Ray takes SIGTERM for itself, and prints a dead machine's log to stdout, where answers belong."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    worker = ray._private.worker
    printed, worker._worker_logs_enabled = getattr(worker, "_worker_logs_enabled", True), False
    try:
        yield
    finally:
        worker._worker_logs_enabled = printed
        if main and handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _ray() -> Any:
    try:
        import ray
    except ImportError as problem:
        raise UserError("--executor ray needs Ray: pip install 'metad2a[ray]' on every machine") from problem
    return ray


def _line(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:160] or type(problem).__name__
