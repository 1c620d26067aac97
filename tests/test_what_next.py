"""What to measure next: what tells most about the rest, and nothing twice."""

from __future__ import annotations

import numpy as np

from metad2a.build.acquisition import most_telling
from predictors.task_process import Kernel, MeasuredTask, TaskProcess


def _line(numbers: np.ndarray) -> np.ndarray:
    """Cells lie on a line, far apart from one hundred to the next."""
    return np.asarray(numbers, dtype=np.float64)[:, None] / 5


def _process() -> TaskProcess:
    rng = np.random.default_rng(0)
    tasks = [MeasuredTask(rng.normal(size=2), np.arange(3) + 500, rng.normal(size=3), np.ones(3)) for _ in range(3)]
    return TaskProcess(tasks, _line, Kernel(looks_at=(0,), noise=0.1))


def test_the_first_two_choices_lie_amid_the_two_crowds() -> None:
    pool = [0, 1, 2, 3, 4, 100, 101, 102]
    assert set(most_telling(_process(), [0.0, 0.0], pool, [], 2)) == {2, 101}


def test_what_is_known_is_not_asked_again() -> None:
    pool = [0, 1, 2, 3, 4, 100, 101, 102]
    found = most_telling(_process(), [0.0, 0.0], pool, [2], 20)
    assert sorted(found) == [0, 1, 3, 4, 100, 101, 102]


def test_nothing_is_asked_where_nothing_lacks() -> None:
    assert most_telling(_process(), [0.0, 0.0], [1, 2], [], -3) == []
