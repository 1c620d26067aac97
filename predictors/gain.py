"""What choosing is worth on a task: the best cell against the median one, and which cells nobody can tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictors.scale import to_percent
from predictors.task_process import Ints, TaskProcess

OTHERS, DRAWS = 127, 400  # cells that stand for all on offer, and draws from the posterior
EQUAL = 0.5  # of one training's noise: what candidates nearer to the best cost and save tells scripts/cheapest_equal.py


@dataclass(frozen=True)
class Gain:
    """Best against median of the cells on offer, in points of accuracy.

    Attributes:
        mean, low, high: expected, and the 80% interval. noise: spread of one cell's accuracy between seeds.
        logit_noise: the same of its logit accuracy, for a search; None where it is not known.
    """

    mean: float
    low: float
    high: float
    noise: float
    logit_noise: float | None = None

    @property
    def within_noise(self) -> bool:
        """Whether the cells' differences drown: the gain may be nothing, or is below one training's noise."""
        return self.low <= 0 or self.mean < self.noise

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        interval = [self.low, self.high]
        return {"points": self.mean, "interval": interval, "noise": self.noise, "within_noise": self.within_noise}


def expected_gain(process: TaskProcess, statistics: npt.ArrayLike, cells: Ints, *, seed: int = 0) -> Gain:
    """The gain of the first of ``cells`` (class numbers, best first) on a task of these (s,) statistics.

    The median is over at most `OTHERS` of them, drawn by ``seed``, and the first.
    """
    rng = np.random.default_rng(seed)
    rest = rng.permutation(cells[1:])[:OTHERS]
    chosen = np.concatenate([cells[:1], rest])
    draws = process.draw(statistics, chosen, DRAWS, rng)  # (draws, n)
    percent = to_percent(draws)
    gains = percent[:, 0] - np.median(percent, axis=1)
    low, high = np.quantile(gains, [0.1, 0.9])
    noise, logit_noise = process.seed_noise_in_points(statistics), process.seed_noise(statistics)
    return Gain(float(gains.mean()), float(low), float(high), noise, logit_noise)


def behind_first(
    process: TaskProcess, statistics: npt.ArrayLike, cells: Ints, *, seed: int = 0
) -> list[tuple[float, float, float]]:
    """What each of ``cells`` (n,) lacks of the first on a task, in points: expected, and the 80% interval.

    Cells are drawn jointly: what is not known of the task's level is the same for all of them.
    """
    percent = to_percent(process.draw(statistics, cells, DRAWS, np.random.default_rng(seed)))  # (draws, n)
    lacking = percent[:, :1] - percent
    low, high = np.quantile(lacking, [0.1, 0.9], axis=0)
    return list(zip(lacking.mean(0).tolist(), low.tolist(), high.tolist(), strict=True))


def equals(shortfall: npt.ArrayLike, noise: float) -> npt.NDArray[np.bool_]:
    """(n,) which candidates nobody can tell from the best, given (n,) what each is expected to lack of it in points."""
    found: npt.NDArray[np.bool_] = np.asarray(shortfall, dtype=np.float64) <= EQUAL * noise
    return found


def cheapest_equal_first(shortfall: npt.ArrayLike, cost: npt.ArrayLike, *, noise: float) -> npt.NDArray[np.int64]:
    """An order of n candidates: those equal to the best within ``noise`` come first, the cheapest before others.

    ``shortfall`` (n,) is what each is expected to lack of the best, in points; ``cost`` (n,) its multiply-adds.
    """
    lacking, price = np.asarray(shortfall, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    equal = equals(lacking, noise)
    return np.lexsort((np.where(equal, price, lacking), ~equal))
