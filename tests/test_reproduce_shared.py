"""The demonstrations of shared weights: what they match, mix and choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from databases.architectures.space import image_space, shared_space
from databases.datasets.loading import load_task
from metad2a.reproduce import lpt, shufflenasnets
from metad2a.reproduce.enas import recurrent
from metad2a.reproduce.enas.children import Job, Variant, new_policy, search, spread
from metad2a.reproduce.enas.other_spaces import TEXT, children
from metad2a.reproduce.instanas.paths import BOUNDS, CHILD, MOBILE, OURS, Measured, cheapest, matched
from metad2a.reproduce.lpt import EASY_KIND, HARD_KIND, OUTLIER_KIND
from metad2a.supernets.passing_tests import PassingTests
from metad2a.supernets.training import Labelled, SharedRecipe


def test_cells_of_two_frames_are_compared_at_equal_parameters() -> None:
    rng = np.random.default_rng(0)
    cell = shared_space("shufflenasnet").sample(rng)
    for wanted in (12_000, 40_000):
        channels = shufflenasnets.matched(cell, wanted)
        found = image_space("shufflenasnet").parameters(cell, shufflenasnets.skeleton(channels))
        assert found == pytest.approx(wanted, rel=0.15)


def test_a_part_of_fewer_images_than_a_batch_is_drawn_whole() -> None:
    few = Labelled(torch.zeros(5, 1, 4, 4), torch.arange(5))
    batch = next(lpt._drawn(few, torch.Generator().manual_seed(0)))
    assert sorted(batch.labels.tolist()) == [0, 1, 2, 3, 4] and batch.images.shape == (5, 1, 4, 4)


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


@pytest.mark.parametrize("label", lpt.RULES)
def test_no_search_ends_with_an_edge_without_operation(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def mostly_none(job: lpt.Job, place: torch.device) -> PassingTests:
        system = made(job, place)
        system.alpha.data[:, lpt.NONE] += 5
        return system

    made = lpt._system
    monkeypatch.setattr(lpt, "_system", mostly_none)
    assert lpt.NONE not in lpt.follow(lpt.Job(label, 0, lpt.Size(steps=1, every=1))).cell
    assert all(lpt.NONE not in lpt._random_cell(seed).walk for seed in range(40))


def test_the_rival_is_the_fastest_static_child_that_is_as_accurate_on_validation_images() -> None:
    ways = {
        OURS: Measured(90.0, 90.0, 5.0, 3.0, 5.0),
        MOBILE: Measured(95.0, 95.0, 9.0, 6.0, 9.0),
        CHILD.format(BOUNDS[0]): Measured(89.6, 80.0, 6.0, 4.0, 6.0),
        CHILD.format(BOUNDS[1]): Measured(80.0, 99.0, 1.0, 1.0, 1.0),
    }
    assert cheapest(ways) is ways[CHILD.format(BOUNDS[0])] and matched(ways)
    better = {**ways, OURS: Measured(99.0, 9.0, 5.0, 3.0, 5.0)}
    assert cheapest(better) is ways[MOBILE] and not matched(better)


def test_every_way_of_a_search_begins_with_the_same_warmed_weights_and_its_own_statistics() -> None:
    rng, space = np.random.default_rng(0), shared_space("nasbench201")
    task = load_task((rng.integers(0, 256, (120, 8, 8), dtype=np.uint8), np.arange(120) % 3))
    recipe = SharedRecipe(channels=4, resolution=8, steps=4, batch=16, augment=True)
    judged = tuple(space.sample(rng) for _ in range(3))
    ways = (Variant("uniform"), Variant("uniform", running=True), Variant("multinomial"))
    found = search(Job(task, 0, recipe, replace(recipe, steps=1), 2, ways, judged))
    assert found.variants.keys() == set(ways) and all(len(each.rewards) == 1 for each in found.variants.values())
    alone = search(Job(task, 0, recipe, replace(recipe, steps=1), 2, ways[2:], judged))
    assert np.array_equal(alone.variants[ways[2]].scores, found.variants[ways[2]].scores)
    assert np.array_equal(alone.repaired, found.repaired) and not np.array_equal(found.running, found.repaired)


def test_recurrent_children_are_scored_on_weights_that_they_learnt_together() -> None:
    cells = children(TEXT, 2)
    before, after = (recurrent.score_by_shared_weights(cells, steps=steps, seed=0) for steps in (1, 12))
    assert before.shape == (2,) and (after > before).all() and (after < 0).all()


def test_the_entropy_of_a_policy_falls_with_what_it_is_told() -> None:
    space = shared_space("nasbench201")
    uniform, learning = new_policy("uniform", space, 0), new_policy("reinforce", space, 0)
    assert len({new_policy("uniform", space, seed).likeliest() for seed in range(4)}) > 1
    assert spread(uniform) > 0.97 and spread(learning) > 0.9
    for i in range(40):
        drawn = learning.draw(10, seed=i)
        learning.tell(drawn, [10.0 * sum(choice == 3 for choice in each.walk) for each in drawn])
    assert spread(learning) < 0.9 * spread(uniform)
    assert sum(choice == 3 for choice in learning.likeliest().walk) > 3
