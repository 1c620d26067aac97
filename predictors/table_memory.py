"""What a published table says of each cell beyond what the predictor says: kept, as far as it can be trusted.

A table of a whole space is known; a predictor that smooths over it forgets what is particular to a cell. The rest
is part signal, part seed noise. How much is signal is read off two runs of the same cells, and each cell's rest is
shrunk by it (Spearman, 1910; Brown, 1910: the reliability of a mean of k runs). Spreads are told by median absolute
deviations: a few cells that hardly train differ between runs by ten times as much as all others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FEWEST = 100  # cells with two seeds, to tell signal from noise


def reliability(residuals: npt.ArrayLike) -> float:
    """Share of signal in one run's rest, 0 to 1; (n, runs) rests, NaN where a run is missing.

    From the first two runs of the cells that have both; 0 where fewer than `FEWEST` have.
    """
    given = np.asarray(residuals, dtype=np.float64)
    both = given[np.isfinite(given[:, :2]).all(1), :2] if given.shape[1] > 1 else given[:0]
    if len(both) < FEWEST:
        return 0.0
    total = _spread(both[:, 0]) * _spread(both[:, 1])
    noise = _spread(both[:, 0] - both[:, 1]) ** 2 / 2
    return float(np.clip(1 - noise / total, 0.0, 1.0)) if total > 0 else 0.0


def _spread(values: Floats) -> float:
    """Median absolute deviation."""
    return float(np.median(np.abs(values - np.median(values))))


def shrunk(residuals: npt.ArrayLike) -> Floats:
    """(n, runs) rests -> (n,): each cell's mean rest, shrunk by the reliability of a mean of its runs."""
    given = np.asarray(residuals, dtype=np.float64)
    share = reliability(given)
    runs = np.isfinite(given).sum(1)
    mean = np.nansum(given, axis=1) / np.maximum(runs, 1)
    kept: Floats = mean * runs * share / (1 + (runs - 1) * share) if share > 0 else np.zeros(len(given))
    return kept
