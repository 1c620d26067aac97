"""A Gaussian process with one fixed scale (Rasmussen, Williams, 2006, algorithm 2.1), for a few hundred measurements.

Written out, since importing a library for it takes longer than all else that `recommend` computes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
NOISE = 1.0  # variance of one measurement, in units of the process's
NEARNESS = 2.0  # how fast two places have less in common, by their mean squared distance over the standardised columns
TREND = 0.3  # variance of a straight line through all, by which what was never met goes on like what is nearest to it
STRAIGHT = 3.0  # standard deviations from the middle up to which it is straight
ALMOST = 1e-9  # of its size by which a column that is always the same may differ
TINY = 1e-3  # variance below which nobody is sure


@dataclass(frozen=True, eq=False)
class Process:
    """A Gaussian process of variance 1 around a straight line, given measurements.

    Attributes:
        center, scale: (d,) bring what is known to one scale. known: (n, d), so brought.
        mean: of the measurements. inverse: (n, n) of their covariance. weights: (n,) of their values.
    """

    center: Values
    scale: Values
    known: Values
    mean: float
    inverse: Values
    weights: Values

    def predict(self, x: Values) -> tuple[Values, Values]:
        """Mean and standard deviation, (m,), at (m, d)."""
        x = (x - self.center) / self.scale
        common = _common(x, self.known)
        left = _alone(x) - ((common @ self.inverse) * common).sum(1)
        return self.mean + common @ self.weights, np.sqrt(np.clip(left, TINY, None))


def learn_process(x: Values, y: Values, weight: Values) -> Process:
    """The process that has seen values y, (n,), at x, (n, d); one of twice the ``weight`` has half the variance."""
    center, scale = _scales(x)
    known, mean = (x - center) / scale, float(np.average(y, weights=weight))
    inverse = np.linalg.inv(_common(known, known) + np.diag(NOISE / weight)).astype(np.float64)
    return Process(center, scale, known, mean, inverse, inverse @ (y - mean))


def left_out(x: Values, y: Values, group: npt.NDArray[np.int64]) -> tuple[Values, Values]:
    """(n,) means and standard deviations at (n, d), each of a process that has seen the values y of the other groups.

    All are on one scale, that of all n places, so that what these have in common is computed once.
    """
    center, scale = _scales(x)
    known = (x - center) / scale
    common, alone = _common(known, known), _alone(known)
    mean, doubt = np.empty(len(y)), np.empty(len(y))
    for each in np.unique(group):
        held = group == each
        weight = alike(group[~held])
        usual, seen = float(np.average(y[~held], weights=weight)), common[np.ix_(held, ~held)]
        covariance = common[np.ix_(~held, ~held)] + np.diag(NOISE / weight)
        solved = np.linalg.solve(covariance, np.column_stack([y[~held] - usual, seen.T]))
        mean[held] = usual + seen @ solved[:, 0]
        doubt[held] = np.sqrt(np.clip(alone[held] - (seen * solved[:, 1:].T).sum(1), TINY, None))
    return mean, doubt


def alike(group: npt.NDArray[np.int64]) -> Values:
    """(n,) weights of mean 1 with which all groups count alike."""
    _, place, count = np.unique(group, return_inverse=True, return_counts=True)
    found: Values = len(group) / (len(count) * count[place])
    return found


def _common(a: Values, b: Values) -> Values:
    """(n, m): what each of (n, d) has in common with each of (m, d)."""
    distance = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    found: Values = np.exp(-NEARNESS / a.shape[1] * np.clip(distance, 0.0, None))
    trend: Values = TREND / a.shape[1] * (_near(a) @ _near(b).T)
    return np.add(found, trend)


def _alone(x: Values) -> Values:
    """(n,): what each of (n, d) has in common with itself."""
    found: Values = 1 + TREND * (_near(x) ** 2).mean(1)
    return found


def _scales(x: Values) -> tuple[Values, Values]:
    """(d,) means and deviations of (n, d), 1 for a column that is always the same."""
    center, scale = x.mean(0), x.std(0)
    return center, np.where(scale > ALMOST * (1 + np.abs(center)), scale, 1.0)


def _near(x: Values) -> Values:
    return np.clip(x, -STRAIGHT, STRAIGHT)
