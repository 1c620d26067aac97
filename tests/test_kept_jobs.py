"""Jobs of a demonstration: what a killed run had done is not done again, and nothing else is taken for it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from databases.errors import UserError
from metad2a.reproduce import kept_jobs
from metad2a.reproduce.demonstration import Context


@dataclass(frozen=True, eq=False)
class Sum:
    """Numbers to add up; ``log`` gets a line for it."""

    numbers: npt.NDArray[np.int64]
    log: Path

    def __str__(self) -> str:
        return "a sum"


def summed(job: Sum) -> int:
    with job.log.open("a") as file:
        file.write(f"{job.numbers.sum()}\n")
    if job.numbers.sum() == 9 and job.log.with_name("fail").exists():
        raise UserError("nine")
    return int(job.numbers.sum())


def doubled(job: Sum) -> int:
    return 2 * int(job.numbers.sum())


def jobs(log: Path, *totals: int) -> list[Sum]:
    return [Sum(np.array([total, 0]), log) for total in totals]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_done_is_told_first_and_the_rest_is_done(tmp_path: Path, workers: int) -> None:
    log = tmp_path / "log"
    context = Context(fast=False, workers=workers, trainings=tmp_path / "kept")
    log.with_name("fail").touch()
    with pytest.raises(UserError, match="nine"):
        list(context.run(summed, jobs(log, 1, 2, 9)))
    log.with_name("fail").unlink()
    before = log.read_text().split()
    assert sorted(context.run(summed, jobs(log, 1, 2, 9, 4))) == [1, 2, 4, 9]
    assert sorted(log.read_text().split()[len(before) :]) == ["4", "9"]
    assert sorted(context.run(summed, jobs(log, 1, 2, 9, 4))) == [1, 2, 4, 9]
    assert len(log.read_text().split()) == len(before) + 2


def test_another_function_other_code_and_a_broken_file_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, kept = tmp_path / "log", tmp_path / "kept"
    context = Context(fast=False, workers=1, trainings=kept)
    assert list(context.run(summed, jobs(log, 3))) == [3]
    assert list(context.run(doubled, jobs(log, 3))) == [6]
    next(kept.glob("summed*")).write_bytes(b"\x80half")
    assert list(context.run(summed, jobs(log, 3))) == [3] and log.read_text().split() == ["3", "3"]
    monkeypatch.setattr(kept_jobs, "_code", lambda: "another")
    assert list(context.run(summed, jobs(log, 3))) == [3] and len(log.read_text().split()) == 3


def test_jobs_are_told_by_their_values_and_not_by_where_these_lie() -> None:
    def job(value: float) -> tuple[object, ...]:
        network = torch.nn.Linear(2, 1)
        with torch.no_grad():
            network.weight.fill_(value)
            network.bias.zero_()
        return torch.full((3,), value), network, {"b", "a"}, np.arange(3)

    program = "import torch; from test_kept_jobs import told; print(told(torch.ones(3)))"
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    done = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in (1, 2)
    ]
    assert done == [told(torch.ones(3))] * 2
    assert told(job(1.0)) == told(job(1.0)) != told(job(2.0))


def told(job: object) -> str:
    return kept_jobs.digest("here", job)


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(2):
        assert list(Context(fast=True, workers=1).run(summed, jobs(log, 3))) == [3]
    assert log.read_text().split() == ["3", "3"] and [each.name for each in tmp_path.iterdir()] == ["log"]
