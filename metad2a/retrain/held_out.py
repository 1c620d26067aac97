"""Leave-one-source-out: every own task predicted by a model that saw neither it nor its relatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from databases.records.episodes import Episode, held_out_families
from predictors.metrics import kendall_tau
from predictors.rivals import best_on_average
from predictors.scale import to_logit
from predictors.task_process import TaskProcess

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """One held-out task: predictions of a model that never saw its family, and of the simple rivals.

    Attributes (n cells of the episode each, logit scale where it applies):
        mean, std: ours. swapped: ours when shown another family's dataset. average: the best-on-average
            ranking, NaN for cells that fewer than three tasks of other families measured. no_dataset: ours
            with the product switched off.
        gain: what ours expects of best minus median, in points.
    """

    episode: Episode
    mean: Values
    std: Values
    swapped: Values
    average: Values
    no_dataset: Values
    gain: float


def leave_one_source_out(
    process: TaskProcess, own: Sequence[Episode], *, families: Sequence[str] | None = None
) -> list[HeldOut]:
    """Every task of ``own`` predicted without its family.

    ``families`` are those of ``process.tasks``, by default those of ``own``.
    """
    of_task = families or [each.family for each in own]
    found = []
    for family in held_out_families(own):
        members = [each for each in own if each.family == family]
        others = [each for each in own if each.family != family]
        blind = process.without([i for i, each in enumerate(of_task) if each == family])
        strangers = np.random.default_rng(list(family.encode())).choice(len(others), size=len(members))
        averages = best_on_average(others)
        for each, stranger in zip(members, strangers, strict=True):
            found.append(_predict(blind, each, others[stranger], averages))
    return found


def tau(predicted: Values, episode: Episode, among: npt.NDArray[np.bool_] | None = None) -> float:
    """Kendall's tau-b between predicted (n,) and measured, over the cells ``among`` (n,), by default where finite.

    NaN where there is no order to find: fewer than two cells, or values that are all equal.
    """
    chosen = np.isfinite(predicted) if among is None else among
    ours, true = predicted[chosen], episode.accuracy[chosen]
    if len(ours) < 2 or np.ptp(ours) == 0 or np.ptp(true) == 0:
        return float("nan")
    return kendall_tau(ours, true)


def _predict(process: TaskProcess, episode: Episode, stranger: Episode, averages: dict[int, float]) -> HeldOut:
    right = process.predict(episode.features.statistics, episode.cells)
    return HeldOut(
        episode,
        right.mean,
        right.std,
        process.predict(stranger.features.statistics, episode.cells).mean,
        np.array([averages.get(int(i), np.nan) for i in episode.cells]),
        process.average_only().predict(episode.features.statistics, episode.cells).mean,
        process.expected_gain(episode.features.statistics),
    )


def conformal_factors(held_out: Sequence[HeldOut]) -> dict[str, float]:
    """Confidence in percent -> the factor on the predicted spread that covers so many held-out residuals.

    Split conformal prediction over tasks: each task gives its own quantile weight, so that many cells of one
    task do not count as independent (Vovk et al., 2005; the finite-sample correction counts tasks).
    """
    residuals = [np.abs(to_logit(each.episode.accuracy) - each.mean) / each.std for each in held_out]
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in residuals])
    pooled = np.concatenate(residuals)
    order = np.argsort(pooled)
    share = np.cumsum(weights[order]) / (len(residuals) + 1)
    return {
        str(percent): float(pooled[order][min(int(np.searchsorted(share, percent / 100)), len(pooled) - 1)])
        for percent in (80, 95)
    }
