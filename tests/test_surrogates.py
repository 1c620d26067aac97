"""Surrogates by recipe: which tasks they hold, what a holdout leaves, and that a checkpoint keeps them."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import CONFIG, convolutions, episode, predictor, task

from databases.records.episodes import Episode
from predictors import surrogates
from predictors.surrogates import learn_surrogates, pack_surrogates, unpack_surrogates

CELLS = list(range(0, 400, 20))


def measured(seed: int, recipe: str = "tiny", *, cells: int = 20, family: str = "") -> Episode:
    values = 40 + 5 * convolutions(CELLS[:cells]) + np.random.default_rng(seed).uniform(0, 2, cells)
    return episode(task(seed, at=seed), CELLS[:cells], values.tolist(), recipe=recipe, family=family)


def test_every_recipe_but_the_published_ones_has_one_over_its_measured_tasks() -> None:
    given = [measured(0), measured(1), measured(2, "mine"), measured(3, "mine", cells=4), measured(4, "nasbench201")]
    found = learn_surrogates(predictor(), given, {})
    assert {name: each.names for name, each in found.items()} == {"tiny": ("task0", "task1"), "mine": ("task2",)}


def test_earlier_tasks_stay_unless_they_are_measured_again() -> None:
    model = predictor()
    earlier = learn_surrogates(model, [measured(0), measured(1), measured(2, "mine")], {})
    found = learn_surrogates(model, [measured(1), measured(5)], earlier)
    assert found["tiny"].names == ("task1", "task5", "task0")
    assert found["mine"] is earlier["mine"]
    np.testing.assert_array_equal(found["tiny"].process.tasks[2].logits, earlier["tiny"].process.tasks[0].logits)


def test_without_a_family_nothing_of_it_is_left() -> None:
    given = [measured(0, family="a"), measured(1, family="b"), measured(2, family="a")]
    found = learn_surrogates(predictor(), given, {})["tiny"]
    alone = found.without("a")
    assert alone is not None and len(alone.tasks) == 1
    assert found.without("c") is found.process
    assert learn_surrogates(predictor(), given[:1], {})["tiny"].without("a") is None


def test_a_checkpoint_gives_them_back() -> None:
    model = predictor()
    found = learn_surrogates(model, [measured(0), measured(1), measured(2, "a.b"), measured(3, "a")], {})
    tensors, header = pack_surrogates(found)
    again = unpack_surrogates(tensors, {"surrogates": header}, model)
    assert again.keys() == {"tiny", "a", "a.b"} and again["a.b"].names == ("task2",)
    for name, each in found.items():
        asked = task(9, at=1).statistics, np.arange(30)
        np.testing.assert_allclose(again[name].process.predict(*asked).mean, each.process.predict(*asked).mean)


def test_a_checkpoint_of_other_statistics_is_refused() -> None:
    """What another version knew of the tasks cannot be put in today's places; `load` turns it into one clear line."""
    model = predictor()
    tensors, header = pack_surrogates(learn_surrogates(model, [measured(0), measured(1)], {}))
    fewer = {name: value[:, :-1] if name.endswith(".statistics") else value for name, value in tensors.items()}
    with pytest.raises(KeyError, match="statistics"):
        unpack_surrogates(fewer, {"surrogates": header}, model)


def test_of_too_many_cells_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogates, "MOST_CELLS", 30)
    given = [measured(i) for i in range(3)] + [measured(3, cells=6)]
    tasks = learn_surrogates(predictor(CONFIG), given, {})["tiny"].process.tasks
    assert sum(len(each.cells) for each in tasks) <= 30 and min(len(each.cells) for each in tasks) >= 5
