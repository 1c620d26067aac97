"""How good a ranking is: rank correlation, regret, percentiles, and intervals by whole groups."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from databases.hosting import importing

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95  # of an interval
TAU_DRAWS = 300  # of rows, of which an interval of tau is told
ALIKE = 0.05  # share by which costs that are called the same may differ


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds of its bootstrap interval.

    Attributes:
        low, high: nan where a single group tells nothing about the spread among groups.
        confidence: share of the bootstrap means between them. groups: number of groups resampled.
    """

    mean: float
    low: float
    high: float
    confidence: float
    groups: int

    def __str__(self) -> str:
        low, high = ("-" if np.isnan(each) else f"{each:.3f}" for each in (self.low, self.high))
        return f"{self.mean:.3f} [{low}, {high}]"

    def to_json(self) -> dict[str, float]:
        """The mean, the bounds, and how many seeds (or other groups) they come from."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "seeds": self.groups}


def kendall_tau(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Kendall's tau-b of two (n,) arrays (Kendall, 1945); 0 where one of them is constant."""
    with importing():
        from scipy.stats import kendalltau

    first, second = _pair(predicted, true)
    return 0.0 if _constant(first) or _constant(second) else float(kendalltau(first, second).statistic)


def tau_at_matched_cost(predicted: npt.ArrayLike, true: npt.ArrayLike, cost: npt.ArrayLike) -> float:
    """Kendall's tau over the pairs whose costs differ by less than the share `ALIKE`, of (n,) arrays each.

    Of the pairs that truly differ, the share in the predicted order less that in the other; a predicted tie is
    neither. nan where there is no such pair.
    """
    first, second = _pair(predicted, true)
    dear = np.log(np.asarray(cost, dtype=np.float64))
    one, other = np.triu_indices(len(first), 1)
    alike = (np.abs(dear[one] - dear[other]) <= np.log1p(ALIKE)) & (second[one] != second[other])
    agree = np.sign(first[one] - first[other]) * np.sign(second[one] - second[other])
    return float(agree[alike].mean()) if alike.any() else float("nan")


def spearman(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Spearman's rank correlation of two (n,) arrays; 0 where one of them is constant."""
    with importing():
        from scipy.stats import spearmanr

    first, second = _pair(predicted, true)
    return 0.0 if _constant(first) or _constant(second) else float(spearmanr(first, second).statistic)


def tau_interval(predicted: npt.ArrayLike, true: npt.ArrayLike, *, draws: int = TAU_DRAWS) -> Interval:
    """`kendall_tau` of two (n,) arrays with its percentile bootstrap interval over rows; ``mean`` is that of all."""
    first, second = _pair(predicted, true)
    rows = np.random.default_rng(0).integers(len(first), size=(draws, len(first)))
    found = [kendall_tau(first[drawn], second[drawn]) for drawn in rows]
    return Interval(kendall_tau(first, second), *bounds(found), CONFIDENCE, len(first))


def mean_tau_interval(predicted: npt.ArrayLike, true: npt.ArrayLike) -> Interval:
    """Mean over seeds of `kendall_tau` of (seeds, n) and (n,), its bootstrap interval over seeds and columns alike."""
    first, second, rng = np.asarray(predicted, dtype=np.float64), np.asarray(true), np.random.default_rng(0)

    def mean(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> float:
        return float(np.mean([kendall_tau(row[columns], second[columns]) for row in first[rows]]))

    rows, columns = (rng.integers(size, size=(TAU_DRAWS, size)) for size in first.shape)
    low, high = bounds([mean(*drawn) for drawn in zip(rows, columns, strict=True)], CONFIDENCE)
    return Interval(mean(*map(np.arange, first.shape)), low, high, CONFIDENCE, len(first))


def tau_difference(first: npt.ArrayLike, second: npt.ArrayLike, true: npt.ArrayLike) -> Interval:
    """`kendall_tau` of the ``first`` ranking less that of the ``second``, (n,) each, drawn over the same rows."""
    (ours, values), (theirs, _) = _pair(first, true), _pair(second, true)
    rows = np.random.default_rng(0).integers(len(values), size=(TAU_DRAWS, len(values)))
    found = [kendall_tau(ours[drawn], values[drawn]) - kendall_tau(theirs[drawn], values[drawn]) for drawn in rows]
    mean = kendall_tau(ours, values) - kendall_tau(theirs, values)
    return Interval(mean, *bounds(found), CONFIDENCE, len(values))


def regret(predicted: npt.ArrayLike, true: npt.ArrayLike, *, top: int = 1) -> float:
    """The best true value less the mean true value of the ``top`` picks of (n,) arrays, in the unit of ``true``.

    Of equal predictions any may be the pick: their mean stands for each.
    """
    first, second = _pair(predicted, true)
    return float(second.max() - _of_picks(first, second, top))


def percentiles(values: npt.ArrayLike, population: npt.ArrayLike) -> Floats:
    """For each value, the percent of the population below it; equals count half. (n,), (m,) -> (n,)."""
    of = np.asarray(population, dtype=np.float64)
    return 100 * _half_ties_below(np.asarray(values, dtype=np.float64), of) / len(of)


def bootstrap_interval(
    values: npt.ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    draws: int = 10_000,
) -> Interval:
    """Mean of values (n,) with a percentile bootstrap interval that resamples whole groups; None: each value is one.

    Values of one group (an image source) are no independent witnesses, so a group is drawn or left out as one
    (Davison, Hinkley, 1997, 3.8). Raises ValueError where values are missing, not finite or not one a group.
    """
    given = np.asarray(values, dtype=np.float64)
    groups = range(len(given)) if groups is None else groups
    if not len(given) or len(given) != len(groups) or not np.isfinite(given).all():
        raise ValueError(f"{len(given)} values for {len(groups)} groups: one finite value each is needed")
    number: dict[Hashable, int] = {}
    member = np.array([number.setdefault(group, len(number)) for group in groups])
    sums, sizes = np.bincount(member, weights=given), np.bincount(member)
    mean = float(given.mean())
    if len(number) == 1:
        return Interval(mean, np.nan, np.nan, confidence, 1)
    drawn = np.random.default_rng(seed).multinomial(len(number), [1 / len(number)] * len(number), size=draws)
    means = (drawn @ sums) / (drawn @ sizes)
    return Interval(mean, *bounds(means, confidence), confidence, len(number))


def median_interval(values: npt.ArrayLike, *, draws: int = 10_000) -> Interval:
    """Median of values (n,) with its percentile bootstrap interval; ``mean`` of the result is the median.

    Raises ValueError where values are missing or not finite.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise ValueError(f"shape {given.shape}: one list of finite values is needed")
    if len(given) == 1:
        return Interval(float(given[0]), np.nan, np.nan, CONFIDENCE, 1)
    drawn = np.random.default_rng(0).integers(len(given), size=(draws, len(given)))
    return Interval(float(np.median(given)), *bounds(np.median(given[drawn], axis=1)), CONFIDENCE, len(given))


def bounds(drawn: Floats | Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Between them lies that share of the values (n,) of a bootstrap's draws."""
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _pair(predicted: npt.ArrayLike, true: npt.ArrayLike) -> tuple[Floats, Floats]:
    first, second = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or np.isnan(first).any() or np.isnan(second).any():
        raise ValueError(f"shapes {first.shape} and {second.shape}: give two equally long lists without nan")
    return first, second


def _constant(values: Floats) -> bool:
    return bool((values == values[:1]).all())


def _of_picks(predicted: Floats, values: Floats, top: int) -> float:
    """Expected mean of ``values`` over the ``top`` highest predictions, ties broken at random."""
    if not 1 <= top <= len(predicted):
        raise ValueError(f"top {top}: give 1 to {len(predicted)}")
    last = np.sort(predicted)[-top]
    surely, perhaps = values[predicted > last], values[predicted == last]
    return float((surely.sum() + (top - len(surely)) * perhaps.mean()) / top)


def _half_ties_below(values: Floats, population: Floats) -> Floats:
    ordered = np.sort(population)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    ranks: Floats = (below + up_to) / 2
    return ranks
