"""What the generator is taught: the good architectures of every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from databases.architectures.space import finite_space
from databases.records.episodes import Episode, Known
from metad2a.generate.generator import Lesson
from predictors.meta import MetaPredictor
from predictors.surrogates import Surrogate

GOOD = 64  # architectures of a task that count as good
SINGLE = 200  # tasks of few measured architectures are many: at most so many of them are taught


def lessons(
    model: MetaPredictor, surrogates: Mapping[str, Surrogate], known: Sequence[Episode], *, seed: int
) -> list[Lesson]:
    """What the generator learns from: each task's best classes, measured where all were, else predicted."""
    classes = list(finite_space(model.config.space).classes)
    rng = np.random.default_rng(seed)
    few = Known.of(known).single
    picked = [few[i] for i in rng.permutation(len(few))[:SINGLE]]
    vectors = model.encode_many(classes)
    found = []
    for each in [*picked, *(e for e in known if not e.few)]:
        if each.recipe in surrogates and not (each.few or each.table):
            process = surrogates[each.recipe].process
            value = process.predict(each.features.statistics, np.arange(len(classes))).mean
        else:
            value = model.predict_encoded(each.features, vectors, recipe=each.recipe).mean
        if each.table:
            value = np.full(len(classes), -np.inf)
            value[each.cells] = each.accuracy
        best = np.argsort(-value)[:GOOD]
        weights = np.linspace(1, 0.25, len(best))
        walks = [classes[i].walk for i in best]
        found.append(Lesson(each.features, each.recipe, walks, weights / weights.sum()))
    return found
