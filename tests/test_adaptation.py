"""A prediction adapts to what was measured on the task, and is left alone where it fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors import adaptation
from predictors.adaptation import LEVEL, LINEAR, REACH, SLOPE, adapt, adapt_order
from predictors.metrics import kendall_tau

RNG = np.random.default_rng(0)
PLACES = RNG.normal(size=(200, 4))
PRIOR = PLACES @ [1.0, 0.5, 0.0, 0.0]


def test_the_posterior_is_that_of_the_textbook(monkeypatch: pytest.MonkeyPatch) -> None:
    variance, noise, rows, logits = 0.4, 0.2, [3, 50, 3], np.array([2.0, -1.0, 1.0])
    monkeypatch.setattr(adaptation, "VARIANCES", (variance,))
    monkeypatch.setattr(adaptation, "NOISES", (noise,))
    z = (PRIOR - PRIOR.mean()) / PRIOR.std()
    distance = ((PLACES[:, None] - PLACES[None]) ** 2).mean(2)
    kernel = SLOPE * np.outer(z, z) + LINEAR * PLACES @ PLACES.T / 4 + np.exp(-0.5 * distance / REACH**2)
    cov = LEVEL + variance * kernel
    gain = cov[:, rows] @ np.linalg.inv(cov[np.ix_(rows, rows)] + noise * np.eye(3))
    mean = z + gain @ ((logits - PRIOR.mean()) / PRIOR.std() - z[rows])
    spread = np.diag(cov - gain @ cov[rows])
    found = adapt(PRIOR, PLACES, rows, logits)
    np.testing.assert_allclose(found.mean, PRIOR.mean() + PRIOR.std() * mean, atol=1e-9)
    np.testing.assert_allclose(found.std, PRIOR.std() * np.sqrt(spread), atol=1e-9)


def test_without_measurements_the_prediction_stands() -> None:
    found = adapt(PRIOR, PLACES, [], [])
    np.testing.assert_array_equal(found.mean, PRIOR)
    assert (found.std > 0).all()


def test_a_prediction_that_fits_is_left_alone_at_any_level_of_accuracy() -> None:
    rows = RNG.choice(200, 10, replace=False)
    noisy = 3 + PRIOR + 0.1 * RNG.normal(size=200)
    found = adapt(PRIOR, PLACES, rows, noisy[rows])
    assert kendall_tau(found.mean, PRIOR) > 0.95
    assert abs(float(np.mean(found.mean - noisy))) < 0.2


def test_a_prediction_that_does_not_fit_is_overruled() -> None:
    truth = PLACES @ [-1.0, 0.5, 1.0, 0.0] + 0.5 * np.sin(2 * PLACES[:, 3])
    rows = RNG.choice(200, 40, replace=False)
    taus = [kendall_tau(adapt(PRIOR, PLACES, rows[:n], truth[rows[:n]]).mean, truth) for n in (0, 5, 40)]
    assert taus[0] < 0 < taus[1] < taus[2] and taus[2] > 0.75


def test_a_noise_that_is_known_is_not_guessed() -> None:
    surprise = [PRIOR[3] + 1.0, PRIOR[50] - 1.0]
    still, moved = (adapt(PRIOR, PLACES, [3, 50], surprise, noise=noise).mean for noise in (10.0, 0.01))
    assert kendall_tau(still, PRIOR) > 0.99 > kendall_tau(moved, PRIOR)
    assert np.abs(moved[[3, 50]] - surprise).max() < 0.2 < np.abs(still[[3, 50]] - surprise).min()


def test_more_is_known_where_more_was_measured() -> None:
    found = adapt(PRIOR, PLACES, [0] * 5 + [1], np.r_[PRIOR[[0] * 5], PRIOR[1] + 1])
    far = int(np.argmax(((PLACES - PLACES[0]) ** 2).sum(1)))
    assert found.std[0] < found.std[1] < found.std[far]


@settings(max_examples=15)
@given(st.permutations(range(6)), st.floats(-3, 3))
def test_neither_the_order_of_measurements_nor_a_shift_of_the_prediction_matters(
    order: list[int], shift: float
) -> None:
    rows, logits = np.arange(0, 60, 10), np.linspace(-2, 2, 6) ** 2
    one, other = adapt(PRIOR, PLACES, rows, logits), adapt(PRIOR + shift, PLACES, rows[order], logits[order])
    np.testing.assert_allclose(one.mean, other.mean, atol=0.35)  # the level is free but for its wide prior
    assert kendall_tau(one.mean, other.mean) > 0.97


def test_equal_predictions_are_a_plain_process() -> None:
    truth = PLACES[:, 0]
    rows = RNG.choice(200, 30, replace=False)
    assert kendall_tau(adapt(np.zeros(200), PLACES, rows, truth[rows]).mean, truth) > 0.8


def test_the_order_needs_no_more_than_the_order_of_what_was_measured() -> None:
    rows, values = RNG.choice(200, 12, replace=False), RNG.normal(size=12)
    found = adapt_order(PRIOR, PLACES, rows, values)
    np.testing.assert_allclose(found, adapt_order(np.exp(PRIOR), PLACES, rows, np.exp(values)))


def test_an_order_that_is_right_is_left_alone_whatever_the_scale() -> None:
    rows = RNG.choice(200, 30, replace=False)
    for measured in (rows[:0], rows[:1], rows):
        np.testing.assert_allclose(kendall_tau(adapt_order(PRIOR, PLACES, measured, PRIOR[measured] ** 3), PRIOR), 1.0)


def test_a_few_hopeless_ones_do_not_move_all_others() -> None:
    truth = np.where(PRIOR < np.quantile(PRIOR, 0.1), 20 * PRIOR + 9 * RNG.normal(size=200), PRIOR)
    rows = RNG.choice(200, 30, replace=False)
    good = truth >= np.quantile(truth, 0.2)
    by_order = kendall_tau(adapt_order(PRIOR, PLACES, rows, truth[rows])[good], truth[good])
    by_value = kendall_tau(adapt(PRIOR, PLACES, rows, truth[rows]).mean[good], truth[good])
    assert by_order > 0.95 > by_value


def test_an_order_that_is_wrong_is_corrected() -> None:
    truth = PLACES @ [-1.0, 0.5, 1.0, 0.0] + 0.5 * np.sin(2 * PLACES[:, 3])
    rows = RNG.choice(200, 60, replace=False)
    taus = [kendall_tau(adapt_order(PRIOR, PLACES, rows[:n], truth[rows[:n]]), truth) for n in (0, 10, 60)]
    assert taus[0] < 0 < taus[1] < taus[2] and taus[2] > 0.6


def test_equal_measurements_keep_their_predicted_order_in_the_mean() -> None:
    found = adapt_order(PRIOR, PLACES, [0, 1, 2], [1.0, 1.0, 1.0])
    assert np.isfinite(found).all() and np.ptp(found[:3]) < np.ptp(adapt_order(PRIOR, PLACES, [], [])[:3])
