"""How long a training will take: seconds linear in the network's multiply-adds, calibrated on trainings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

TRUST = 0.25  # weight of the guess at either end of the range, beside a training's 1

Floats = npt.NDArray[np.float64]


class TrainingTime:
    """Seconds = fixed + rate * multiply-adds, neither below zero.

    Begins with a guess. Trainings correct its height at once, and its slope as they show one (on a GPU small networks
    may take as long as large ones). Relative errors count: a slow training weighs no more than a fast one.

    Args:
        flops: (n,) multiply-adds of the candidates for one image. guess: (n,) seconds that each may take.
    """

    def __init__(self, flops: npt.ArrayLike, guess: npt.ArrayLike) -> None:
        given, seconds = np.asarray(flops, dtype=np.float64), np.asarray(guess, dtype=np.float64)
        ends = [int(np.argmin(given)), int(np.argmax(given))]
        self._unit = max(float(given.max()), 1.0)
        self._ends, self._guess = given[ends] / self._unit, np.maximum(seconds[ends], 1e-6)
        self._told: list[tuple[float, float]] = []
        self._line = self._fit()

    def observe(self, flops: float, seconds: float) -> None:
        """A whole training took so long."""
        self._told.append((flops / self._unit, max(seconds, 1e-6)))
        self._line = self._fit()

    def __call__(self, flops: npt.ArrayLike) -> Floats:
        """Expected seconds of networks with so many multiply-adds for one image, (n,) -> (n,)."""
        found: Floats = _rows(np.asarray(flops, dtype=np.float64) / self._unit) @ self._line
        return np.maximum(found, 1e-6)

    def _fit(self) -> Floats:
        """The two numbers of the line."""
        places, seconds = np.array(self._told, dtype=np.float64).reshape(-1, 2).T
        height = np.exp(np.log(seconds / np.interp(places, self._ends, self._guess)).mean()) if self._told else 1.0
        weights = np.r_[np.ones(len(places)), TRUST, TRUST]
        rows = _rows(np.r_[places, self._ends]) / np.r_[seconds, height * self._guess][:, None]
        line: Floats = nnls(rows * weights[:, None], weights)[0]
        return line


def _rows(places: Floats) -> Floats:
    return np.stack([np.ones(len(places)), places], axis=1)
