"""A training is given up only when even the largest gain of the others would leave it behind."""

from __future__ import annotations

import pytest

from predictors.learning_curve import MARGIN, Curve, forecast, hopeless
from predictors.scale import to_logit, to_percent

FINISHED = [Curve((50.0, 60.0), 70.0), Curve((40.0, 60.0), 75.0), Curve((55.0, 65.0), 72.0)]


def test_a_forecast_adds_the_gains_of_the_others_in_logits() -> None:
    found = forecast([45.0], FINISHED)
    assert found is not None
    gains = sorted(float(to_logit(each.final) - to_logit(each.checks[0])) for each in FINISHED)
    assert found.likely == pytest.approx(float(to_percent(to_logit(45.0) + gains[1])))
    assert found.at_best == pytest.approx(float(to_percent(to_logit(45.0) + gains[2] + MARGIN)))
    assert found.likely < found.at_best


def test_what_may_still_win_goes_on_and_what_cannot_is_hopeless() -> None:
    assert not hopeless([40.0], FINISHED)  # the best began there
    assert not hopeless([39.0], FINISHED) and hopeless([25.0], FINISHED)
    assert not hopeless([25.0, 60.0], FINISHED) and hopeless([60.0, 45.0], FINISHED)


def test_too_few_others_tell_nothing() -> None:
    assert forecast([], FINISHED) is None and forecast([1.0], FINISHED[:2]) is None
    assert not hopeless([1.0], FINISHED[:2]) and not hopeless([1.0] * 3, FINISHED)
