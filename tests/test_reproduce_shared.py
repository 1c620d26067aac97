"""The demonstrations of shared weights: what they match, mix and choose."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from databases.architectures.space import Architecture, Space, image_space, shared_space
from databases.datasets.loading import load_task
from databases.datasets.task import Task
from metad2a.reproduce import lpt
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.enas import other_spaces, recurrent
from metad2a.reproduce.enas.children import DERIVED, Job, Variant, derive, new_policy, search, spread
from metad2a.reproduce.enas.other_spaces import DIGITS, TEXT, ChildTraining, OtherSpaces, Sharing, children, share
from metad2a.reproduce.instanas.paths import BOUNDS, CHILD, MOBILE, OURS, Measured, cheapest, matched
from metad2a.reproduce.lpt import EASY_KIND, HARD_KIND, OUTLIER_KIND
from metad2a.reproduce.shufflenasnets import frames
from metad2a.supernets.passing_tests import PassingTests
from metad2a.supernets.training import Labelled, SharedRecipe


def test_cells_of_two_frames_are_compared_at_equal_parameters() -> None:
    rng = np.random.default_rng(0)
    cell = shared_space("shufflenasnet").sample(rng)
    for wanted in (12_000, 40_000):
        channels = frames.matched(cell, wanted)
        found = image_space("shufflenasnet").parameters(cell, frames.skeleton(channels))
        assert found == pytest.approx(wanted, rel=0.15)


def test_both_frames_are_timed_in_every_setting_and_trained_at_equal_parameters_on_every_image_set() -> None:
    rng = np.random.default_rng(0)

    def task(channels: int, classes: int) -> Task:
        images = rng.integers(0, 256, (20 * classes, 8, 8, channels), dtype=np.uint8)
        return load_task((images, np.arange(len(images)) % classes))

    tasks = {frames.DIGITS: task(1, 4), frames.SIGNS: task(3, 7)}
    found = frames.follow(frames.Job(1, replace(frames.FAST, px=8, images=60), tasks))
    assert len(found.passes) == 4 and frames.JUDGED in found.passes
    assert len(pickle.dumps(found)) < 5_000  # what is kept of a job holds no images
    timed = {*frames.NAMES, frames.AGAIN}
    assert all(each.keys() == timed and min(each.values()) > 0 for each in found.passes.values())
    assert {images: set(each) for images, each in found.test.items()} == {each: set(frames.NAMES) for each in tasks}
    cells = {name: shared_space(name).sample(rng) for name in frames.FRAMES}
    cells[frames.HALF] = cells[frames.SHUFFLE]
    for inputs, classes in ((1, 10), (3, 43)):
        of = {
            name: image_space(cells[name].space).parameters(cells[name], frames.skeleton(width, inputs, classes))
            for name, width in frames.widths(cells, inputs, classes).items()
        }
        assert of[frames.SHUFFLE] == pytest.approx(of[frames.ENAS], rel=0.15)
        assert of[frames.HALF] == pytest.approx(of[frames.ENAS] / 2, rel=0.2)


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
    assert np.array_equal(alone.variants[ways[2]].rewards, found.variants[ways[2]].rewards)
    assert [each.scores.size for each in found.variants.values()] == [3, 0, 0]
    assert np.array_equal(alone.repaired, found.repaired) and not np.array_equal(found.running, found.repaired)


def test_recurrent_children_are_scored_on_weights_that_they_learnt_together() -> None:
    cells, shared = children(TEXT, 2), recurrent.SharedText(0)
    shared.teach(1, seed=0)
    before = shared.score(cells)
    shared.teach(12, seed=0)
    after, rewards = shared.score(cells), shared.reward(cells)
    assert before.shape == (2,) and (after > before).all() and (after < 0).all()
    assert all(0 < each < recurrent.REWARD for each in rewards)


@pytest.mark.parametrize("name", [*DIGITS, TEXT])
def test_the_policy_and_the_weights_of_each_other_space_learn_in_turn(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, drawn = list[int](), list[int]()

    def watched(kind: str, space: Space, seed: int) -> Any:
        made = new_policy(kind, space, seed)
        tell, draw = made.tell, made.draw

        def told_of(architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
            told.append(len(architectures))
            tell(architectures, scores)

        def drew(count: int, *, seed: int = 0) -> list[Architecture]:
            drawn.append(count)
            return draw(count, seed=seed)

        monkeypatch.setattr(made, "tell", told_of)
        monkeypatch.setattr(made, "draw", drew)
        return made

    monkeypatch.setattr("metad2a.reproduce.enas.other_spaces.new_policy", watched)
    found = share(Sharing(name, 0, OtherSpaces(2, 1, (1, 1), (2, 2), (2, 2), 3)))
    assert found.scores.shape == (2,) and {each.space for each in found.cells.values()} == {name}
    assert told == 2 * [3, 3]  # in each of two turns, ENAS's policy and one that learns nothing
    for draws, last in ((drawn[:5], DERIVED), (drawn[5:], 6)):  # batches, told; batches, told; what is derived
        assert len(draws) == 5 and draws[1] == draws[3] == 3 and draws[4] == last


def test_a_policy_that_learns_nothing_ends_with_the_best_of_what_it_asked() -> None:
    space, rng = shared_space("nasbench201"), np.random.default_rng(3)
    worth: dict[Architecture, float] = {}

    def reward(children: Sequence[Architecture]) -> list[float]:
        return [worth.setdefault(each, float(rng.random())) for each in children]

    nothing, learns = (new_policy(name, space, 0) for name in ("uniform", "reinforce"))
    found = derive(nothing, reward, count=4, asked=50, seed=1)
    assert [worth[each] for each in found] == sorted((worth[each] for each in nothing.draw(50, seed=1)), reverse=True)[
        :4
    ]
    assert derive(learns, reward, count=4, asked=50, seed=1) == learns.draw(4, seed=1)


def test_a_child_that_two_seeds_find_is_trained_alone_once_for_each_training() -> None:
    ran: list[ChildTraining] = []

    class Here(Context):
        def run(self, follow: Any, jobs: Any) -> Any:
            ran.extend(jobs)
            return [(each, float(each.seed)) for each in ran]

    child, cell = children("enas-macro", 1)[0], children(TEXT, 1)[0]
    found = other_spaces._trained_alone([child, cell, child], OtherSpaces(trainings=3), Here(fast=True))
    assert found == {child: 1.0, cell: 0.0} and len(ran) == 4


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
