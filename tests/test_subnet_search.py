"""Subnets foretold on held-out classes, and searched for within a bound: planted worlds, no training of networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from made_up import WIDTH, episode, task

from databases.architectures.catalogue import Catalogue
from databases.architectures.space import Architecture
from databases.architectures.spaces.subnets import RESIDUAL_SUBNETS
from databases.datasets.features import TaskFeatures
from databases.datasets.sampler import TaskSpec
from databases.records.episodes import Episode
from metad2a.build.subnets import BaseImages
from metad2a.evaluate import subnet_search, subnets
from metad2a.evaluate.subnet_search import (
    Objective,
    by_evolution,
    by_generator,
    by_random,
    measured_accuracies,
    preference,
    taught_generator,
)
from metad2a.evaluate.subnets import MEAN, OURS, WRONG, SubnetRows, judged, taught, unseen
from metad2a.generate.generator import Generator, GeneratorConfig
from metad2a.retrain.meta_training import Schedule
from predictors.meta import MetaPredictor, Scores
from predictors.scale import to_percent

NAME = RESIDUAL_SUBNETS.name


def deep(subnet: Architecture, stage: int) -> bool:
    return len(RESIDUAL_SUBNETS.stages(subnet)[stage]) == 2


@pytest.fixture(scope="module")
def rows() -> SubnetRows:
    """Every other task lies around -1 and wants a deep first stage, the others around 1 and a deep last one."""
    catalogue = Catalogue(NAME)
    drawn = catalogue.some(32, np.random.default_rng(0))
    cells = catalogue.add(drawn).tolist()
    tasks, specs = [], []
    for number in range(44):
        side, fold = 1 if number % 2 else -1, f"fold {number // 2 % 2}"
        values = [0.5 * (deep(each, 3) if side > 0 else deep(each, 0)) + 0.3 * deep(each, 1) for each in drawn]
        known = task(number, at=side)
        tasks.append(episode(known, cells, to_percent(np.array(values)).tolist(), recipe="inherited", family=fold))
        specs.append(TaskSpec("made up", (0, 1, 2), 5))
    price = np.full(len(drawn), 1e6)  # all cost the same
    return SubnetRows(tuple(tasks), tuple(specs), catalogue, price, price)


def test_what_images_change_is_learnt_of_other_classes(rows: SubnetRows) -> None:
    quick = Schedule(60, 1e-2, cells=0, own=1), Schedule(60, 1e-2, cells=0, own=6, slow=0.3)
    found = judged(rows, "fold 0", taught(rows, "fold 0", schedules=quick))
    every = np.full(len(rows.flops), True)
    taus = {name: found.taus(name, every).mean() for name in found.said}
    assert taus[OURS] > 0.6 and taus[OURS] > taus[MEAN] + 0.1
    assert {OURS, WRONG, MEAN} < set(found.said) and found.true.shape == (22, 32)


def test_held_out_classes_and_subnets_are_never_learnt(rows: SubnetRows, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Episode] = []

    def noted(model: MetaPredictor, training: Sequence[Episode], *args: object, **options: object) -> MetaPredictor:
        seen.extend(training)
        return model

    monkeypatch.setattr(subnets, "meta_train", noted)
    taught(rows, "fold 1")
    hidden = set(rows.episodes[0].cells[unseen(rows)].tolist())
    assert len(hidden) == len(rows.flops) // 4
    assert {each.family for each in seen} == {"fold 0"}
    assert all(not hidden & set(each.cells.tolist()) for each in seen)


class Planted:
    """A predictor that likes a deep last stage, then a deep first one, and counts what it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, task: TaskFeatures, subnets: Sequence[Architecture], *, recipe: str) -> Scores:
        self.calls += len(subnets)
        values = np.array([2.0 * deep(each, 3) + deep(each, 0) for each in subnets])
        return Scores(values, values)


@pytest.fixture
def asked(rows: SubnetRows) -> Objective:
    bound = RESIDUAL_SUBNETS.flops(RESIDUAL_SUBNETS.base, resolution=32) * 0.7
    return Objective(cast(MetaPredictor, Planted()), rows.episodes[0].features, rows, bound, {})


def test_searches_keep_to_the_bound_and_the_calls(rows: SubnetRows, asked: Objective) -> None:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(WIDTH, NAME, ("inherited",), width=8, latent=2, state=8))
    for way in (by_random, by_evolution, lambda of, **given: by_generator(of, generator, **given)):
        asked.told.clear()
        asked.model.calls = 0  # type: ignore[assignment]
        pick = way(asked, calls=60, seed=1)
        assert asked.allowed(pick) and asked.told[pick] == max(asked.told.values()) == 3.0
        assert len(asked.told) == cast(Any, asked.model).calls == 60
        assert all(asked.allowed(each) for each in asked.told)
        assert way(asked, calls=60, seed=1) == pick


class Sizes:
    """A predictor that likes many of the blocks' channels, by vectors that are the subnets themselves."""

    def encode_many(self, subnets: Sequence[Architecture]) -> Sequence[Architecture]:
        return subnets

    def predict_encoded(self, task: TaskFeatures, subnets: Sequence[Architecture], *, recipe: str) -> Scores:
        values = np.array([sum(e for stage in RESIDUAL_SUBNETS.stages(each) for _, e in stage) for each in subnets])
        return Scores(values, values)


def test_what_a_generator_draws_itself_teaches_it_on(rows: SubnetRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the best of the random subnets that it learnt first, and within the bound."""
    bound = RESIDUAL_SUBNETS.flops(RESIDUAL_SUBNETS.base, resolution=32) * 0.7
    for name, value in (("POOL", 60), ("STEPS", 40), ("AGAIN", 20), ("DRAWN", 20), ("GOOD", 8)):
        monkeypatch.setattr(subnet_search, name, value)
    model, drawn = cast(MetaPredictor, Sizes()), list[float]()
    for rounds in (0, 3):
        monkeypatch.setattr(subnet_search, "ROUNDS", rounds)
        generator = taught_generator(rows, "fold 0", model, bound=bound)
        task = rows.of("fold 0")[0][0].features
        some = generator.generate(generator.latent(task, recipe="inherited"), 100, seed=5)
        allowed = [each for each in some if RESIDUAL_SUBNETS.flops(each, resolution=32) <= bound]
        drawn.append(float(model.predict_encoded(task, cast(Any, allowed), recipe="").mean.mean()))
        assert len(allowed) > 10
    assert drawn[1] > drawn[0] + 0.2


def test_a_generator_that_hears_no_task_prefers_none(rows: SubnetRows) -> None:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(WIDTH, NAME, ("inherited",), width=8, latent=2, state=8)).eval()
    told = preference(rows, "fold 0", generator, bound=2e6)
    assert told.shape == (22, 2) and (told < 0).all() and not np.allclose(told[:, 0], told[:, 1])
    for layer in (generator.decoder.begin, generator.decoder.context):
        torch.nn.init.zeros_(layer.weight)
    deaf = preference(rows, "fold 0", generator, bound=2e6)
    np.testing.assert_allclose(deaf[:, 0], deaf[:, 1])


def test_picks_with_rows_are_looked_up_and_others_measured(rows: SubnetRows, monkeypatch: pytest.MonkeyPatch) -> None:
    images = BaseImages(np.zeros((2, 1), np.uint8), np.arange(9, dtype=np.uint8), np.array([0, 1, 2, 7, 8, 9, 0, 1, 2]))
    monkeypatch.setattr(subnet_search, "base_images", lambda *given: images)
    answers = np.eye(10, dtype=np.float32)[[0, 1, 1, 0, 0, 0, 1, 1, 1]]  # half of 0, 1, 2 are right
    monkeypatch.setattr(subnet_search, "inherited", lambda *given: lambda shown: answers[shown])
    first, other = rows.subnets[0], next(each for each in rows.catalogue.architectures if each not in rows.subnets)
    lines: list[str] = []
    found = measured_accuracies(rows, Path("nowhere"), {"fold 0": {first, other}}, lines.append)
    mine = rows.of("fold 0")[0]
    assert found["fold 0", first] == {each.features.fingerprint: each.accuracy[0] for each in mine}
    assert found["fold 0", other] == {each.features.fingerprint: 50.0 for each in mine}
    assert lines == ["fold 0: 2 picks measured"]
