"""Fine-tunings that were never made, whose accuracies follow a made-up law."""

from __future__ import annotations

import math

import numpy as np
import pytest

from databases.architectures.spaces.pipeline import Pipeline
from metad2a.recommend import chances
from predictors.fine_tunings import Example, Looked
from predictors.outcome import OutcomeModel
from predictors.scale import to_logit, to_percent

OWN, HOG, LITE = Pipeline("own", 32, "probe"), Pipeline("hog", 64, "probe"), Pipeline("lite0", 64, "probe")
ALL = Pipeline("own", 32, "all", 0.03)


def law(probe: float, passes: float) -> float:
    """The made-up truth: each doubling of the passes adds as much."""
    return float(to_percent(to_logit(probe) + 0.3 * math.log(passes)))


def examples(sources: int = 6, *, noise: float = 0.0) -> tuple[Example, ...]:
    rng, found = np.random.default_rng(0), []
    for number in range(sources):
        looked = Looked(10, 320, {("own", 32): float(rng.uniform(40, 80))})
        off = noise * rng.standard_normal()
        for passes in (5.0, 10.0, 20.0, 40.0):
            reached = float(to_percent(to_logit(law(looked.probes["own", 32], passes)) + off))
            found.append(Example(looked, ALL, 10 * passes, (reached,), f"source{number}"))
    return tuple(found)


def told_by_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is expected of pipelines is learnt from those fine-tunings."""
    model = OutcomeModel(examples())
    monkeypatch.setattr(chances, "outcomes", lambda: model)
    monkeypatch.setattr("metad2a.recommend.experience.outcomes", lambda: model)
