"""The simple rivals of the meta-predictor on a held-out own task: each ranks its cells, or tells its level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, finite_space
from databases.datasets.features import STATISTICS
from databases.datasets.task import Task
from databases.hosting import importing
from databases.kept import keep, read
from databases.records.episodes import Episode
from databases.records.recipe import Recipe
from predictors.scale import to_logit
from predictors.zero_cost import zero_cost

Values = npt.NDArray[np.float64]
TREES = 200


def best_on_average(episodes: Sequence[Episode]) -> dict[int, float]:
    """Cell -> its mean over tasks of the accuracy in units of the task's spread: ranks without a dataset.

    Cells that fewer than three tasks measured are left out.
    """
    values: dict[int, list[float]] = defaultdict(list)
    for each in episodes:
        for cell, value in zip(each.cells.tolist(), units(each).tolist(), strict=True):
            values[cell].append(value)
    return {cell: float(np.mean(found)) for cell, found in values.items() if len(found) >= 3}


def units(episode: Episode) -> Values:
    """(n,) logit accuracies less their mean, in units of their spread."""
    logit = to_logit(episode.accuracy)
    found: Values = (logit - logit.mean()) / (logit.std() + 1e-9)
    return found


def nearest_first(episode: Episode, others: Sequence[Episode]) -> list[Episode]:
    """``others`` by the distance of their features from the episode's."""
    place = episode.features.mean()
    return sorted(others, key=lambda each: float(((each.features.mean() - place) ** 2).sum()))


def copied_ranking(episode: Episode, others: Sequence[Episode]) -> Values:
    """Each cell's value on the nearest task that measured it, NaN where none did; (n,)."""
    found: dict[int, float] = {}
    for each in nearest_first(episode, others):
        for cell, value in zip(each.cells.tolist(), units(each).tolist(), strict=True):
            found.setdefault(cell, value)
    return np.array([found.get(cell, np.nan) for cell in episode.cells.tolist()])


def parameters_of(episode: Episode) -> Values:
    """Parameters of the cells, (n,)."""
    nasbench = finite_space("nasbench201")
    return np.array([nasbench.parameters(nasbench.classes[i], Skeleton()) for i in episode.cells], dtype=np.float64)


def forest_ranking(episode: Episode, others: Sequence[Episode], naswot: Mapping[str, Values]) -> Values:
    """A random forest (Breiman, 2001) on graph features and zero-cost scores, without the dataset; (n,).

    ``naswot`` holds the scores of each task's cells by the task's fingerprint.
    """
    with importing():
        from sklearn.ensemble import RandomForestRegressor

    def inputs(each: Episode) -> Values:
        score = naswot[each.features.fingerprint]
        score = (score - score.mean()) / (score.std() + 1e-9)
        return np.concatenate([graph_features(each), score[:, None]], axis=1)

    forest = RandomForestRegressor(TREES, min_samples_leaf=3, random_state=0)
    forest.fit(np.concatenate([inputs(each) for each in others]), np.concatenate([units(each) for each in others]))
    found: Values = forest.predict(inputs(episode))
    return found


def graph_features(episode: Episode) -> Values:
    """`cell_features` of the episode's cells, (n, 38)."""
    classes = finite_space("nasbench201").classes
    return cell_features([classes[i] for i in episode.cells])


def cell_features(cells: Sequence[Architecture]) -> Values:
    """(n, 38): operations of the six edges of cells, and what describes them."""
    nasbench = finite_space("nasbench201")
    walks = np.eye(5)[np.array([each.walk for each in cells])].reshape(len(cells), -1)
    described = np.array([nasbench.graph_numbers(each) for each in cells])
    return np.concatenate([walks, described], axis=1)


def naswot_of(task: Task, episode: Episode, recipe: Recipe, *, cache: Path) -> Values:
    """Naswot of the episode's cells on the task's images at the recipe's size, (n,); kept in ``cache``."""
    key = ("naswot", episode.features.fingerprint, recipe.name)
    arrays = read(cache, key, "cells", "scores")
    known = dict(zip(arrays["cells"].tolist(), arrays["scores"].tolist(), strict=True)) if arrays else {}
    missing = [cell for cell in episode.cells.tolist() if cell not in known]
    if missing:
        skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
        cells = [finite_space("nasbench201").classes[i] for i in missing]
        found = zero_cost(task, cells, skeleton=skeleton, resolution=recipe.resolution, batch=32, flow=False)
        known |= dict(zip(missing, found["naswot"].tolist(), strict=True))
        keep(cache, key, {"cells": np.array(list(known)), "scores": np.array(list(known.values()))})
    return np.array([known[cell] for cell in episode.cells.tolist()])


def level_and_gain(episode: Episode) -> tuple[float, float]:
    """Accuracy of the median cell, and best minus median, in points."""
    middle = float(np.median(episode.accuracy))
    return middle, float(episode.accuracy.max()) - middle


def linear_levels(episode: Episode, others: Sequence[Episode]) -> tuple[float, float]:
    """`level_and_gain` by a linear model on images, classes and channels."""
    columns = [STATISTICS.index(name) for name in ("log_train_images", "log_classes", "colour")]

    def inputs(given: Sequence[Episode]) -> Values:
        rows = np.array([each.features.statistics[columns] for each in given], dtype=np.float64)
        return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)

    known = np.array([level_and_gain(each) for each in others])
    weights, *_ = np.linalg.lstsq(inputs(others), known, rcond=None)
    level, gain = inputs([episode])[0] @ weights
    return float(level), float(gain)
