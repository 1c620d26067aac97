"""How far a dataset lies from the known tasks, and when it is unlike all of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_up import task

from predictors.task_distance import KnownTasks


def known() -> KnownTasks:
    """Four sources at 0, 1, 2 and 3, two tasks each."""
    return KnownTasks.learn([task(i, at=i // 2, per_class=40) for i in range(8)], list("aabbccdd"))


def test_the_nearest_task_is_itself_and_then_its_relative() -> None:
    found, unlike = known().nearest(task(2, at=1, per_class=40))
    assert [each.name for each in found][:2] == ["task2", "task3"]
    assert found[0].distance == pytest.approx(0, abs=1e-6)
    assert [each.distance for each in found] == sorted(each.distance for each in found)
    assert [each.source for each in found][:2] == ["b", "b"]
    assert not unlike


def test_a_task_far_from_all_is_unlike_them() -> None:
    assert known().nearest(task(50, at=20))[1]


def test_distances_are_in_units_of_a_typical_pair_of_strangers() -> None:
    tasks = [task(i, at=i, per_class=40) for i in range(3)]
    learnt = KnownTasks.learn(tasks, list("abc"))
    (_, second), _ = learnt.nearest(tasks[0], count=2)
    assert second.distance == pytest.approx(1, abs=0.1)


def test_a_close_relative_does_not_hide_that_a_source_is_far() -> None:
    pairs = [task(i, at=i, per_class=40) for i in (0, 0, 5, 5)]
    assert KnownTasks.learn(pairs, list("aabb")).limit > 0.9  # relatives lie at distance 0 of each other
    assert KnownTasks.learn(pairs, list("abcd")).limit < 0.1


def test_the_header_and_places_bring_it_back() -> None:
    before = known()
    after = KnownTasks.from_header(json.loads(json.dumps(before.header())), before.places)
    asked = task(9, at=1.4)
    assert after.nearest(asked) == before.nearest(asked)


def test_where_nothing_is_known_everything_is_unlike() -> None:
    nothing = KnownTasks((), (), np.zeros((0, 12), np.float32), 1.0, 0.0)
    assert nothing.nearest(task()) == ([], True)


def test_more_tasks_are_neighbours_but_move_no_limit() -> None:
    known = KnownTasks.learn([task(i, at=i) for i in range(4)], list("abcd"))
    wider = known.with_tasks([task(9, at=40), task(1, at=-5)], ["far", "moved"])
    assert (wider.limit, wider.scale) == (known.limit, known.scale)
    assert wider.names == ("task0", "task2", "task3", "task9", "task1")
    (nearest,), unlike = wider.nearest(task(8, at=40), count=1)
    assert (nearest.name, nearest.source, unlike) == ("task9", "far", False)
    assert known.nearest(task(8, at=40))[1]
