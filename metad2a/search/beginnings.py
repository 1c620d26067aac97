"""BEGINNINGS: how searchers begin on a user's own images, by name; what is not there needs a space and a seed alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from databases.datasets.task import VALIDATION, Task
from databases.records.recipe import Recipe
from metad2a.search.recommender import Answer, Recommender
from predictors.scale import sampling_noise
from predictors.training_time import TrainingTime

BETTER, AT_LEAST = 0.25, 50  # share of the ranking that the surrogate searches in, and how many at least


@dataclass(frozen=True)
class Recommended:
    """What is at hand for a search that begins with a meta-model; ``time`` learns what trainings take."""

    model: Recommender
    answer: Answer
    task: Task
    recipe: Recipe
    time: TrainingTime


@dataclass(frozen=True)
class Beginning:
    """How a searcher begins.

    Attributes:
        recommended: what its controller is made with, by what a meta-model recommends.
        unaided: the same by the images alone; None: it cannot begin without a meta-model.
        in_order: whether it begins with the recommended order.
        blind: which searcher takes its place where no validation image tells a score; None: none does.
    """

    recommended: Callable[[Recommended], dict[str, Any]] = lambda given: {}
    unaided: Callable[[Task, Recipe], dict[str, Any]] | None = lambda task, recipe: {}
    in_order: bool = False
    blind: str | None = None


def beginning(searcher: str) -> Beginning:
    """That of the searcher of that name."""
    return BEGINNINGS.get(searcher, Beginning())


def _ranking(given: Recommended) -> dict[str, Any]:
    return {"order": [each.architecture for each in given.answer.candidates]}


def _better_part(given: Recommended) -> dict[str, Any]:
    """The surrogate looks among the better part of the ranking.

    What is unlike all others is uncertain, and would be tried for that although it is expected to be bad. (On
    ImageNet16-120 after 12 epochs, NinaPro and Darcy Flow a quarter, a tenth and all of the ranking do alike.)
    """
    answer = given.answer
    better = answer.candidates[: max(AT_LEAST, round(BETTER * len(answer.candidates)))]
    row = {each.architecture: i for i, each in enumerate(better)}
    scores = np.array([each.score for each in better])
    flops = np.array([each.flops for each in better], dtype=np.float64)
    return {
        "pool": list(row),
        "prior": lambda pool: scores[[row[each] for each in pool]],
        "embed": given.model.embed,
        "cost": lambda pool: given.time(flops[[row[each] for each in pool]]),
        "noise": _noise(answer, int((given.task.parts == VALIDATION).sum())),
    }


def _noise(answer: Answer, images: int) -> float | None:
    """Of one training's logit accuracy on so many validation images: its seed's, and that of the images."""
    accuracy = answer.candidates[0].expected_accuracy
    if answer.noise is None or accuracy is None or not images:
        return None
    return float(np.hypot(answer.noise, sampling_noise(accuracy, images)))


def _own_naswot(task: Task, recipe: Recipe) -> dict[str, Any]:
    """The score of untrained networks on the task's own images."""
    from metad2a.search.controllers.training_free import OWN_POOL, OwnNaswot

    skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
    return {"score": OwnNaswot(task, skeleton, resolution=recipe.resolution), "pool": OWN_POOL}


def _generator(given: Recommended) -> dict[str, Any]:
    """The model's generator, told what was seen of the images."""
    from metad2a.search.controllers.warm_start import of_model

    return of_model(given.model, given.answer.features, recipe=given.recipe.name)


BEGINNINGS = {
    "surrogate": Beginning(_better_part, in_order=True, blind="zero-shot"),
    "zero-shot": Beginning(_ranking, unaided=None, in_order=True),
    "area": Beginning(lambda given: _own_naswot(given.task, given.recipe), unaided=_own_naswot),
    "generator": Beginning(_generator, unaided=None),
    "warm-start": Beginning(_generator, unaided=None),
}
