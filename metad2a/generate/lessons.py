"""What a generator is taught: the good architectures of every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, finite_space
from databases.datasets.features import TaskFeatures
from databases.hosting import lent
from databases.records.episodes import Episode, Known
from metad2a.generate.generator import Generator, GeneratorConfig, Lesson, train_generator
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
        found.append(lesson(each.features, classes, value, recipe=each.recipe))
    return found


def lesson(
    task: TaskFeatures, architectures: Sequence[Architecture], values: npt.ArrayLike, *, recipe: str, good: int = GOOD
) -> Lesson:
    """The best of some architectures on a task by their values (n,), higher is better: the best weighs four times."""
    best = np.argsort(-np.asarray(values))[:good]
    weights = np.linspace(1, 0.25, len(best))
    return Lesson(task, recipe, [architectures[i].walk for i in best], weights / weights.sum())


def taught(lessons: Sequence[Lesson], *, space: str, steps: int, walks: int = 48, seed: int = 0) -> Generator:
    """A new generator that learns these lessons."""
    width, recipes = lessons[0].features.features.shape[1], dict.fromkeys(each.recipe for each in lessons)
    with lent(seed=seed):
        fresh = Generator(GeneratorConfig(features=width, space=space, recipes=tuple(recipes)))
        return train_generator(fresh, lessons, steps=steps, walks=walks, seed=seed)
