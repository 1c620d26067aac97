"""What is kept of a table: all of what two seeds agree on, nothing of what only one of them says."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.table_memory import reliability, shrunk


def runs(signal: float, noise: float, *, cells: int = 8000, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    true = signal * rng.normal(size=cells)
    return true, true[:, None] + noise * rng.normal(size=(cells, count))


def test_the_share_of_signal_is_found() -> None:
    assert reliability(runs(1.0, 1.0)[1]) == pytest.approx(0.5, abs=0.04)
    assert reliability(runs(0.0, 1.0)[1]) == pytest.approx(0.0, abs=0.05)
    assert reliability(runs(1.0, 0.0)[1]) == pytest.approx(1.0)


def test_a_few_cells_that_hardly_train_do_not_make_all_others_doubtful() -> None:
    given = runs(1.0, 0.5)[1]
    given[:200] += 20 * np.random.default_rng(1).normal(size=(200, 3))
    assert reliability(given) == pytest.approx(0.8, abs=0.05)


def test_shrinking_is_nearer_to_the_truth_than_keeping_all_or_nothing() -> None:
    true, given = runs(1.0, 1.5)
    given[::2, 2] = np.nan
    error = [np.mean((kept - true) ** 2) for kept in (shrunk(given), np.nanmean(given, axis=1), 0 * true)]
    assert error[0] < min(error[1:])


def test_more_runs_are_trusted_more() -> None:
    _, given = runs(1.0, 1.0)
    given[0] = [1.0, np.nan, np.nan]
    given[1] = [1.0, 1.0, 1.0]
    kept = shrunk(given)
    assert 0.4 < kept[0] < 0.6 < kept[1] < 0.85


def test_without_a_second_seed_nothing_is_kept() -> None:
    assert not shrunk(runs(1.0, 0.1, count=1)[1]).any()
    assert not shrunk(runs(1.0, 0.1, cells=20)[1]).any()
