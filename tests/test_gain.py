"""What choosing is worth: a clear best is worth points, equals are worth nothing and the cheapest of them leads."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.gain import Gain, cheapest_equal_first, expected_gain
from predictors.task_process import Kernel, MeasuredTask, TaskProcess


def _process(spread: float, tasks: int = 12) -> TaskProcess:
    """Cell 0 is the best and cell 9 the worst on every task; levels differ a little."""
    rng = np.random.default_rng(0)
    cells = np.arange(10)
    logits = [0.2 * rng.normal() - spread * cells / 9 for _ in range(tasks)]
    known = [MeasuredTask(rng.normal(size=2), cells, each, np.full(10, 3.0)) for each in logits]
    return TaskProcess(known, lambda numbers: np.eye(10)[numbers] * 5, Kernel(looks_at=(0,), noise=0.1))


def test_the_gain_grows_with_the_spread_of_the_cells_and_its_interval_holds_the_truth() -> None:
    small, large = (expected_gain(_process(spread), [0.0, 0.0], np.arange(10)) for spread in (0.4, 4.0))
    assert large.mean > 3 * small.mean > 0
    truth = 100 / (1 + np.exp(0)) - 100 / (1 + np.exp(2.0))
    assert large.low < truth < large.high
    assert not large.within_noise


def test_a_bad_first_choice_has_a_negative_gain() -> None:
    assert expected_gain(_process(2.0), [0.0, 0.0], np.arange(10)[::-1]).mean < 0


def test_the_same_seed_gives_the_same_gain() -> None:
    first, again = (expected_gain(_process(1.0), [0.0, 0.0], np.arange(10), seed=3) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("gain", "drowns"),
    [(Gain(3.0, 1.0, 5.0, 1.0), False), (Gain(3.0, -0.1, 5.0, 1.0), True), (Gain(0.5, 0.1, 1.0, 1.0), True)],
)
def test_a_gain_below_the_noise_or_with_nothing_in_its_interval_drowns(gain: Gain, drowns: bool) -> None:
    assert gain.within_noise is drowns


def test_the_cheapest_of_the_equals_comes_first_and_the_rest_keep_their_order() -> None:
    order = cheapest_equal_first([0.0, 0.3, 0.5, 0.8, 0.7], [9, 2, 5, 1, 1], noise=1.0)
    assert order.tolist() == [1, 2, 0, 4, 3]
