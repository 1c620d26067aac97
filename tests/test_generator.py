"""The generator: valid architectures, and for each task those that suit it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import GENERATOR, task

from databases.architectures.decisions import Walk
from databases.architectures.space import space
from metad2a.generate.generator import Generator, Lesson, train_generator
from metad2a.train import loop
from metad2a.train.loop import Epoch
from predictors.set_encoder import collate


def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(GENERATOR)


def test_five_hundred_draws_are_valid() -> None:
    model = generator()
    chosen = space("nasbench201")
    found = model.generate(model.latent(task(), recipe="tiny"), 500)
    assert len(found) == 500
    assert all(chosen.architecture(each.walk) == each == chosen.parse(str(each)) for each in found)
    assert len(set(found)) > 400


def test_a_seed_repeats_the_draws() -> None:
    model = generator()
    z = model.latent(task(), recipe="tiny")
    assert model.generate(z, 50, seed=3) == model.generate(z, 50, seed=3) != model.generate(z, 50, seed=4)


def test_a_task_finds_the_walks_that_were_good_for_its_like() -> None:
    good: list[list[Walk]] = [[(3, 3, 3, 3, 3, a) for a in range(5)], [(1, 2, 1, 2, 1, a) for a in range(5)]]
    lessons = [Lesson(task(seed, at=2 * (seed % 2) - 1), "tiny", good[seed % 2], np.full(5, 0.2)) for seed in range(8)]
    model = train_generator(generator(), lessons, steps=120, seed=0, tasks=4, walks=8)
    for side in (0, 1):
        z = model.latent(task(99, at=2 * side - 1), recipe="tiny")
        own, other = (
            model.decoder.score(z.expand(5, -1), walks).log_probability.exp().sum().item()
            for walks in (good[side], good[1 - side])
        )
        assert own > 0.5
        assert other < 0.1


def test_a_training_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "EVERY", 0.0)
    lessons = [Lesson(task(seed), "tiny", [(3, 3, 3, 3, 3, a) for a in range(5)], np.full(5, 0.2)) for seed in range(3)]
    wanted = train_generator(generator(), lessons, steps=6, seed=1, tasks=2, walks=4)

    def dies(step: Epoch) -> None:
        if step.number == 3:
            raise KeyboardInterrupt

    options = {"steps": 6, "seed": 1, "tasks": 2, "walks": 4, "checkpoint": tmp_path / "c.pt"}
    with pytest.raises(KeyboardInterrupt):
        train_generator(generator(), lessons, on_epoch=dies, **options)  # type: ignore[arg-type]
    told: list[Epoch] = []
    found = train_generator(generator(), lessons, on_epoch=told.append, **options)  # type: ignore[arg-type]
    assert all(map(torch.equal, found.parameters(), wanted.parameters()))
    assert [each.number for each in told] == [1, 2, 3, 4, 5, 6]


def test_the_loss_charges_a_latent_that_strays_from_the_prior() -> None:
    model = generator().eval()
    torch.nn.init.constant_(model.mean.bias, 5.0)
    batch, recipes = collate([task()]), torch.zeros(1, dtype=torch.int64)
    walks: list[list[Walk]] = [[(3, 3, 3, 3, 3, 3)]]
    losses = []
    for kl in (0.0, 1.0):
        torch.manual_seed(0)
        losses.append(model.loss(batch, recipes, walks, kl=kl).item())
    mean, log_variance = model.encode(batch, recipes)
    wanted = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
    assert losses[1] - losses[0] == pytest.approx(wanted.item(), rel=1e-4)


def test_a_new_recipe_draws_as_a_known_one_at_first() -> None:
    model = generator()
    wider = model.with_recipes({"mine": "small"})
    assert torch.equal(wider.latent(task(), recipe="mine"), model.latent(task(), recipe="small"))
    assert torch.equal(wider.latent(task(), recipe="tiny"), model.latent(task(), recipe="tiny"))
