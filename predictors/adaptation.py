"""Adapts predictions to the measurements of one task: an exact Gaussian process with the prediction as prior mean.

`adapt` tells accuracies, as a search needs them; `adapt_order` the order of all architectures.

Everything is in units of the predictions' spread over the candidates; z is the prediction and e the embedding of an
architecture. What the prediction leaves of the logit accuracy is a process with

    cov = level + v * (slope z z' + linear e.e'/d + exp(-|e - e'|^2 / (2 d REACH^2))) + noise [same measurement]

so the level of the task and how far to trust the prediction are learnt with the rest, in closed form (Rasmussen,
Williams, 2006, 2.7). `v` and `noise` are not fitted to the few measurements but averaged over a small grid, each pair
by its marginal likelihood: a prediction that fits is left alone, one that does not is soon overruled.

The grid and the shares were chosen on pairs of a prediction and a foreign column: the shipped predictor for 200
epochs against ImageNet16-120 after 12 epochs, NinaPro, Darcy Flow and its own column (which must not get worse), and
for 12 epochs against 200 and NinaPro, on the embedding of the meta-predictor alone. CIFAR-10 and CIFAR-100 chose
nothing. The grid knows tables of long trainings; on small tasks two trainings of a cell differ by as much as the
prediction spreads, and the noise that was learnt there takes the grid's place: so decided when learning was seen to
lose against the prediction on the own tasks of `reproduce loop`.

For the order of a whole space logits are a poor scale: among the bad architectures a prediction errs by ten times as
much as among the good ones, and a few of them drawn at random would move all others. So `adapt_order` works in normal
scores: of k measured architectures, the one that came i-th is given the i-th highest predicted score of the k. What
is left is displacement alone; a prediction that has the order right is left alone on any scale. Its scale, reach and
grid were chosen by what the shipped predictor does on CIFAR-100 (200 and 12 epochs), ImageNet16-120 after 12 epochs
and NinaPro; CIFAR-10 chose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.special import ndtri
from scipy.stats import rankdata

from predictors.task_process import Floats, Ints, Posterior

LEVEL = 25.0  # variance of the task's level: nearly free
SLOPE, LINEAR, REACH = 0.3, 0.3, 2.0
VARIANCES = (0.001, 0.01, 0.1, 1.0)  # v
NOISES = (0.003, 0.03, 0.3)
ORDER_REACH = 1.0
ORDER_VARIANCES = (0.01, 0.1, 1.0, 3.0)
NEGLIGIBLE = 1e-3  # weight below which a pair is left out


def adapt(
    prior: npt.ArrayLike,
    embeddings: npt.ArrayLike,
    rows: npt.ArrayLike,
    logits: npt.ArrayLike,
    *,
    noise: float | None = None,
) -> Posterior:
    """Posterior of the logit accuracies of n candidates, of which k were measured; without the noise of a training.

    Args:
        prior: (n,) predicted logit accuracies; only order and relative distances count.
        embeddings: (n, d) about one unit in spread.
        rows: (k,) which candidates were measured; one may occur again.
        logits: (k,) what was measured.
        noise: standard deviation of one measurement, as predicted; None where nothing predicts it.

    Returns:
        Mean and standard deviation, (n,) each. Without measurements, the prior and its spread over the candidates.
    """
    mean, places = np.asarray(prior, dtype=np.float64), np.asarray(embeddings, dtype=np.float64)
    measured, values = np.asarray(rows, dtype=np.int64), np.asarray(logits, dtype=np.float64)
    unit = float(mean.std()) or 1.0
    if not len(measured):
        return Posterior(mean, np.full(len(mean), unit))
    z = (mean - mean.mean()) / unit
    rest = (values - mean.mean()) / unit - z[measured]
    noises = NOISES if noise is None else ((noise / unit) ** 2,)
    found = _posterior(z, places, measured, rest, REACH, VARIANCES, noises)
    return Posterior(mean + unit * found.mean, unit * found.std)


def adapt_order(prior: npt.ArrayLike, embeddings: npt.ArrayLike, rows: npt.ArrayLike, values: npt.ArrayLike) -> Floats:
    """Scores that order n candidates, of which k were measured: normal ones, which correct those of the prediction.

    Args:
        prior: (n,) predicted, higher is better; only the order counts.
        embeddings: (n, d) about one unit in spread.
        rows: (k,) which candidates were measured; one may occur again.
        values: (k,) what was measured, on any scale; only the order counts.

    Returns:
        (n,), higher is better. Fewer than two measurements leave the order as predicted.
    """
    places, measured = np.asarray(embeddings, dtype=np.float64), np.asarray(rows, dtype=np.int64)
    z = normal_scores(prior)
    if len(measured) < 2:
        return z
    rest = displacement(z[measured], values)
    return z + _posterior(z, places, measured, rest, ORDER_REACH, ORDER_VARIANCES, NOISES).mean


def displacement(scores: npt.ArrayLike, values: npt.ArrayLike) -> Floats:
    """How far each of k measured ones is from the score that its rank among them deserves; (k,), (k,) -> (k,)."""
    given = np.asarray(scores, dtype=np.float64)
    ranks = rankdata(np.asarray(values, dtype=np.float64))  # from 1; equals share one
    found: Floats = np.interp(ranks, np.arange(1, len(given) + 1), np.sort(given)) - given
    return found


def normal_scores(values: npt.ArrayLike) -> Floats:
    """(n,) -> (n,) where normal values of the same ranks are expected to lie."""
    ranks = rankdata(np.asarray(values, dtype=np.float64))
    scores: Floats = ndtri((ranks - 0.5) / len(ranks))
    return scores


def _posterior(
    z: Floats,
    places: Floats,
    measured: Ints,
    rest: Floats,
    reach: float,
    variances: Sequence[float],
    noises: Sequence[float],
) -> Posterior:
    """Of what the prediction z (n,) leaves, given the rests (k,) of the measured ones."""
    cross = _covariance(z, places, measured, reach)  # (n, k)
    own = SLOPE * z**2 + LINEAR * (places**2).mean(1) + 1.0  # (n,)
    return _average(cross, own, measured, rest, [(variance, noise) for variance in variances for noise in noises])


def _covariance(z: Floats, places: Floats, measured: Ints, reach: float) -> Floats:
    """Covariance with the measured ones for v = 1, without the level: (n, k)."""
    products = places @ places[measured].T
    squares = (places**2).sum(1)
    distances = np.maximum(squares[:, None] - 2 * products + squares[measured], 0.0)
    size = places.shape[1]
    near = np.exp(-0.5 * distances / (size * reach**2))
    found: Floats = near + LINEAR * products / size + SLOPE * np.outer(z, z[measured])
    return found


def _average(
    cross: Floats, own: Floats, measured: Ints, rest: Floats, grid: Sequence[tuple[float, float]]
) -> Posterior:
    """Mean and spread of the rests over the grid, each pair weighted by its marginal likelihood."""
    factors = [_factor(cross[measured], variance, noise, rest) for variance, noise in grid]
    evidence = np.array([-np.log(np.diag(lower)).sum() - 0.5 * half @ half for lower, half in factors])
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    first, second = np.zeros(len(own)), np.zeros(len(own))
    for (variance, _), (lower, half), weight in zip(grid, factors, weights, strict=True):
        if weight > NEGLIGIBLE:
            solved = solve_triangular(lower, (variance * cross + LEVEL).T, lower=True)  # (k, n)
            mean = solved.T @ half
            spread = np.maximum(variance * own + LEVEL - (solved**2).sum(0), 0.0)
            first += weight * mean
            second += weight * (mean**2 + spread)
    total = weights[weights > NEGLIGIBLE].sum()
    return Posterior(first / total, np.sqrt(np.maximum(second / total - (first / total) ** 2, 0.0)))


def _factor(cross: Floats, variance: float, noise: float, rest: Floats) -> tuple[Floats, Floats]:
    """Cholesky factor of the measurements' covariance (k, k), and the rests it has whitened (k,)."""
    lower = cholesky(variance * cross + LEVEL + noise * np.eye(len(rest)), lower=True)
    return lower, solve_triangular(lower, rest, lower=True)
