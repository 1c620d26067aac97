"""Jobs give the same results here and in worker processes; failures and early stops lose nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from metad2a.runtime.executors import processes as executor
from metad2a.runtime.executors.processes import run

BOTH = pytest.mark.parametrize("workers", [1, 2])


def light(nice: int) -> None:
    """Spares the workers torch, which these jobs do not need."""


@pytest.fixture(autouse=True)
def light_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(word in request.node.name for word in ("torch", "nice")):
        monkeypatch.setattr(executor, "_prepare", light)


def square(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number * number


@BOTH
def test_every_job_is_done_once(workers: int) -> None:
    assert sorted(run(square, range(7), workers=workers)) == [0, 1, 4, 9, 16, 25, 36]


@BOTH
def test_a_failing_job_is_raised_after_the_results_before_it(workers: int) -> None:
    found = []
    with pytest.raises(ValueError, match="-3 is negative"):
        for result in run(square, [1, 2, -3, *range(100)], workers=workers):
            found.append(result)
    assert {1, 4} <= set(found)
    assert len(found) < 20


@BOTH
def test_stopping_early_leaves_the_rest_undone(workers: int) -> None:
    drawn = []

    def jobs() -> Iterator[int]:
        for number in range(1000):
            drawn.append(number)
            yield number

    results = run(square, jobs(), workers=workers)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(drawn) < 10


@BOTH
def test_no_jobs_no_results(workers: int) -> None:
    assert list(run(square, [], workers=workers)) == []


def threads(number: int) -> int:
    import torch

    return torch.get_num_threads()


def test_a_worker_has_one_torch_thread() -> None:
    assert list(run(threads, [0], workers=2)) == [1]


def niceness(number: int) -> int:
    return os.nice(0)


@BOTH
def test_nice_jobs_run_behind_all_others_and_leave_us_as_we_were(workers: int) -> None:
    before = os.nice(0)
    assert list(run(niceness, [0], workers=workers, nice=3)) == [min(before + 3, 19)]
    assert os.nice(0) == before
