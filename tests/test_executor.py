"""Jobs give the same results here and in worker processes; failures and early stops lose nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from databases.hosting import lent
from metad2a.runtime.executors import processes as executor
from metad2a.runtime.executors.processes import Death, GivenUp, prepare, run

BOTH = pytest.mark.parametrize("workers", [1, 2])


def light(nice: int) -> None:
    """Spares the workers torch, which these jobs do not need."""


@pytest.fixture(autouse=True)
def light_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "torch" not in request.node.name:
        monkeypatch.setattr(executor, "prepare", light)


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


def seen(number: int) -> tuple[int, int]:
    import torch

    return os.nice(0), torch.get_num_threads()


@BOTH
def test_nice_jobs_run_behind_all_others_with_one_torch_thread_and_leave_us_as_we_were(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # what a worker would have
    before = os.nice(0)
    assert list(run(seen, [0], workers=workers, nice=3)) == [(min(before + 3, 19), 1)]
    assert os.nice(0) == before


def test_where_the_system_has_no_nice_numbers_workers_begin_without(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delattr(os, "nice")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with lent():
        prepare(3)
        assert torch.get_num_threads() == 1
    torch.set_flush_denormal(False)


def deadly(job: tuple[str, int]) -> str:
    """Kills its process as long as its file counts fewer deaths than given."""
    file, deaths = job
    with open(file, "a+") as counted:
        counted.seek(0)
        if len(counted.read()) < deaths:
            counted.write("x")
            counted.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    return Path(file).name


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_whose_process_dies_is_named_and_tried_by_a_new_one_while_the_rest_goes_on(
    workers: int, tmp_path: Path
) -> None:
    jobs = [(str(tmp_path / name), 2 if name == "two" else 0) for name in ("one", "two", "three", "four")]
    deaths: list[Death] = []
    found = run(deadly, jobs, workers=workers, nice=1, on_death=deaths.append)
    assert sorted(found) == ["four", "one", "three", "two"]
    assert [(each.job, each.times) for each in deaths] == [(jobs[1], 1), (jobs[1], 2)]
    assert str(jobs[1]) in str(deaths[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_is_given_up_after_three_deaths_and_said_so_when_all_else_is_done(workers: int, tmp_path: Path) -> None:
    jobs = [(str(tmp_path / name), 99 if name == "one" else 0) for name in ("one", "two", "three")]
    found: list[str] = []
    with pytest.raises(GivenUp, match="one") as problem:
        for each in run(deadly, jobs, workers=workers, nice=1):
            found.append(each)
    assert sorted(found) == ["three", "two"]
    assert (problem.value.jobs, (tmp_path / "one").read_text()) == ((jobs[0],), "xxx")
    assert "\n" not in str(problem.value)


def test_workers_end_with_a_killed_parent() -> None:
    """Its output, which the workers have too, ends when the last of them does."""
    program = (
        "from metad2a.runtime.executors import processes as executor; from tests.test_executor import light, linger; "
        "executor.prepare = light; list(executor.run(linger, [60, 60], workers=2))"
    )
    root = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline(), parent.stdout.readline()] == [b"here\n"] * 2
        parent.kill()
        killed = time.monotonic()
        assert parent.stdout.read() == b""
        assert time.monotonic() - killed < 10


def linger(seconds: int) -> None:
    print("here", flush=True)
    time.sleep(seconds)
