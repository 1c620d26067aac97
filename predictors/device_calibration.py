"""Latencies on a device of which only a few cells were measured, from what other devices have in common.

The latency of a cell is the sum of its operations' costs. A Gaussian prior over these costs, as multiples of a
device's mean latency, is learnt from devices that were measured on many cells; ten measurements of a new device give
its posterior. What the ten cannot fix is averaged over by its evidence: how noisy the device's measurements are, and
which operations its runtime computes: all, or not those that make no difference. The noise
is Student's t, so one spoilt measurement does little. The task is that of HELP (Lee, Lee, Chong, Hwang, 2021).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from predictors.latency import Counted, Floats, Latencies, Walks, shares
from predictors.scale import NORMAL_80

NOISES = (0.02, 0.05, 0.1, 0.2)  # of a measurement, as a share of its latency
RUNTIMES: dict[Counted, float] = {"all": 0.7, "used": 0.2, "merged": 0.1}  # prior: what does the runtime compute?
FREEDOM = 3.0  # of Student's t
SHRINKAGE = 0.3  # of the prior's covariance towards a multiple of the identity
LOWEST = 0.2  # of the mean latency: noise is not proportional to the latency below it
STEPS = 6  # of reweighting
NEGLIGIBLE = 7.0  # less evidence (log) than the best: an explanation that weighs under a thousandth is dropped
PLANNED_NOISE = 0.1  # while choosing cells
EXTENT = (0.25, 0.15)  # mean and variance, then, of how far a runtime goes in not computing all operations


@dataclass(frozen=True, eq=False)
class Prior:
    """Costs of the five operations on an unknown device, in units of its mean latency: (5,) and (5, 5)."""

    mean: Floats
    covariance: Floats

    @classmethod
    def learn(cls, costs: npt.ArrayLike) -> Prior:
        """From the costs (devices, 5) of known devices, see `operation_costs`."""
        given = np.asarray(costs, dtype=np.float64)
        found = np.cov(given.T)
        isotropic = np.eye(len(found)) * np.trace(found) / len(found)
        return cls(given.mean(0), (1 - SHRINKAGE) * found + SHRINKAGE * isotropic)


@dataclass(frozen=True, eq=False)
class _Explanation:
    """One posterior: the costs' mean (5,) and covariance (5, 5) for a noise and a way to count operations."""

    costs: Floats
    covariance: Floats
    noise: float
    counted: Counted
    evidence: float


@dataclass(frozen=True, eq=False)
class CalibratedDevice:
    """A device that was measured on a few cells; ``scale`` is about its mean latency in milliseconds.

    ``factor`` times the standard deviation is the half width of the 80% interval (set on held-out devices).
    """

    explanations: tuple[_Explanation, ...]
    scale: float
    factor: float = NORMAL_80

    def predict(self, walks: Walks) -> Latencies:
        """Latencies of (n, 6) walks."""
        weights = np.exp([each.evidence for each in self.explanations])
        inputs = {counted: shares(walks, counted) for counted in {each.counted for each in self.explanations}}
        means, variances = zip(*(_moments(each, inputs[each.counted]) for each in self.explanations), strict=True)
        mean = np.average(means, axis=0, weights=weights)
        variance = np.average(np.array(variances) + (np.array(means) - mean) ** 2, axis=0, weights=weights)
        mean = np.maximum(mean, 0.01)
        half = self.factor * np.sqrt(variance)
        return Latencies(mean * self.scale, np.maximum(mean - half, 0) * self.scale, (mean + half) * self.scale)


def operation_costs(walks: Walks, milliseconds: npt.ArrayLike) -> Floats:
    """The (5,) least-squares cost of a cell made of each operation alone, in units of the mean latency."""
    values = np.asarray(milliseconds, dtype=np.float64)
    solved: Floats = np.linalg.lstsq(shares(walks), values / values.mean(), rcond=None)[0]
    return solved


def calibrate(
    prior: Prior, walks: Walks, milliseconds: npt.ArrayLike, *, factor: float = NORMAL_80
) -> CalibratedDevice:
    """The posterior after measuring (n, 6) walks at (n,) milliseconds, each above zero."""
    values = np.asarray(milliseconds, dtype=np.float64)
    expected = shares(walks) @ prior.mean
    scale = float(np.median(values / np.maximum(expected, LOWEST)))
    inputs = {counted: shares(walks, counted) for counted in RUNTIMES}
    found = [_explain(prior, x, values / scale, noise, counted) for counted, x in inputs.items() for noise in NOISES]
    best = max(each.evidence for each in found)
    kept = [replace(each, evidence=each.evidence - best) for each in found if each.evidence > best - NEGLIGIBLE]
    return CalibratedDevice(tuple(kept), scale, factor)


def choose_cells(prior: Prior, walks: Walks, count: int = 10) -> list[int]:
    """The ``count`` rows of (n, 6) ``walks`` to measure so that least is unknown about all of them.

    Greedy, each as if those before had been measured: the total variance left over all rows is made least
    (active learning by total variance; Cohn, Ghahramani, Jordan, 1996). How far a runtime goes in each way of not
    computing all operations is taken as unknown too, so that the cells tell runtimes apart.
    """
    counted = shares(walks)
    ways = [shares(walks, each) - counted for each in RUNTIMES if each != "all"]
    rows = np.concatenate([counted, *ways], axis=1)  # (n, 5 + 5 * ways)
    mean, variance = EXTENT
    extents = np.array([1.0, *(mean,) * len(ways)])
    left = np.kron(np.outer(extents, extents), prior.covariance)
    corner = np.diag([0.0, *(variance,) * len(ways)])
    left += np.kron(corner, np.outer(prior.mean, prior.mean) + prior.covariance)
    noise = (PLANNED_NOISE * np.maximum(rows @ np.kron(extents, prior.mean), LOWEST)) ** 2
    gram, chosen = rows.T @ rows, list[int]()
    for _ in range(min(count, len(walks))):
        reach = rows @ left
        gain = ((reach @ gram) * reach).sum(1) / ((reach * rows).sum(1) + noise)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        left = left - np.outer(reach[best], reach[best]) / (reach[best] @ rows[best] + noise[best])
    return chosen


def _moments(each: _Explanation, x: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of a measured value for (n, 5) shares, in units of the scale."""
    mean = x @ each.costs
    return mean, ((x @ each.covariance) * x).sum(1) + (each.noise * np.maximum(mean, LOWEST)) ** 2


def _explain(prior: Prior, x: Floats, values: Floats, noise: float, counted: Counted) -> _Explanation:
    """The mode under Student's t by reweighting, and Laplace's approximation of the evidence there; x is (n, 5)."""
    before, kernel = x @ prior.mean, x @ prior.covariance @ x.T
    variance, weight = (noise * np.maximum(before, LOWEST)) ** 2, np.ones(len(values))
    for step in range(STEPS):
        inverse = np.linalg.inv(kernel + np.diag(variance / weight))
        pull = inverse @ (values - before)
        now = before + kernel @ pull
        if step < STEPS - 1:
            variance = (noise * np.maximum(now, LOWEST)) ** 2
            weight = (FREEDOM + 1) / (FREEDOM + (values - now) ** 2 / variance)
    misfit = (FREEDOM + 1) / 2 * np.log1p((values - now) ** 2 / variance / FREEDOM).sum() + np.log(variance).sum() / 2
    volume = np.linalg.slogdet(np.eye(len(values)) + kernel @ np.diag(weight / variance))[1] / 2
    evidence = np.log(RUNTIMES[counted]) - misfit - pull @ kernel @ pull / 2 - volume
    reach = prior.covariance @ x.T
    covariance = prior.covariance - reach @ inverse @ reach.T
    return _Explanation(prior.mean + reach @ pull, covariance, noise, counted, float(evidence))
