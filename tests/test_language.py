"""Small language models: equal sizes, learning, carried states, and trainings that fail."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from databases.datasets.text import Text
from databases.errors import UserError
from metad2a.train import loop
from metad2a.train.language import LanguageModel, LanguageRecipe, cross_entropy, maker, train

FIGURE = "nas-rl-recurrent: add tanh, multiply relu, multiply sigmoid; add relu into 0, memory 1"
RECIPE = LanguageRecipe(parameters=1500, embedding=8, epochs=6, batch=8, steps=10, dropout=0.0)


def counting(size: int = 6, length: int = 2400) -> Text:
    """Each token is followed by the next number."""
    tokens = np.arange(length) % size
    return Text("word", tuple(map(str, range(size))), tokens, tokens[:300], tokens[:300])


@pytest.mark.parametrize("cell", ["tanh", "lstm", FIGURE])
def test_models_are_as_large_as_allowed_and_learn(cell: str) -> None:
    trained = train(maker(cell), counting(), RECIPE)
    assert trained.parameters == sum(each.numel() for each in trained.model.parameters()) <= 1500
    wider = LanguageModel(maker(cell)(8, trained.width + 1), trained.width + 1, vocabulary=6, embedding=8, dropout=0)
    assert sum(each.numel() for each in wider.parameters()) > 1500
    assert trained.valid < 1.0 < math.log(6)
    assert cross_entropy(trained.model, counting().test) == pytest.approx(trained.valid)


def test_the_same_seed_gives_the_same_model() -> None:
    recipe = replace(RECIPE, epochs=0.5, dropout=0.2)
    losses = [train(maker("tanh"), counting(), recipe, seed=seed).valid for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("cell", ["lstm", FIGURE])
def test_a_training_that_is_killed_ends_with_the_same_weights(
    cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, epochs=2, dropout=0.2)
    whole, take = train(maker(cell), counting(), recipe), loop.Loop._step
    monkeypatch.setattr(loop, "EVERY", 0.0)
    for step in (7, 33, math.inf):  # of 30 an epoch

        def until(each: loop.Loop, *given: Any, last: float = step) -> None:
            if each.step == last:
                raise KeyboardInterrupt
            take(each, *given)

        monkeypatch.setattr(loop.Loop, "_step", until)
        with suppress(KeyboardInterrupt):
            ended = train(maker(cell), counting(), recipe, checkpoint=tmp_path / "kept")
    assert all(map(torch.equal, ended.model.parameters(), whole.model.parameters()))
    assert ended.valid == whole.valid


def test_a_training_that_diverges_scores_like_a_guess() -> None:
    trained = train(maker("tanh"), counting(), replace(RECIPE, learning_rate=1e30))
    assert trained.valid == pytest.approx(math.log(6))


def test_states_are_carried_from_one_stretch_to_the_next() -> None:
    class Remembers(nn.Module):
        """Its state is the number of steps so far."""

        def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
            steps = torch.arange(len(x)).view(-1, 1, 1) + (0 if state is None else state)
            seen.extend(steps.flatten().tolist())
            return x, steps[-1, 0, 0] + 1

    seen: list[int] = []
    model = LanguageModel(Remembers(), 8, vocabulary=6, embedding=8, dropout=0)
    cross_entropy(model, counting(length=101).train, batch=1, steps=30)
    assert seen == list(range(100))


def test_a_space_of_image_networks_has_no_cells() -> None:
    with pytest.raises(UserError, match="given the space 'nasbench201', but it builds no recurrent cells"):
        maker("nasbench201: x")
