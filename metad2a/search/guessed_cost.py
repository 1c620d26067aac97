"""A guess at what a network costs, from those that were counted: counting takes a tenth of a second, guessing none."""

from __future__ import annotations

import math
import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from databases.architectures import decisions
from databases.architectures.space import Architecture, space

FEWEST, ANEW, MOST = 40, 20, 400  # counted networks before the first guess, between one fit and the next, in all
RIDGE, SURE = 1.0, 2.0  # penalty; deviations below the guess at which a cost is called out of reach

Taken = dict[tuple[str, int], int]


class GuessedCost:
    """Ridge regression of the logarithm of a cost on how often each choice of each decision was taken.

    Decisions that differ in their number only ("normal 3 join") are also counted together, so that few networks tell
    enough. How far a guess may be off is told by the residuals of networks that are left out, one at a time: the same
    inverse gives them, which a library's regression would not hand out.
    """

    def __init__(self) -> None:
        self._rows: list[Taken] = []
        self._logs: list[float] = []
        self._fitted = 0
        self._weights: dict[tuple[str, int], float] = {}
        self._intercept, self._deviation = 0.0, math.inf

    def observe(self, architecture: Architecture, cost: int) -> None:
        """Takes in a counted cost."""
        if len(self._rows) == MOST:
            return
        self._rows.append(_taken(architecture))
        self._logs.append(math.log(max(cost, 1)))
        if len(self._rows) >= FEWEST and len(self._rows) - self._fitted >= ANEW:
            self._fit()

    def least(self, architecture: Architecture) -> float:
        """What it hardly costs less than; 0 as long as too few are known."""
        if not self._fitted:
            return 0.0
        told = sum(self._weights.get(key, 0.0) * count for key, count in _taken(architecture).items())
        return math.exp(self._intercept + told - SURE * self._deviation)

    def _fit(self) -> None:
        columns = {key: place for place, key in enumerate(dict.fromkeys(key for row in self._rows for key in row))}
        taken = np.zeros((len(self._rows), len(columns)))
        for row, counts in enumerate(self._rows):
            for key, count in counts.items():
                taken[row, columns[key]] = count
        middle, logs = taken.mean(0), np.array(self._logs)
        inside, targets = taken - middle, logs - logs.mean()
        inverse: npt.NDArray[np.float64] = np.linalg.inv(inside @ inside.T + RIDGE * np.eye(len(inside)))
        dual = inverse @ targets
        weights = inside.T @ dual
        self._weights = dict(zip(columns, weights.tolist(), strict=True))
        self._intercept = float(logs.mean() - middle @ weights)
        self._deviation = float(np.sqrt(np.mean((dual / np.diag(inverse)) ** 2)))  # of each left out
        self._fitted = len(self._rows)


def _taken(architecture: Architecture) -> Taken:
    """How often each choice was taken of each decision, by its name with and without numbers."""
    chosen, found = space(architecture.space), Taken()
    for state, choice in zip(
        decisions.states(chosen.program, architecture.walk, nodes=chosen.nodes), architecture.walk, strict=False
    ):
        assert state.decision is not None
        for name in _names(state.decision.name):
            found[name, choice] = found.get((name, choice), 0) + 1
    return found


@lru_cache(maxsize=10_000)
def _names(name: str) -> tuple[str, ...]:
    """Of a decision: its own, and that without numbers where it has some."""
    return tuple(dict.fromkeys((name, re.sub(r"\d+ ?", "", name))))
