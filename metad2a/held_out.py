"""Leave-one-source-out: every own task predicted by a model that saw neither it nor its relatives."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from databases.architectures.spaces import space
from databases.datasets.features import TaskFeatures
from metad2a.episodes import Episode
from metad2a.meta_training import FEW, TABLE, THEN_TASKS, Schedule, meta_train
from predictors.meta import MetaPredictor, to_logit

NEVER_HELD_OUT = ("tinyimagenet", "imagenet")  # the backbone has seen them

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """One held-out task: predictions of a model that never saw its family, and of the simple rivals.

    Attributes (n cells of the episode each, logit scale where it applies):
        mean, std: ours. swapped: ours when shown another family's dataset. average: the best-on-average
            ranking, NaN for cells that fewer than three tasks of other families measured. no_dataset: ours
            with the product switched off.
    """

    episode: Episode
    mean: Values
    std: Values
    swapped: Values
    average: Values
    no_dataset: Values


def own_episodes(episodes: Sequence[Episode], recipe: str) -> list[Episode]:
    """The fully measured tasks of a recipe."""
    return [each for each in episodes if each.recipe == recipe and FEW <= len(each.cells) < TABLE]


def families(episodes: Sequence[Episode], recipe: str) -> list[str]:
    """The families that can be held out."""
    own = own_episodes(episodes, recipe)
    return sorted({each.family for each in own} - set(NEVER_HELD_OUT))


def hold_out(
    tables: MetaPredictor,
    episodes: Sequence[Episode],
    family: str,
    *,
    recipe: str,
    seed: int,
    schedule: Schedule = THEN_TASKS,
) -> list[HeldOut]:
    """Trains the second stage from ``tables`` without ``family`` and predicts the family's tasks."""
    training = [each for each in episodes if each.family != family]
    model = meta_train(copy.deepcopy(tables), training, schedule, seed=seed)
    others = own_episodes(training, recipe)
    averages = best_on_average(others)
    strangers = np.random.default_rng([seed, len(family)])
    found = []
    for each in own_episodes(episodes, recipe):
        if each.family == family:
            stranger = others[int(strangers.integers(len(others)))].features
            found.append(_predict(model, each, stranger, averages))
    return found


def best_on_average(episodes: Sequence[Episode]) -> dict[int, float]:
    """Cell -> its mean over tasks of the accuracy in units of the task's spread: ranks without a dataset."""
    values: dict[int, list[float]] = defaultdict(list)
    for each in episodes:
        logit = to_logit(each.accuracy)
        units = (logit - logit.mean()) / (logit.std() + 1e-9)
        for cell, value in zip(each.cells.tolist(), units.tolist(), strict=True):
            values[cell].append(value)
    return {cell: float(np.mean(found)) for cell, found in values.items() if len(found) >= 3}


def tau(predicted: Values, episode: Episode, among: npt.NDArray[np.bool_] | None = None) -> float:
    """Kendall's tau-b between predicted and measured, over the cells ``among`` (default: where finite)."""
    chosen = np.isfinite(predicted) if among is None else among
    return float(kendalltau(predicted[chosen], episode.accuracy[chosen]).statistic)


def _predict(
    model: MetaPredictor, episode: Episode, stranger: TaskFeatures, averages: dict[int, float]
) -> HeldOut:
    classes = space(model.config.space).classes
    cells = [classes[i] for i in episode.cells]
    right = model.predict(episode.features, cells, recipe=episode.recipe)
    wrong = model.predict(stranger, cells, recipe=episode.recipe)
    blind = copy.deepcopy(model)
    blind.reads_dataset.zero_()
    return HeldOut(
        episode,
        right.mean,
        right.std,
        wrong.mean,
        np.array([averages.get(int(i), np.nan) for i in episode.cells]),
        blind.predict(episode.features, cells, recipe=episode.recipe).mean,
    )


def leave_one_source_out(
    tables: MetaPredictor,
    episodes: Sequence[Episode],
    *,
    recipe: str,
    seed: int = 0,
    schedule: Schedule = THEN_TASKS,
    on_fold: Callable[[str, list[HeldOut]], None] | None = None,
) -> list[HeldOut]:
    """`hold_out` for every family in turn."""
    found: list[HeldOut] = []
    for family in families(episodes, recipe):
        fold = hold_out(tables, episodes, family, recipe=recipe, seed=seed, schedule=schedule)
        found += fold
        if on_fold is not None:
            on_fold(family, fold)
    return found


def conformal_factors(held_out: Sequence[HeldOut]) -> dict[str, float]:
    """Level in percent -> the factor on the predicted spread that covers so many held-out residuals.

    Split conformal prediction over tasks: each task gives its own quantile weight, so that many cells of one
    task do not count as independent (Vovk et al., 2005; the finite-sample correction counts tasks).
    """
    residuals = [np.abs(to_logit(each.episode.accuracy) - each.mean) / each.std for each in held_out]
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in residuals])
    pooled = np.concatenate(residuals)
    order = np.argsort(pooled)
    share = np.cumsum(weights[order]) / (len(residuals) + 1)
    return {
        str(level): float(pooled[order][min(int(np.searchsorted(share, level / 100)), len(pooled) - 1)])
        for level in (80, 95)
    }
