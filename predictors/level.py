"""How good a task's trainings turn out, against what was expected: one shift of logits for all architectures.

Most of what is not known before the first training is the level of the task, which all architectures share.
"""

from __future__ import annotations

from predictors.scale import to_logit, to_percent


class Level:
    """The mean distance of measurements from what was expected before any; no distance counts as one of them."""

    def __init__(self) -> None:
        self._gaps = [0.0]

    def observe(self, expected: float, measured: float) -> None:
        """A training of which ``expected`` percent were expected before any was seen measured so much."""
        self._gaps.append(float(to_logit(measured) - to_logit(expected)))

    def __call__(self, expected: float) -> float:
        """What is expected in percent now, where it was ``expected`` before any measurement."""
        if len(self._gaps) == 1:
            return expected
        return float(to_percent(to_logit(expected) + sum(self._gaps) / len(self._gaps)))
