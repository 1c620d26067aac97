"""The meta-predictor: what it may say of a recipe, what reading the dataset changes, and that it learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up import CLASSES, CONFIG, GENERATOR, convolutions, episode, predictor, task

from databases.errors import UserError
from databases.records.episodes import Episode
from databases.records.recipe import FIRST_RECIPES
from metad2a.retrain.meta_training import Schedule, fresh, learn_recipes, meta_train
from metad2a.train import loop
from metad2a.train.loop import Epoch
from predictors.graph_encoder import EncodedCells
from predictors.meta import FEWEST_TASKS, MetaConfig, MetaPredictor
from predictors.network_config import NetworkConfig
from predictors.scale import to_logit, to_percent
from predictors.set_encoder import TaskBatch

CELLS = list(range(0, 6000, 250))
SOME = [CLASSES[i] for i in CELLS]
QUICK = Schedule(steps=80, learning_rate=1e-2, cells=64, own=8)


def planted(tasks: int, *, recipe: str = "tiny") -> list[Episode]:
    """Tasks around -1 prefer cells of few convolutions, tasks around 1 of many; these are also easier."""
    found = []
    for seed in range(tasks):
        side = 1 if seed % 2 else -1
        values = to_percent(side * 0.5 + side * 0.2 * (convolutions(CELLS) - 1.5))
        found.append(episode(task(seed, at=side), CELLS, values.tolist(), recipe=recipe))
    return found


def order(model: MetaPredictor, at: float, recipe: str = "tiny") -> np.ndarray:
    return np.argsort(model.predict(task(99, at=at), SOME, recipe=recipe).mean)


def test_a_task_is_encoded_once_whatever_the_number_of_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    model = predictor()
    encode, calls = model.encode_tasks, []

    def counted(batch: TaskBatch) -> torch.Tensor:
        calls.append(batch)
        return encode(batch)

    monkeypatch.setattr(model, "encode_tasks", counted)
    scores = model.predict(task(), SOME, recipe="tiny")
    assert len(calls) == 1
    assert scores.mean.shape == scores.std.shape == (len(SOME),)
    assert (scores.std > 0).all()


def test_architectures_encoded_before_score_as_if_encoded_now() -> None:
    model = predictor()
    now = model.predict(task(), SOME, recipe="tiny")
    before = model.predict_encoded(task(), model.encode_many(SOME), recipe="tiny")
    np.testing.assert_array_equal(now.mean, before.mean)
    alone = [model.predict(task(), [each], recipe="tiny").mean[0] for each in SOME]
    np.testing.assert_allclose(alone, now.mean, atol=1e-5)


def test_a_recipe_of_few_tasks_has_an_order_that_no_dataset_changes() -> None:
    model = predictor()
    torch.nn.init.normal_(model.task_factor.weight)
    model.know_recipe("tiny", center=0.0, between=1.0, within=1.0, reads_dataset=False)
    assert not model.level_known("tiny")
    np.testing.assert_array_equal(order(model, -1), order(model, 1))
    model.know_recipe("tiny", center=0.0, between=1.0, within=1.0, reads_dataset=True)
    assert model.level_known("tiny")
    assert not model.level_known("small")
    assert (order(model, -1) != order(model, 1)).any()


def test_the_level_is_known_from_twenty_tasks_on() -> None:
    model = predictor()
    learn_recipes(model, [*planted(FEWEST_TASKS), *planted(FEWEST_TASKS - 1, recipe="small")])
    assert model.level_known("tiny")
    assert not model.level_known("small")


def test_an_untrained_model_expects_the_mean_of_the_recipe() -> None:
    model = predictor()
    model.know_recipe("tiny", center=2.0, between=0.1, within=0.01, reads_dataset=True)
    np.testing.assert_allclose(model.predict(task(), SOME, recipe="tiny").mean, 2.0, atol=0.2)


@given(st.floats(1, 99))
def test_percent_and_logit_are_inverse(percent: float) -> None:
    assert to_percent(to_logit(percent)) == pytest.approx(percent)


def test_logits_of_certain_results_are_finite() -> None:
    assert np.isfinite(to_logit([0, 100])).all()


def test_a_fresh_model_depends_on_the_seed_alone() -> None:
    first, second, other = fresh(CONFIG, seed=1), fresh(CONFIG, seed=1), fresh(CONFIG, seed=2)
    torch.rand(3)
    assert torch.equal(first.recipe.weight, second.recipe.weight)
    assert not torch.equal(first.recipe.weight, other.recipe.weight)


def test_meta_training_learns_order_and_level_of_each_kind_of_task() -> None:
    losses: list[float] = []
    model = meta_train(
        fresh(CONFIG, seed=0), planted(24), QUICK, seed=0, on_epoch=lambda step: losses.append(step.loss)
    )
    assert len(losses) == QUICK.steps
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
    for side in (-1, 1):
        unseen = model.predict(task(99, at=side), SOME, recipe="tiny").mean
        assert np.corrcoef(unseen, side * convolutions(CELLS))[0, 1] > 0.9
        assert np.sign(np.mean(unseen)) == side


def test_meta_training_is_reproducible() -> None:
    quick = Schedule(steps=3, learning_rate=1e-2, cells=64, own=4)
    first, second = (meta_train(fresh(CONFIG, seed=0), planted(20), quick, seed=5) for _ in range(2))
    np.testing.assert_array_equal(
        first.predict(task(), SOME, recipe="tiny").mean, second.predict(task(), SOME, recipe="tiny").mean
    )


def test_meta_training_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "EVERY", 0.0)
    quick, known = Schedule(steps=6, learning_rate=1e-2, cells=64, own=4), planted(20)
    whole, told = list[Epoch](), list[Epoch]()
    wanted = meta_train(fresh(CONFIG, seed=0), known, quick, seed=5, on_epoch=whole.append)

    def dies(step: Epoch) -> None:
        if step.number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        meta_train(fresh(CONFIG, seed=0), known, quick, seed=5, checkpoint=tmp_path / "c.pt", on_epoch=dies)
    found = meta_train(fresh(CONFIG, seed=0), known, quick, seed=5, checkpoint=tmp_path / "c.pt", on_epoch=told.append)
    assert all(map(torch.equal, found.parameters(), wanted.parameters()))
    assert [(each.number, each.loss) for each in told] == [(each.number, each.loss) for each in whole]


def test_a_new_recipe_begins_with_the_average_order_of_a_known_one() -> None:
    model = predictor()
    model.know_recipe("metad2a", center=1.0, between=0.5, within=0.2, reads_dataset=True)
    model.know_recipe("nasbench201", center=2.0, between=1.0, within=0.5, reads_dataset=False)
    wider = model.with_recipes({"mine": "nasbench201", "yours": "metad2a"})
    for recipe in ("metad2a", "nasbench201"):
        first, second = (each.predict(task(), SOME, recipe=recipe).mean for each in (model, wider))
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(
        wider.predict(task(), SOME, recipe="mine").mean, model.predict(task(), SOME, recipe="nasbench201").mean
    )
    assert model.level_known("metad2a") and not wider.level_known("yours")
    assert MetaConfig.from_json(wider.config.to_json()) == wider.config
    with pytest.raises(UserError, match="does not know the recipe 'mine'"):
        model.level_known("mine")


@pytest.mark.parametrize("config", [CONFIG, GENERATOR], ids=["predictor", "generator"])
def test_a_header_gives_the_configuration_back_and_an_early_one_the_first_recipes(config: NetworkConfig) -> None:
    header = json.loads(json.dumps(config.to_json()))
    assert type(config).from_json(header) == config
    del header["recipes"]
    assert type(config).from_json(header) == replace(config, recipes=FIRST_RECIPES)


def test_recipes_are_numbered_in_their_order() -> None:
    config = NetworkConfig(features=4, recipes=("one", "two"))
    assert [config.number(each) for each in config.recipes] == [0, 1]
    with pytest.raises(UserError, match="does not know the recipe 'three': choose one of one, two"):
        config.number("three")


def test_encoded_cells_stand_for_the_encoder_and_keep_its_weights() -> None:
    whole = predictor()
    weights = {n.removeprefix("graph."): v for n, v in whole.state_dict().items() if n.startswith("graph.")}
    light = MetaPredictor(CONFIG, EncodedCells(whole.encode_many(CLASSES), weights))
    light.load_state_dict(whole.state_dict())
    expected = whole.predict(task(), SOME, recipe="tiny")
    np.testing.assert_allclose(light.predict(task(), SOME, recipe="tiny").mean, expected.mean, atol=1e-5)
    again = light.with_recipes({"mine": "tiny"})  # trainable, so it encodes by itself
    np.testing.assert_allclose(again.predict(task(), SOME, recipe="tiny").mean, expected.mean, atol=1e-5)
