"""Makes the searcher of a user's own task: what the meta-model recommends becomes its candidates and its prior."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from databases.architectures.space import Architecture, ImageSpace, space
from databases.datasets.task import VALIDATION, Task
from databases.errors import UserError
from databases.records.recipe import Recipe
from databases.usual import DEFAULT_SEARCHER
from metad2a.recommend.measured import expected_of
from metad2a.search.beginnings import Recommended, beginning
from metad2a.search.controllers import controller
from metad2a.search.controllers.controller import Controller
from metad2a.search.limited import Costing, Limited
from metad2a.search.recommender import Answer, Proposal, Recommender
from metad2a.search.run_state import Trained
from predictors.level import Level
from predictors.training_time import TrainingTime

if TYPE_CHECKING:
    from databases.datasets.features import TaskFeatures

SAME = (
    "under the recipe {recipe!r} the recommended order, with which the search begins, is the same for all data; "
    "under tiny and shallow it depends on the images"
)


@dataclass(frozen=True)
class Approach:
    """How a search goes about a task.

    Attributes:
        controller: asks for architectures. origin: names the weights or the space that it begins with.
        expected: the accuracy in percent that is expected of an architecture by now, None where it is not known.
        on_trained: told every training that is done. notes: what to know about its beginning.
    """

    controller: Controller
    origin: str
    expected: Callable[[Architecture], float | None] = lambda architecture: None
    on_trained: Callable[[Trained], None] = lambda trained: None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LimitedAnswer:
    """What of an `Answer` keeps the limits."""

    candidates: Sequence[Proposal]
    noise: float | None
    weights: str
    same_for_all: bool
    features: TaskFeatures | None


def recommended(
    name: str,
    model: Recommender,
    task: Task,
    *,
    recipe: Recipe,
    seed: int,
    costing: Costing | None = None,
    deadline: float = math.inf,
) -> Approach:
    """The searcher of that name over the space of what the model recommends; raises `UserError` for an unknown one.

    With a ``costing`` also where nothing that the model recommends keeps its limits. Without validation images the
    surrogate has nothing to learn from: the recommended order stays.
    """
    answer = model.recommend(task, top=None, seed=seed, recipe=recipe.name, deadline=deadline)
    if costing is not None:
        fits = costing.within([each.architecture for each in answer.candidates])
        kept = [each for each in answer.candidates if each.architecture in fits]
        answer = LimitedAnswer(kept, answer.noise, answer.weights, answer.same_for_all, answer.features)
    chosen, takes = space(answer.candidates[0].architecture.space), training_time(answer)
    if not (task.parts == VALIDATION).any():
        name = beginning(name).blind or name
    begin, given = beginning(name), Recommended(model, answer, task, recipe, takes)
    known = {each.architecture: each.expected_accuracy for each in answer.candidates}
    level = Level()

    def on_trained(trained: Trained) -> None:
        if not trained.complete:
            return
        takes.observe(trained.flops, trained.seconds)
        before = expected_of(trained.architecture, known)
        if before is not None and trained.valid_accuracy is not None:
            level.observe(before, trained.valid_accuracy)

    def expected(architecture: Architecture) -> float | None:
        before = expected_of(architecture, known)
        return None if before is None else level(before)

    return Approach(
        _within(controller(name, chosen, seed=seed, **begin.recommended(given)), costing),
        answer.weights,
        expected,
        on_trained,
        (SAME.format(recipe=recipe.name),) if answer.same_for_all and begin.in_order else (),
    )


def unaided(
    name: str, chosen: ImageSpace, task: Task, *, recipe: Recipe, seed: int, costing: Costing | None = None
) -> Approach:
    """The searcher of that name in a space that no meta-model knows; raises `UserError` for one that needs one."""
    options = beginning(name).unaided
    if options is None:
        raise UserError(
            f"the searcher {name!r} begins with the meta-model, which knows no architectures of the space "
            f"{chosen.name!r}: choose another, such as {DEFAULT_SEARCHER}, evolution or random"
        )
    return Approach(_within(controller(name, chosen, seed=seed, **options(task, recipe)), costing), chosen.name)


def _within(searcher: Controller, costing: Costing | None) -> Controller:
    return searcher if costing is None else Limited(searcher, costing)


def training_time(answer: Answer) -> TrainingTime:
    """What the trainings are expected to take before any was seen."""
    flops = np.array([each.flops for each in answer.candidates], dtype=np.float64)
    guess = [each.expected_seconds for each in answer.candidates if each.expected_seconds is not None]
    return TrainingTime(flops, guess if len(guess) == len(flops) else flops + flops.mean())
