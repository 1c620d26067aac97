"""The demonstrations of shared weights: what they match, mix and choose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from databases.architectures.space import image_space, shared_space
from metad2a.reproduce import lpt, shufflenasnets
from metad2a.reproduce.enas.children import new_policy, spread
from metad2a.reproduce.instanas.paths import MOBILE, OURS, Measured, cheapest
from metad2a.reproduce.lpt import EASY_KIND, HARD_KIND, OUTLIER_KIND
from metad2a.supernets.training import Labelled


def test_cells_of_two_frames_are_compared_at_equal_parameters() -> None:
    rng = np.random.default_rng(0)
    cell = shared_space("shufflenasnet").sample(rng)
    for wanted in (12_000, 40_000):
        channels = shufflenasnets.matched(cell, wanted)
        found = image_space("shufflenasnet").parameters(cell, shufflenasnets.skeleton(channels))
        assert found == pytest.approx(wanted, rel=0.15)


def test_tests_are_easy_hard_but_clean_or_mislabelled() -> None:
    part = Labelled(torch.arange(400.0).view(400, 1, 1, 1).expand(-1, 1, 4, 4).clone(), torch.arange(400) % 10)
    part.images[:, :, 0, 0] = -1
    found, kinds = lpt.mixed(part, 0)
    shares = [(kinds == kind).float().mean() for kind in (EASY_KIND, HARD_KIND, OUTLIER_KIND)]
    assert shares == pytest.approx([0.6, 0.25, 0.15], abs=0.06)
    clean = kinds != OUTLIER_KIND
    assert torch.equal(found.labels[clean], part.labels[clean])
    assert (found.labels[~clean] != part.labels[~clean]).float().mean() > 0.7
    assert torch.equal(found.images[kinds == EASY_KIND], part.images[kinds == EASY_KIND])
    assert (found.images[kinds == HARD_KIND][:, 0, 0, 0] != -1).float().mean() > 0.9
    assert (lpt.mixed(part, 0, outliers=False)[1] != OUTLIER_KIND).all()


def test_the_rival_is_the_fastest_static_child_that_is_as_accurate_on_validation_images() -> None:
    ways = {
        OURS: Measured(90.0, 90.0, 5.0, 3.0, 5.0),
        MOBILE: Measured(95.0, 95.0, 9.0, 6.0, 9.0),
        "static child A": Measured(89.6, 80.0, 6.0, 4.0, 6.0),
        "static child B": Measured(80.0, 99.0, 1.0, 1.0, 1.0),
    }
    assert cheapest(ways) is ways["static child A"]
    assert cheapest({**ways, OURS: Measured(99.0, 9.0, 5.0, 3.0, 5.0)}) is ways[MOBILE]


def test_the_entropy_of_a_policy_falls_with_what_it_is_told() -> None:
    space = shared_space("nasbench201")
    uniform, learning = new_policy("uniform", space, 0), new_policy("reinforce", space, 0)
    assert spread(uniform) > 0.97 and spread(learning) > 0.9
    for i in range(40):
        drawn = learning.draw(10, seed=i)
        learning.tell(drawn, [10.0 * sum(choice == 3 for choice in each.walk) for each in drawn])
    assert spread(learning) < 0.9 * spread(uniform)
    assert sum(choice == 3 for choice in learning.likeliest().walk) > 3
