"""What to measure next on a task: the cells that tell the surrogate most about all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from predictors.task_process import Floats, TaskProcess


def most_telling(
    process: TaskProcess, statistics: npt.ArrayLike, pool: Sequence[int], known: Sequence[int], count: int
) -> list[int]:
    """The ``count`` class numbers of ``pool`` whose measuring lowers the variance over the pool most.

    Chosen one after the other, each as if the earlier ones had been measured once on the task of these (s,)
    statistics (active learning by total variance; Cohn, Ghahramani, Jordan, 1996). None is chosen twice, and
    none of ``known``, which the process has learnt from already.
    """
    cells = np.array([*known, *(each for each in dict.fromkeys(pool) if each not in set(known))], dtype=np.int64)
    covariance = process.covariance(statistics, cells)
    picked: list[int] = []
    for _ in range(min(count, len(cells) - len(known))):
        gain = (covariance**2).sum(0) / (np.diag(covariance) + process.kernel.noise)
        gain[[*range(len(known)), *picked]] = -1.0
        picked.append(int(gain.argmax()))
        covariance = _measured(covariance, picked[-1], process.kernel.noise)
    return [int(cells[i]) for i in picked]


def _measured(covariance: Floats, row: int, noise: float) -> Floats:
    """The covariance after one noisy measurement of ``row``."""
    column = covariance[:, row]
    left: Floats = covariance - np.outer(column, column) / (column[row] + noise)
    return left
