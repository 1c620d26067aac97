"""The scale on which accuracies are predicted: logits, where a step costs the same effort everywhere.

Written out: scipy's logit and expit differ in the last digit, on which recorded figures depend.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NORMAL_80 = 1.2816  # standard deviations on either side of a normal's mean that hold 80%


def to_logit(accuracy: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Percent, of any shape -> logits of that shape, of what is kept within 0.5 and 99.5 percent."""
    share = np.clip(np.asarray(accuracy, dtype=np.float64) / 100, 0.005, 0.995)
    logit: npt.NDArray[np.float64] = np.log(share / (1 - share))
    return logit


def sampling_noise(accuracy: float, images: int) -> float:
    """Standard deviation of the logit accuracy over so many held-out images (binomial), for an accuracy in percent."""
    share = float(np.clip(accuracy / 100, 0.005, 0.995))
    return float((images * share * (1 - share)) ** -0.5)


def to_percent(logit: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Logits, of any shape -> percent, of that shape."""
    percent: npt.NDArray[np.float64] = 100 / (1 + np.exp(-np.asarray(logit, dtype=np.float64)))
    return percent
