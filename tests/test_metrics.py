"""Rank correlation, regret, percentiles and intervals are what their definitions say."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.metrics import (
    bootstrap_interval,
    kendall_tau,
    mean_tau_interval,
    median_interval,
    percentiles,
    regret,
    spearman,
    tau_interval,
)

calm = settings(deadline=None)
values = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12)


@calm
@given(values)
def test_tau_counts_pairs_in_order_against_pairs_out_of_order(rows: list[tuple[int, int]]) -> None:
    signs = [(np.sign(a[0] - b[0]), np.sign(a[1] - b[1])) for a, b in combinations(rows, 2)]
    untied = [sum(bool(pair[side]) for pair in signs) for side in (0, 1)]
    expected = sum(a * b for a, b in signs) / np.sqrt(untied[0] * untied[1]) if all(untied) else 0.0
    assert kendall_tau(*zip(*rows, strict=True)) == pytest.approx(expected)


@calm
@given(values)
def test_spearman_is_the_correlation_of_ranks(rows: list[tuple[int, int]]) -> None:
    first, second = np.array(rows).T
    ranks = np.array([percentiles(first, first), percentiles(second, second)])
    expected = np.corrcoef(ranks)[0, 1] if np.ptp(ranks, axis=1).all() else 0.0
    assert spearman(first, second) == pytest.approx(expected, abs=1e-12)


def test_only_the_order_of_predictions_counts() -> None:
    rng = np.random.default_rng(0)
    predicted, true = rng.normal(size=(2, 50))
    for measure in (kendall_tau, spearman, regret):
        assert measure(np.exp(predicted), true) == pytest.approx(measure(predicted, true))


@pytest.mark.parametrize("measure", [kendall_tau, spearman, regret])
def test_lists_that_do_not_belong_together_are_refused(measure: object) -> None:
    assert callable(measure)
    for predicted, true in (([1, 2], [1, 2, 3]), ([1, np.nan], [1, 2]), ([[1, 2]], [[1, 2]])):
        with pytest.raises(ValueError, match="equally long"):
            measure(predicted, true)


def test_regret_is_what_the_picks_lack_of_the_best() -> None:
    predicted, true = [5, 4, 3, 2], [80, 90, 70, 60]
    assert regret(predicted, true) == 10
    assert regret(predicted, true, top=2) == 5
    assert regret(predicted, true, top=4) == 15
    assert regret(true, true) == 0
    with pytest.raises(ValueError, match="1 to 4"):
        regret(predicted, true, top=5)


def test_equal_predictions_share_the_pick() -> None:
    assert regret([1, 1, 1], [60, 70, 80]) == 10
    assert regret([2, 1, 1], [80, 70, 60], top=2) == pytest.approx(80 - (80 + 65) / 2)


def test_percentiles_run_from_worst_to_best() -> None:
    true = [10.0, 30.0, 20.0, 50.0, 40.0]
    np.testing.assert_allclose(percentiles([0, 15, 30, 99], true), [0, 20, 50, 100])


def test_a_group_is_one_witness_however_many_values_it_has() -> None:
    rng = np.random.default_rng(0)
    level_of_group = np.repeat(rng.normal(size=8), 200)
    noisy = level_of_group + 0.1 * rng.normal(size=1600)
    by_group = bootstrap_interval(noisy, np.repeat(range(8), 200).tolist())
    as_if_alone = bootstrap_interval(noisy, draws=500)
    assert by_group.low < by_group.mean < by_group.high
    assert by_group.high - by_group.low > 5 * (as_if_alone.high - as_if_alone.low)
    assert by_group.groups == 8


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(0), []
    for seed in range(200):
        groups = np.repeat(range(25), 3)
        drawn = rng.normal(size=25)[groups] + rng.normal(size=75)
        interval = bootstrap_interval(drawn, groups.tolist(), seed=seed, confidence=0.8, draws=500)
        held.append(interval.low <= 0 <= interval.high)
    assert 0.7 < np.mean(held) < 0.87


def test_intervals_repeat_by_seed_and_widen_with_their_level() -> None:
    drawn, groups = np.random.default_rng(0).normal(size=30), list(range(30))
    interval = bootstrap_interval(drawn, groups, seed=3)
    assert interval == bootstrap_interval(drawn, groups, seed=3) != bootstrap_interval(drawn, groups, seed=4)
    narrow = bootstrap_interval(drawn, groups, seed=3, confidence=0.5)
    assert interval.low < narrow.low < narrow.high < interval.high
    assert str(interval) == f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def test_a_single_group_has_a_mean_and_no_interval() -> None:
    interval = bootstrap_interval([1.0, 3.0], ["same", "same"])
    assert interval.mean == 2 and np.isnan([interval.low, interval.high]).all()


@pytest.mark.parametrize(("given_values", "groups"), [([], []), ([1.0], [1, 2]), ([1.0, np.nan], [1, 2])])
def test_values_that_cannot_be_averaged_are_refused(given_values: list[float], groups: list[int]) -> None:
    with pytest.raises(ValueError, match="one finite value"):
        bootstrap_interval(given_values, groups)


def test_the_interval_of_a_median_narrows_with_more_values_and_covers_it() -> None:
    rng = np.random.default_rng(0)
    few, many = (median_interval(rng.normal(5, 1, n)) for n in (15, 600))
    assert few.low < few.mean < few.high and many.high - many.low < 0.5 * (few.high - few.low)
    covered = [
        found.low <= 0 <= found.high for found in (median_interval(rng.normal(size=25), draws=500) for _ in range(60))
    ]
    assert np.mean(covered) > 0.85
    assert median_interval([3.0, 1.0, 100.0]).mean == 3.0
    assert np.isnan(median_interval([1.0]).low)
    with pytest.raises(ValueError, match="finite"):
        median_interval([1.0, np.nan])


def test_the_interval_of_a_tau_holds_it_and_tells_order_from_none() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=120)
    found = tau_interval(truth + rng.normal(size=120), truth)
    none = tau_interval(rng.permutation(truth), truth)
    assert 0 < found.low < found.mean < found.high and found.groups == 120
    assert none.low < 0 < none.high


def test_the_interval_of_a_mean_tau_is_wider_for_few_columns_however_alike_the_seeds() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(120.0)
    alike = np.stack([truth + 40 * rng.normal(size=120)] * 5)  # seeds that agree tell nothing of other columns
    many, few = mean_tau_interval(alike, truth), mean_tau_interval(alike[:, ::6], truth[::6])
    assert many.mean == pytest.approx(kendall_tau(alike[0], truth)) and many.groups == few.groups == 5
    assert 0.05 < many.high - many.low < few.high - few.low and many.low < many.mean < many.high
    apart = mean_tau_interval(np.stack([truth, -truth]), truth)
    assert apart.high - apart.low > 1.5
