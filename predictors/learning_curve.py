"""When a training is hopeless: its learning curve against those of the finished trainings of the same search.

At half and at three quarters of its epochs a training's validation accuracy is compared with what the finished
trainings had there. It is given up if it would stay behind the best of them even with the largest gain that any of
them made from there to its end, and `MARGIN` more. Gains are measured in logits, where a point near 100 weighs more.
The rule is a cautious relative of the median rule (Golovin et al., 2017), which would give up half of all trainings,
among recommended ones many good ones. The first half of a short training tells too little: on the handwritten digits,
with the recipe `tiny`, the best of eleven cells had the third lowest accuracy after two of five epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from predictors.scale import to_logit, to_percent

CHECKS = (0.5, 0.75)  # shares of the epochs
FEWEST = 3  # finished trainings that are needed to judge
MARGIN = 0.5  # logits


@dataclass(frozen=True)
class Curve:
    """Validation accuracies in percent at the checks that were reached, and at the end."""

    checks: tuple[float, ...]
    final: float


@dataclass(frozen=True)
class Forecast:
    """How a training will end, in percent: with the median gain, and with the largest one and the margin."""

    likely: float
    at_best: float


def forecast(checks: Sequence[float], finished: Sequence[Curve]) -> Forecast | None:
    """The end of a training that has the accuracies ``checks`` so far; None where too few others tell."""
    place = len(checks) - 1
    others = [each for each in finished if len(each.checks) > place]
    if place < 0 or len(others) < FEWEST:
        return None
    gains = to_logit([each.final for each in others]) - to_logit([each.checks[place] for each in others])
    now = to_logit(checks[place])
    return Forecast(float(to_percent(now + np.median(gains))), float(to_percent(now + gains.max() + MARGIN)))


def hopeless(checks: Sequence[float], finished: Sequence[Curve]) -> bool:
    """Whether a training cannot become the best any more, as far as the finished ones tell."""
    expected = forecast(checks, finished)
    return expected is not None and expected.at_best < max(each.final for each in finished)
