"""How well the order of a base's subnets is foretold on classes that the predictor never saw, at matched cost.

One fold of the classes is held out after another; the predictor learns the rows of the other folds' tasks and of three
quarters of the subnets, so that it is also judged on subnets of which it saw nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from databases.architectures.catalogue import Catalogue
from databases.architectures.networks import cost
from databases.architectures.space import Architecture
from databases.architectures.spaces.subnets import Subnets
from databases.datasets.sampler import TaskSpec, build_task
from databases.datasets.task import TRAIN, resize_images
from databases.errors import UserError
from databases.hosting import lent
from databases.records.episodes import Episode, episodes_with
from databases.records.store import Store
from metad2a.build.subnets import side_of, subnet_space, task_features
from metad2a.retrain.may_teach import may_teach
from metad2a.retrain.meta_training import Schedule, fresh, meta_train
from predictors.meta import MetaConfig, MetaPredictor
from predictors.metrics import tau_at_matched_cost
from predictors.scale import to_logit, to_percent
from predictors.zero_cost import naswot, worst_for_singular

Values = npt.NDArray[np.float64]
Chosen = npt.NDArray[np.bool_]
# First the average order, of one task that stands for all, which tells nothing of images; then what images change.
AVERAGE_FIRST = Schedule(steps=300, learning_rate=8e-3, cells=0, own=1)
THEN_TASKS = Schedule(steps=80, learning_rate=3e-3, cells=0, own=4, slow=0.1)
QUARTER = 4  # every fourth subnet is left out of the predictor's rows
OURS, WRONG, BLIND = "predictor", "predictor, another task's images", "predictor, no images"
MEAN, FLOPS, PARAMETERS, NASWOT = "inherited accuracy on the other classes", "FLOPs", "parameters", "NASWOT"
OF_IMAGES = 32  # that NASWOT looks at


@dataclass(frozen=True, eq=False)
class SubnetRows:
    """The rows of a space of subnets.

    Attributes:
        episodes: of the tasks; all have rows of the same n subnets, in the same order. specs: of the tasks.
        catalogue: numbers the subnets. flops, parameters: (n,).
    """

    episodes: tuple[Episode, ...]
    specs: tuple[TaskSpec, ...]
    catalogue: Catalogue
    flops: Values
    parameters: Values

    @property
    def space(self) -> Subnets:
        """That of the subnets."""
        return subnet_space(self.catalogue.space.name)

    @property
    def folds(self) -> list[str]:
        """The folds of the classes."""
        return sorted({each.family for each in self.episodes})

    @property
    def recipe(self) -> str:
        """That of the rows."""
        return self.episodes[0].recipe

    @property
    def subnets(self) -> list[Architecture]:
        """Those that were measured."""
        return [self.catalogue[number] for number in self.episodes[0].cells]

    def of(self, fold: str) -> tuple[list[Episode], list[Episode]]:
        """The tasks of a fold, and all others."""
        mine = [each for each in self.episodes if each.family == fold]
        return mine, [each for each in self.episodes if each.family != fold]


def read_rows(file: Path, images: Path, *, name: str, cache: Path | None = None) -> SubnetRows:
    """The rows of a file that `database export` wrote, with what predictors see of their tasks."""
    chosen, catalogue = subnet_space(name), Catalogue(name)
    with TemporaryDirectory() as folder, Store(Path(folder) / "rows.db") as store:
        store.import_csv(file)
        specs = {each.key: TaskSpec.from_json(each.spec) for each in store.tasks() if "classes" in each.spec}
        found = episodes_with(
            store,
            lambda entry: task_features(entry, images, cache) if entry.key in specs else None,
            usable=may_teach,
            catalogue=catalogue,
        )
    if not found:
        raise UserError(
            f"given {file}, which has no rows of the space {name}; give a file that `metad2a database export` wrote "
            f"after `metad2a database build --space {name}`"
        )
    common = sorted(set.intersection(*({*each.cells.tolist()} for each in found)))
    subnets = [catalogue[number] for number in common]
    return SubnetRows(
        tuple(_cut(each, common) for each in found),
        tuple(specs[each.features.fingerprint] for each in found),
        catalogue,
        np.array([chosen.flops(each, resolution=side_of(chosen)) for each in subnets], dtype=np.float64),
        np.array([_parameters(chosen, each) for each in subnets], dtype=np.float64),
    )


def unseen(rows: SubnetRows) -> Chosen:
    """(n,) which subnets are left out of what a predictor learns from."""
    left_out: Chosen = np.random.default_rng(QUARTER).permutation(len(rows.flops)) % QUARTER == 0
    return left_out


def taught(
    rows: SubnetRows,
    fold: str,
    *,
    seed: int = 0,
    schedules: tuple[Schedule, Schedule] = (AVERAGE_FIRST, THEN_TASKS),
) -> MetaPredictor:
    """A predictor that learns from the tasks of the other folds, and from the subnets that it may see."""
    known = rows.episodes[0].cells[~unseen(rows)].tolist()
    lessons = [_cut(each, known) for each in rows.of(fold)[1]]
    usual = to_percent(np.mean([to_logit(each.accuracy) for each in lessons], axis=0))
    average = replace(lessons[0], accuracy=usual, by_seed=usual[:, None])
    width = lessons[0].features.features.shape[1]
    config = MetaConfig(features=width, space=rows.space.name, recipes=(rows.recipe,))
    model = meta_train(fresh(config, seed=seed), [average], schedules[0], seed=seed, catalogue=rows.catalogue)
    return meta_train(model, lessons, schedules[1], seed=seed, catalogue=rows.catalogue)


@dataclass(frozen=True, eq=False)
class Judged:
    """The held-out tasks of a fold.

    Attributes:
        said: what a ranking says of each subnet, (tasks, n). true: inherited accuracy, percent. flops: (n,).
    """

    fold: str
    said: Mapping[str, Values]
    true: Values
    flops: Values

    def taus(self, name: str, among: Chosen) -> Values:
        """(tasks,) of a ranking among some subnets, over pairs that cost the same."""
        pairs = zip(self.said[name][:, among], self.true[:, among], strict=True)
        return np.array([tau_at_matched_cost(said, true, self.flops[among]) for said, true in pairs])


def judged(rows: SubnetRows, fold: str, model: MetaPredictor, scores: Values | None = None) -> Judged:
    """What a predictor and its rivals say of a fold's tasks; ``scores``: (n,) of NASWOT, where there are some."""
    mine, rest = rows.of(fold)
    vectors, others = model.encode_many(rows.subnets), [rest[(5 * i) % len(rest)] for i in range(len(mine))]
    blind = copy.deepcopy(model)
    blind.reads_dataset.zero_()
    alike = {
        BLIND: _said(blind, mine[:1], vectors)[0],
        MEAN: np.mean([to_logit(each.accuracy) for each in rest], axis=0),
        FLOPS: rows.flops,
        PARAMETERS: rows.parameters,
        **({} if scores is None else {NASWOT: scores}),
    }
    said = {OURS: _said(model, mine, vectors), WRONG: _said(model, others, vectors)}
    said |= {name: np.tile(values, (len(mine), 1)) for name, values in alike.items()}
    return Judged(fold, said, np.stack([each.accuracy for each in mine]), rows.flops)


def naswot_scores(rows: SubnetRows, fold: str, images: Path) -> Values:
    """(n,) NASWOT of the untrained subnets on some training images of a fold's first task."""
    first = next(spec for spec, each in zip(rows.specs, rows.episodes, strict=True) if each.family == fold)
    some = build_task(first, images).part(TRAIN)[0]
    drawn = resize_images(some[np.random.default_rng(0).permutation(len(some))[:OF_IMAGES]], side_of(rows.space))
    x = torch.from_numpy(drawn).permute(0, 3, 1, 2).float()
    x = (x - x.mean(dim=(0, 2, 3), keepdim=True)) / x.std(dim=(0, 2, 3), keepdim=True)
    found = []
    for each in rows.subnets:
        with lent(seed=0):
            network = rows.space.blueprint(each, classes=2).build()
        found.append(naswot(network, x))
    return worst_for_singular(np.array(found))


def _said(model: MetaPredictor, tasks: Sequence[Episode], vectors: Tensor) -> Values:
    """(tasks, n) predicted logit accuracies."""
    return np.stack([model.predict_encoded(each.features, vectors, recipe=each.recipe).mean for each in tasks])


def _cut(episode: Episode, cells: Sequence[int]) -> Episode:
    """An episode with the rows of these cells alone, in their order."""
    place = {cell: row for row, cell in enumerate(episode.cells.tolist())}
    return episode.rows([place[cell] for cell in cells])


def _parameters(chosen: Subnets, subnet: Architecture) -> int:
    return cost.parameters(cost.without_weights(chosen.blueprint(subnet, classes=1).build))
