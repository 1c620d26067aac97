"""What is expected of trainings follows what trainings of the same task measured."""

from __future__ import annotations

import pytest

from predictors.level import Level
from predictors.scale import to_logit


def test_nothing_measured_leaves_what_was_expected() -> None:
    assert Level()(63.7) == 63.7


def test_sixteen_measurements_below_shift_what_is_expected_of_all_others() -> None:
    level, expected = Level(), [60.0 + i for i in range(16)]
    for i, each in enumerate(expected):
        level.observe(each, each - 10 - 7 * (i % 2))
    assert 48 < level(62.0) < 51 and 59 < level(72.0) < 61
    assert level(62.0) < level(72.0), "the order stays"


def test_a_single_measurement_is_believed_by_half() -> None:
    level = Level()
    level.observe(60.0, 40.0)
    assert to_logit(level(60.0)) == pytest.approx((to_logit(60.0) + to_logit(40.0)) / 2)


@pytest.mark.parametrize("measured", [0.0, 100.0])
def test_extreme_measurements_stay_finite(measured: float) -> None:
    level = Level()
    level.observe(50.0, measured)
    assert 0 < level(50.0) < 100
