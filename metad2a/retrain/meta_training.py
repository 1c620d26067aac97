"""Trains the meta-performance predictor over episodes: order inside tasks, levels between tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from databases.architectures.catalogue import Catalogue
from databases.architectures.space import finite_space
from databases.hosting import lent
from databases.records.episodes import FEW, Episode, Known
from metad2a.train.loop import Loop, OnEpoch, in_turn, remembered
from metad2a.train.optimisers import AdamW
from predictors.graph_encoder import tensors
from predictors.meta import FEWEST_TASKS, MetaConfig, MetaPredictor
from predictors.scale import to_logit
from predictors.set_encoder import TaskBatch, collate
from predictors.table_memory import shrunk


@dataclass(frozen=True)
class Schedule:
    """One stage of training: AdamW with a one-cycle schedule.

    Args:
        steps: parameter updates. learning_rate: its peak.
        cells: architectures drawn of each table a step. single: episodes of few cells a step.
        own: episodes of fully measured tasks a step. ranking: weight of the ranking loss.
        slow: factor on the learning rate of graph encoder and common base; 0 keeps what the tables taught.
    """

    steps: int
    learning_rate: float
    cells: int
    single: int = 0
    own: int = 0
    ranking: float = 0.3
    weight_decay: float = 1e-2
    slow: float = 1.0


TABLES_FIRST = Schedule(steps=1500, learning_rate=8e-3, cells=256)
THEN_TASKS = Schedule(steps=160, learning_rate=3e-3, cells=128, single=8, slow=0.0)


@dataclass(frozen=True, eq=False)
class _Row:
    """One episode of a step, cut to the drawn cells, with its logit accuracies."""

    episode: Episode
    cells: np.ndarray
    values: np.ndarray


Batch = tuple[list[_Row], TaskBatch | None]  # rows, and the tasks of those whose recipe reads its dataset


def fresh(config: MetaConfig, *, seed: int) -> MetaPredictor:
    """An untrained predictor whose weights depend on the seed alone."""
    with lent(seed=seed):
        return MetaPredictor(config)


def learn_recipes(model: MetaPredictor, training: Sequence[Episode]) -> None:
    """Tells the model each recipe's mean and spreads, and which recipes were measured on enough tasks."""
    for recipe in {each.recipe for each in training}:
        values = [to_logit(each.accuracy) for each in training if each.recipe == recipe]
        inside = [float(each.std()) for each in values if len(each) >= FEW]
        levels = np.array([each.mean() for each in values])
        many = len(values) >= FEWEST_TASKS
        between = max(float(levels.std()), 0.1) if many else 1.0
        within = float(np.median(inside)) if inside else between
        model.know_recipe(recipe, center=float(levels.mean()), between=between, within=within, reads_dataset=many)


def meta_train(
    model: MetaPredictor,
    training: Sequence[Episode],
    schedule: Schedule,
    *,
    seed: int,
    catalogue: Catalogue | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> MetaPredictor:
    """Trains ``model`` in place for one stage and returns it in eval mode; an epoch is a step.

    With ``checkpoint`` (a file) it goes on where it was killed, and ``on_epoch`` is told all steps.
    ``catalogue`` numbered the cells of the episodes; it may be left out where its space is listed.
    """
    with lent(seed=seed):
        numbered = Catalogue(model.config.space) if catalogue is None else catalogue
        graphs = tensors(numbered.space.graphs(numbered.architectures))
        learn_recipes(model, training)
        known = Known.of(training)
        kept = [*model.graph.parameters(), *model.base.parameters()]
        rest = [each for each in model.parameters() if all(each is not other for other in kept)]
        rates = [schedule.slow * schedule.learning_rate, schedule.learning_rate]
        optimiser = AdamW(
            [{"params": kept}, {"params": rest}], lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        cycle = OneCycleLR(optimiser, rates, total_steps=max(2, schedule.steps), pct_start=0.15)
        loop = Loop(
            *(model, optimiser),
            steps=schedule.steps,
            schedule=cycle,
            seed=seed,
            gradient_norm=1.0,
            checkpoint=checkpoint,
        )

        def drawn() -> Iterator[list[Batch]]:
            rng = np.random.default_rng(seed)
            while True:
                rows = _draw(known, schedule, rng, len(graphs[0]))
                yield [(rows, _tasks(model, rows, rng))]

        def loss(network: nn.Module, batch: Batch) -> Tensor:
            return _loss(model, *batch, graphs, schedule.ranking)

        loop.run(in_turn(loop, drawn()), loss, on_epoch=remembered(loop, on_epoch))
    return model.eval()


def remember(model: MetaPredictor, tables: Sequence[Episode]) -> dict[str, npt.NDArray[np.float64]]:
    """Recipe -> (classes,) what its published table says of each class beyond the predictor, where it is one table."""
    found = {}
    for table in tables:
        if sum(each.recipe == table.recipe for each in tables) == 1:
            classes = finite_space(model.config.space).classes
            said = model.predict(table.features, [classes[i] for i in table.cells], recipe=table.recipe).mean
            found[table.recipe] = np.zeros(len(classes))
            found[table.recipe][table.cells] = shrunk(to_logit(table.by_seed) - said[:, None])
    return found


def _draw(known: Known, schedule: Schedule, rng: np.random.Generator, classes: int) -> list[_Row]:
    """The rows of one step; all tables share their drawn cells, so that each is encoded once."""
    drawn = rng.permutation(classes)[: schedule.cells]
    rows = [_row(each, np.flatnonzero(np.isin(each.cells, drawn))) for each in known.tables]
    rest = [*_some(known.single, schedule.single, rng), *_some(known.own, schedule.own, rng)]
    return rows + [_row(each, np.arange(len(each.cells))) for each in rest]


def _row(episode: Episode, keep: np.ndarray) -> _Row:
    return _Row(episode, episode.cells[keep], to_logit(episode.accuracy[keep]))


def _some(given: Sequence[Episode], count: int, rng: np.random.Generator) -> list[Episode]:
    return [given[i] for i in rng.permutation(len(given))[:count]]


def _reading(model: MetaPredictor, rows: Sequence[_Row]) -> Tensor:
    """(r,) positions of the rows whose recipe reads its dataset."""
    return torch.nonzero(model.reads_dataset[_numbers(model, rows)])[:, 0]


def _numbers(model: MetaPredictor, rows: Sequence[_Row]) -> Tensor:
    """(n,) of the rows' recipes."""
    return torch.tensor([model.number(row.episode.recipe) for row in rows])


def _tasks(model: MetaPredictor, rows: Sequence[_Row], rng: np.random.Generator) -> TaskBatch | None:
    """The tasks of those rows, as `rng` draws their images."""
    reading = _reading(model, rows).tolist()
    return collate([rows[i].episode.features for i in reading], rng) if reading else None


def _loss(
    model: MetaPredictor,
    rows: Sequence[_Row],
    batch: TaskBatch | None,
    graphs: tuple[Tensor, Tensor],
    ranking: float,
) -> Tensor:
    """The mean over the rows of what `_row_loss` says."""
    cells, places = np.unique(np.concatenate([row.cells for row in rows]), return_inverse=True)
    types, adjacency = graphs
    chosen = torch.from_numpy(cells)
    vectors = model.encode_architectures(types[chosen], adjacency if len(adjacency) == 1 else adjacency[chosen])
    numbers = _numbers(model, rows)
    tasks = torch.zeros(len(rows), model.config.width)
    if batch is not None:
        tasks = tasks.index_copy(0, _reading(model, rows), model.encode_tasks(batch))
    found = model(tasks, numbers, vectors)
    total, begin = torch.zeros(()), 0
    for i, row in enumerate(rows):
        place = torch.from_numpy(places[begin : begin + len(row.cells)])
        begin += len(row.cells)
        _, between, within = model.constants[numbers[i]]
        target = torch.from_numpy(row.values).float()
        total = total + _row_loss(found.mean[i, place], found.log_std[i, place], target, between, within, ranking)
    return total / len(rows)


def _row_loss(mean: Tensor, log_std: Tensor, target: Tensor, between: Tensor, within: Tensor, ranking: float) -> Tensor:
    """Robust error of level and deviations, each in its own unit; ranking; and the likelihood of the spread.

    mean, log_std, target: (n,). The spread is fitted to the residuals as they are and does not move the mean.
    """
    residual = (target - mean).detach()
    spread = (0.5 * (residual / log_std.exp()) ** 2 + log_std).mean()
    if len(target) < FEW:
        return _robust((target - mean) / within).mean() + 0.1 * spread
    unit = target.std() + 1e-3
    deviation = _robust((target - target.mean() - mean + mean.mean()) / unit).mean()
    level = _robust((target.mean() - mean.mean()) / between)
    return deviation + level + ranking * _ranking(mean / unit, target / unit) + 0.1 * spread


def _robust(error: Tensor) -> Tensor:
    return nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.3, reduction="none")


def _ranking(mean: Tensor, target: Tensor) -> Tensor:
    """Logistic loss on all differences inside one task (RankNet; Burges et al., 2005)."""
    wanted = target[:, None] - target[None, :]
    given = mean[:, None] - mean[None, :]
    return (nn.functional.softplus(-4 * given * wanted.sign()) * wanted.abs().clamp(max=1)).mean()
