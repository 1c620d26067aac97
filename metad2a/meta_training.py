"""Trains the meta-performance predictor over episodes: likelihood of the accuracies and a ranking loss inside tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from databases.architectures.spaces import space
from metad2a.episodes import Episode
from predictors.graph_encoder import tensors
from predictors.meta import RECIPE_NUMBER, MetaConfig, MetaPredictor, to_logit
from predictors.set_encoder import collate

FEWEST_TASKS = 20  # a recipe measured on fewer tasks teaches neither its level nor what the dataset changes


@dataclass(frozen=True)
class Schedule:
    """How long and how to train: Adam with a cosine schedule.

    Args:
        steps: parameter updates. learning_rate: its peak. weight_decay: of AdamW.
        cells: architectures drawn of a large episode a step. tasks: episodes of published task rows a step.
        own: episodes of fully measured tasks a step. ranking: weight of the ranking loss.
    """

    steps: int = 500
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    cells: int = 256
    tasks: int = 32
    own: int = 12
    ranking: float = 1.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Row:
    """One episode of a step, cut to the drawn cells."""

    episode: Episode
    cells: np.ndarray
    values: np.ndarray


def meta_train(
    model: MetaPredictor,
    training: Sequence[Episode],
    schedule: Schedule,
    *,
    on_step: Callable[[int, float], None] | None = None,
) -> MetaPredictor:
    """Trains ``model`` in place on ``training`` and returns it in eval mode."""
    torch.manual_seed(schedule.seed)
    rng = np.random.default_rng(schedule.seed)
    types, adjacency = tensors(space(model.config.space).graphs(space(model.config.space).classes))
    model.know_recipes([each.recipe for each in training], fewest=FEWEST_TASKS)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    cosine = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, total_steps=max(2, schedule.steps), pct_start=0.1
    )
    model.train()
    for step in range(schedule.steps):
        loss = _loss(model, _draw(training, schedule, rng), types, adjacency, schedule, rng)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        cosine.step()
        if on_step is not None:
            on_step(step + 1, float(loss.detach()))
    return model.eval()


def _draw(training: Sequence[Episode], schedule: Schedule, rng: np.random.Generator) -> list[_Row]:
    """The episodes of one step: all tables, some published tasks, some own tasks."""
    tables = [each for each in training if len(each.cells) >= 1000]
    single = [each for each in training if len(each.cells) < 5]
    own = [each for each in training if 5 <= len(each.cells) < 1000]
    rows = []
    for each in [*tables, *_some(single, schedule.tasks, rng), *_some(own, schedule.own, rng)]:
        keep = rng.permutation(len(each.cells))[: schedule.cells]
        rows.append(_Row(each, each.cells[keep], to_logit(each.accuracy[keep])))
    return rows


def _some(given: Sequence[Episode], count: int, rng: np.random.Generator) -> list[Episode]:
    return [given[i] for i in rng.permutation(len(given))[:count]]


def _loss(
    model: MetaPredictor,
    rows: Sequence[_Row],
    types: Tensor,
    adjacency: Tensor,
    schedule: Schedule,
    rng: np.random.Generator,
) -> Tensor:
    """Mean over the rows of Gaussian negative log likelihood plus pairwise ranking loss."""
    cells, places = np.unique(np.concatenate([row.cells for row in rows]), return_inverse=True)
    vectors = model.encode_architectures(types[torch.from_numpy(cells)], adjacency)
    tasks = model.encode_tasks(collate([row.episode.features for row in rows], rng))
    numbers = torch.tensor([RECIPE_NUMBER[row.episode.recipe] for row in rows])
    found = model(tasks, numbers, vectors)
    total, begin = torch.zeros(()), 0
    for i, row in enumerate(rows):
        place = torch.from_numpy(places[begin : begin + len(row.cells)])
        begin += len(row.cells)
        target = torch.from_numpy(row.values).float()
        mean, log_std = found.mean[i, place], found.log_std[i, place]
        likelihood = (0.5 * ((target - mean) / log_std.exp()) ** 2 + log_std).mean()
        total = total + likelihood * _weight(row) + schedule.ranking * _ranking(mean, target)
    return total / len(rows)


def _weight(row: _Row) -> float:
    return 1.0


def _ranking(mean: Tensor, target: Tensor) -> Tensor:
    """Logistic loss on the differences inside one task, in units of the task's spread (RankNet; Burges, 2005)."""
    if len(target) < 3:
        return mean.new_zeros(())
    spread = target.std() + 1e-3
    wanted = (target[:, None] - target[None, :]) / spread
    given = (mean[:, None] - mean[None, :]) / spread
    return (nn.functional.softplus(-4 * given * wanted.sign()) * wanted.abs().clamp(max=1)).mean()


def fresh(config: MetaConfig, *, seed: int) -> MetaPredictor:
    """An untrained predictor whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MetaPredictor(config)
