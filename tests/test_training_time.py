"""Expected seconds follow the trainings in height at once, in slope as they show one."""

from __future__ import annotations

import numpy as np

from predictors.training_time import TrainingTime

FLOPS = np.linspace(1e6, 2e7, 20)


def test_the_guess_stands_until_a_training_is_known() -> None:
    np.testing.assert_allclose(TrainingTime(FLOPS, 1 + FLOPS / 1e6)(FLOPS), 1 + FLOPS / 1e6)


def test_one_training_scales_the_guess() -> None:
    time = TrainingTime(FLOPS, 1 + FLOPS / 1e6)
    time.observe(FLOPS[5], 7 * (1 + FLOPS[5] / 1e6))
    np.testing.assert_allclose(time(FLOPS), 7 * (1 + FLOPS / 1e6))


def test_many_trainings_overrule_its_slope_and_no_time_is_below_zero() -> None:
    time, falling = TrainingTime(FLOPS, 2e6 + FLOPS), TrainingTime(FLOPS, FLOPS)
    for flops in FLOPS:
        time.observe(flops, 30.0)  # a device that does not mind the size
        falling.observe(flops, 1e9 / flops)
    assert np.abs(time(FLOPS) / 30 - 1).max() < 0.25
    assert (falling(FLOPS) > 0).all()
