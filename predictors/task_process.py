"""The surrogate: an exact Gaussian process over measured records, on the embeddings of the meta-predictor.

For the few tasks that were measured with one recipe an exact process says more than gradient descent: it knows how
much each record is worth, learns from a new one at once, and can be refitted without any task in closed form. The
logit accuracy of a cell a on a task t is

    level(t) + scale(t) * deviation(t, a)

`level` and log `scale` are processes over the task's statistics; `deviation` has a part shared by all tasks (what
holds on average) and a part that is alike only on like tasks (what the dataset tells):

    cov = average * k(a, a') + own * [a = a'] + product * k(a, a') * k(t, t') + task * k(a, a') * [t ~ t']

(multi-task GP; Bonilla et al., 2007). The last is what no statistic tells of a task, only its own measurements; tasks
are the same there when all their statistics are. Of cells k is a squared exponential of their embeddings and a linear
part, which reaches farther.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular

REACH = 2.0
LINEAR = 0.3  # of the linear part beside the squared exponential
SAME = 0.1  # how far the statistics of one task may lie apart when its images are looked at again (root mean square)
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kernel:
    """Variances of the parts; ``noise`` is that of one seed.

    ``looks_at`` names the statistics (by index) that tell which tasks order cells alike, ``levels_look_at`` those that
    tell levels and spreads (none named: all).
    ``level_noise`` is the part of a task's level that its statistics do not tell, ``seed_noise`` the standard deviation
    between two seeds of a cell as a share of the task's spread, as measured.
    """

    looks_at: tuple[int, ...]
    levels_look_at: tuple[int, ...] = ()
    average: float = 0.1
    own: float = 0.3
    product: float = 1.0
    task: float = 0.0
    noise: float = 1.5
    level_noise: float = 0.1
    seed_noise: float = 0.53


@dataclass(frozen=True, eq=False)
class MeasuredTask:
    """One measured task: statistics (s,), class numbers (n,), logit accuracies (n,), seeds (n,) behind each."""

    statistics: Floats
    cells: Ints
    logits: Floats
    seeds: Floats


@dataclass(frozen=True, eq=False)
class Posterior:
    """Mean and standard deviation of the logit accuracy, (n,) each."""

    mean: Floats
    std: Floats


class TaskProcess:
    """The process over the measured tasks of one recipe.

    Args:
        tasks: at least one.
        embed: class numbers (n,) -> (n, d) embeddings, about one unit in spread.
    """

    def __init__(self, tasks: Sequence[MeasuredTask], embed: Callable[[Ints], Floats], kernel: Kernel) -> None:
        self.tasks, self.embed, self.kernel = list(tasks), embed, kernel
        given = np.stack([each.statistics for each in tasks])
        self._center, self._spread = given.mean(0), given.std(0) + 1e-2
        self._given, self._statistics = given, self._standardise(given)
        self._fit_levels()
        self._fit_deviations()

    def without(self, left_out: Sequence[int]) -> TaskProcess:
        """The process that never saw these tasks."""
        kept = [each for i, each in enumerate(self.tasks) if i not in set(left_out)]
        return TaskProcess(kept, self.embed, self.kernel)

    def average_only(self) -> TaskProcess:
        """The process that does not look at the dataset when it orders cells."""
        return TaskProcess(self.tasks, self.embed, replace(self.kernel, product=0.0, task=0.0))

    def predict(self, statistics: npt.ArrayLike, cells: npt.ArrayLike) -> Posterior:
        """(s,) statistics of a task and (n,) class numbers -> posterior of the logit accuracies."""
        asked = np.asarray(cells, dtype=np.int64)
        place = self._standardise(np.asarray(statistics, dtype=np.float64))
        level, level_variance, log_scale = self._level_of(place)
        mean, variance = self._deviation_of(statistics, asked)
        scale = np.exp(log_scale)
        return Posterior(level + scale * mean, np.sqrt(level_variance + scale**2 * variance))

    def covariance(self, statistics: npt.ArrayLike, cells: Ints) -> Floats:
        """Posterior covariance (n, n) of the cells' deviations on a task, in units of its spread, without noise."""
        tied = self._tied(np.asarray(statistics, dtype=np.float64)[None])[0]
        cross = self._covariance(cells, self._cell, tied[self._task][None, :])
        prior = self._covariance(cells, cells, np.full((1, len(cells)), self.kernel.product + self.kernel.task))
        found: Floats = prior - cross @ cho_solve(self._factor, cross.T)
        return found

    def draw(self, statistics: npt.ArrayLike, cells: Ints, count: int, rng: np.random.Generator) -> Floats:
        """(count, n) draws of the cells' logit accuracies on a task, jointly and without the noise of training."""
        place = self._standardise(np.asarray(statistics, dtype=np.float64))
        level, variance, log_scale = self._level_of(place)
        mean, _ = self._deviation_of(statistics, cells)
        values, vectors = np.linalg.eigh(self.covariance(statistics, cells))
        root = vectors * np.sqrt(np.maximum(values, 0))
        deviations = mean + rng.standard_normal((count, len(cells))) @ root.T
        levels = level + np.sqrt(variance) * rng.standard_normal((count, 1))
        found: Floats = levels + np.exp(log_scale) * deviations
        return found

    def seed_noise(self, statistics: npt.ArrayLike) -> float:
        """Standard deviation of one cell's logit accuracy between seeds on a task of these (s,) statistics."""
        _, _, log_scale = self._level_of(self._standardise(np.asarray(statistics, dtype=np.float64)))
        return float(np.exp(log_scale) * self.kernel.seed_noise)

    def seed_noise_in_points(self, statistics: npt.ArrayLike) -> float:
        """The same of its accuracy in percent, at the task's level."""
        level, _, _ = self._level_of(self._standardise(np.asarray(statistics, dtype=np.float64)))
        share = 1 / (1 + np.exp(-level))
        return float(100 * share * (1 - share) * self.seed_noise(statistics))

    def expected_gain(self, statistics: npt.ArrayLike) -> float:
        """Best minus median of as many cells as a task was measured with, on a task of (s,) statistics, in points."""
        level, _, log_scale = self._level_of(self._standardise(np.asarray(statistics, dtype=np.float64)))
        best = level + np.exp(log_scale) * self._best_above_median
        return float(100 / (1 + np.exp(-best)) - 100 / (1 + np.exp(-level)))

    def _standardise(self, statistics: Floats) -> Floats:
        """Statistics in units of their spread over the tasks, kept within `REACH`: no far extrapolation."""
        places: Floats = np.clip((statistics - self._center) / self._spread, -REACH, REACH)
        return places

    def _fit_levels(self) -> None:
        levels = np.array([each.logits.mean() for each in self.tasks])
        scales = np.log([each.logits.std() + 1e-2 for each in self.tasks])
        above = [(each.logits.max() - np.median(each.logits)) / (each.logits.std() + 1e-2) for each in self.tasks]
        self._best_above_median = float(np.mean(above))
        self._level_mean, self._level_sd = levels.mean(), levels.std() + 1e-9
        self._scale_mean = scales.mean()
        alike = _level_kernel(self._of_level(self._statistics), self._of_level(self._statistics))
        self._level_factor = cho_factor(alike + self.kernel.level_noise * np.eye(len(levels)))
        targets = np.stack([(levels - self._level_mean) / self._level_sd, scales - self._scale_mean], axis=1)
        self._level_weights = cho_solve(self._level_factor, targets)  # (tasks, 2)

    def _level_of(self, place: Floats) -> tuple[float, float, float]:
        """Level, its variance, and log scale at a place, all on the logit scale."""
        seen = self._of_level(place[None])
        near = _level_kernel(seen, self._of_level(self._statistics))[0]
        level, scale = near @ self._level_weights
        prior = _level_kernel(seen, seen)[0, 0]
        unknown = max(prior - near @ cho_solve(self._level_factor, near), 0.0) + self.kernel.level_noise
        return (
            float(self._level_mean + self._level_sd * level),
            float(self._level_sd**2 * unknown),
            float(np.clip(self._scale_mean + scale, self._scale_mean - 2, self._scale_mean + 1)),
        )

    def _of_level(self, places: Floats) -> Floats:
        """(n, s) -> the columns that levels look at."""
        return places[:, list(self.kernel.levels_look_at)] if self.kernel.levels_look_at else places

    def _fit_deviations(self) -> None:
        self._task = np.concatenate([np.full(len(each.cells), i) for i, each in enumerate(self.tasks)])
        self._cell = np.concatenate([each.cells for each in self.tasks])
        units = [(each.logits - each.logits.mean()) / (each.logits.std() + 1e-2) for each in self.tasks]
        seeds = np.concatenate([each.seeds for each in self.tasks])
        tied = self._tied(self._given)
        cov = self._covariance(self._cell, self._cell, tied[np.ix_(self._task, self._task)])
        self._factor = cho_factor(cov + np.diag(self.kernel.noise / seeds), lower=True)
        self._weights = cho_solve(self._factor, np.concatenate(units))

    def _deviation_of(self, statistics: npt.ArrayLike, cells: Ints) -> tuple[Floats, Floats]:
        """Mean and variance (with the noise of one training) in units of the task's spread."""
        tied = self._tied(np.asarray(statistics, dtype=np.float64)[None])[0]
        cov = self._covariance(cells, self._cell, tied[self._task][None, :])  # (n, records)
        shared = self.kernel.average + self.kernel.product + self.kernel.task
        prior = self.kernel.own + shared * (1 + LINEAR * (self.embed(cells) ** 2).mean(1))
        mean = cov @ self._weights
        told = solve_triangular(self._factor[0], cov.T, lower=True, overwrite_b=True, check_finite=False)
        explained = np.einsum("rn,rn->n", told, told)
        return mean, np.maximum(prior - explained, 0.0) + self.kernel.noise

    def _covariance(self, left: Ints, right: Ints, tied: Floats) -> Floats:
        """Covariance of deviations: class numbers (n,), (m,) and how their tasks are tied, (n or 1, m)."""
        known, place = np.unique(right, return_inverse=True)
        found: Floats = _alike(self.embed(left), self.embed(known))[:, place]  # (n, m)
        found *= self.kernel.average + tied
        found[left[:, None] == right[None, :]] += self.kernel.own
        return found

    def _tied(self, statistics: Floats) -> Floats:
        """How far tasks order cells alike beyond the average: (n, s) statistics -> (n, tasks)."""
        seen, kernel = list(self.kernel.looks_at), self.kernel
        places = self._standardise(statistics)[:, seen]
        tied = kernel.product * _squared_exponential(places, self._statistics[:, seen])
        if kernel.task:
            tied += kernel.task * _squared_exponential(statistics / SAME, self._given / SAME)
        return tied


def _level_kernel(left: Floats, right: Floats) -> Floats:
    """Covariance of levels: mostly linear in the statistics."""
    straight: Floats = left @ right.T / left.shape[1]
    return 0.9 * straight + 0.1 * _squared_exponential(left, right)


def _alike(left: Floats, right: Floats) -> Floats:
    """Covariance of cells by their embeddings: (n, d), (m, d) -> (n, m)."""
    found: Floats = _squared_exponential(left, right) + LINEAR * left @ right.T / left.shape[1]
    return found


def _squared_exponential(left: Floats, right: Floats) -> Floats:
    """(n, d), (m, d) -> (n, m); distances are means over the dimensions."""
    squares = (left**2).sum(1)[:, None] - 2 * left @ right.T + (right**2).sum(1)
    near: Floats = np.exp(-0.5 * np.maximum(squares, 0) / left.shape[1])
    return near
