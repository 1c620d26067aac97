"""Makes the searcher of a user's own task: what the meta-model recommends becomes its candidates and its prior."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, ImageSpace, space
from databases.datasets.task import VALIDATION, Task
from databases.errors import UserError
from databases.records.recipe import Recipe
from databases.usual import DEFAULT_SEARCHER
from metad2a.recommend.measured import expected_of
from metad2a.search.controllers import controller, options
from metad2a.search.controllers.controller import Controller, Setting
from metad2a.search.limited import Costing, Limited
from metad2a.search.run_state import Trained
from predictors.level import Level
from predictors.scale import sampling_noise
from predictors.training_time import TrainingTime

if TYPE_CHECKING:
    from databases.datasets.features import TaskFeatures

BEGIN_WITH_ORDER = (DEFAULT_SEARCHER, "zero-shot")
SAME = (
    "under the recipe {recipe!r} the recommended order, with which the search begins, is the same for all data; "
    "under tiny and shallow it depends on the images"
)
BETTER, AT_LEAST = 0.25, 50  # share of the ranking that the surrogate searches in, and how many at least


class Proposal(Protocol):
    """What a search needs of a recommended candidate."""

    @property
    def architecture(self) -> Architecture:
        """The architecture."""

    @property
    def expected_accuracy(self) -> float | None:
        """Percent, None where the level cannot be known."""

    @property
    def score(self) -> float:
        """Predicted logit accuracy."""

    @property
    def flops(self) -> int:
        """Multiply-adds for one image."""

    @property
    def expected_seconds(self) -> float | None:
        """Of training, a rough guide; None where it is not known."""


class Answer(Protocol):
    """What a search needs of a recommendation."""

    @property
    def candidates(self) -> Sequence[Proposal]:
        """Best first."""

    @property
    def noise(self) -> float | None:
        """Standard deviation of one architecture's logit accuracy between seeds, None where it is not known."""

    @property
    def same_for_all(self) -> bool:
        """Whether the order does not depend on the images."""

    @property
    def weights(self) -> str:
        """Names the weights that recommended."""

    @property
    def features(self) -> TaskFeatures | None:
        """What was seen of the images."""


class Recommender(Protocol):
    """What a search needs of a model; `metad2a.recommend.model.MetaD2A` is one."""

    def recommend(self, data: Task, *, top: int | None, seed: int, recipe: str, deadline: float) -> Answer:
        """The ``top`` candidates for a task, None for all; raises `UserError` where time would be over before."""

    def embed(self, pool: Sequence[Architecture]) -> npt.NDArray[np.float64]:
        """Embeddings, (n, d): alike where the architectures are."""


@dataclass(frozen=True)
class Plan:
    """How a search goes about a task.

    Attributes:
        controller: asks for architectures. origin: names the weights or the space that it begins with.
        expected: the accuracy in percent that is expected of an architecture by now, None where it is not known.
        learn: told every training that is done. notes: what to know about its beginning.
    """

    controller: Controller
    origin: str
    expected: Callable[[Architecture], float | None] = lambda architecture: None
    learn: Callable[[Trained], None] = lambda trained: None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
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
) -> Plan:
    """The searcher of that name over the space of what the model recommends; raises `UserError` for an unknown one.

    With a ``costing`` also where nothing that the model recommends keeps its limits.

    The surrogate looks among the better part of the ranking: what is unlike all others is uncertain, and would be
    tried for that although it is expected to be bad. (On ImageNet16-120 after 12 epochs, NinaPro and Darcy Flow a
    quarter, a tenth and all of the ranking do alike.) Without validation images there is nothing to learn from: the
    recommended order stays.
    """
    answer = model.recommend(task, top=None, seed=seed, recipe=recipe.name, deadline=deadline)
    if costing is not None:
        fits = costing.within([each.architecture for each in answer.candidates])
        kept = [each for each in answer.candidates if each.architecture in fits]
        answer = Kept(kept, answer.noise, answer.weights, answer.same_for_all, answer.features)
    chosen, takes = space(answer.candidates[0].architecture.space), training_time(answer)
    if name == DEFAULT_SEARCHER and not (task.parts == VALIDATION).any():
        name = "zero-shot"
    known = {each.architecture: each.expected_accuracy for each in answer.candidates}

    level = Level()

    def learn(trained: Trained) -> None:
        if not trained.complete:
            return
        takes.learn(trained.flops, trained.seconds)
        before = expected_of(trained.architecture, known)
        if before is not None and trained.valid_accuracy is not None:
            level.learn(before, trained.valid_accuracy)

    def expected(architecture: Architecture) -> float | None:
        before = expected_of(architecture, known)
        return None if before is None else level(before)

    return Plan(
        _within(controller(name, chosen, seed=seed, **_options(name, model, answer, task, recipe, takes)), costing),
        answer.weights,
        expected,
        learn,
        (SAME.format(recipe=recipe.name),) if answer.same_for_all and name in BEGIN_WITH_ORDER else (),
    )


def unaided(
    name: str, chosen: ImageSpace, task: Task, *, recipe: Recipe, seed: int, costing: Costing | None = None
) -> Plan:
    """The searcher of that name in a space that no meta-model knows; raises `UserError` for one that needs one."""
    if name in ("zero-shot", "generator", "warm-start"):
        raise UserError(
            f"the searcher {name!r} begins with the meta-model, which knows no architectures of the space "
            f"{chosen.name!r}: choose another, such as {DEFAULT_SEARCHER}, evolution or random"
        )
    needs = _own_naswot(task, recipe) if name == "area" else {}
    return Plan(_within(controller(name, chosen, seed=seed, **needs), costing), chosen.name)


def _within(searcher: Controller, costing: Costing | None) -> Controller:
    return searcher if costing is None else Limited(searcher, costing)


def training_time(answer: Answer) -> TrainingTime:
    """What the trainings are expected to take before any was seen."""
    flops = np.array([each.flops for each in answer.candidates], dtype=np.float64)
    guess = [each.expected_seconds for each in answer.candidates if each.expected_seconds is not None]
    return TrainingTime(flops, guess if len(guess) == len(flops) else flops + flops.mean())


def _noise(answer: Answer, images: int) -> float | None:
    """Of one training's logit accuracy on so many validation images: its seed's, and that of the images."""
    accuracy = answer.candidates[0].expected_accuracy
    if answer.noise is None or accuracy is None or not images:
        return None
    return float(np.hypot(answer.noise, sampling_noise(accuracy, images)))


def _options(
    name: str, model: Recommender, answer: Answer, task: Task, recipe: Recipe, time: TrainingTime
) -> dict[str, Any]:
    """What the controller of that name is made with for this task."""
    ranked = [each.architecture for each in answer.candidates]
    if name == "zero-shot":
        return {"order": ranked}
    if name == DEFAULT_SEARCHER:
        better = answer.candidates[: max(AT_LEAST, round(BETTER * len(ranked)))]
        row = {each.architecture: i for i, each in enumerate(better)}
        scores = np.array([each.score for each in better])
        flops = np.array([each.flops for each in better], dtype=np.float64)
        return {
            "pool": list(row),
            "prior": lambda pool: scores[[row[each] for each in pool]],
            "embed": model.embed,
            "cost": lambda pool: time(flops[[row[each] for each in pool]]),
            "noise": _noise(answer, int((task.parts == VALIDATION).sum())),
        }
    if name == "area":
        return _own_naswot(task, recipe)
    if name in ("generator", "warm-start"):
        from metad2a.search.controllers.warm_start import of_model

        return of_model(model, answer.features, recipe=recipe.name)
    return options(name, space(ranked[0].space), Setting(task.fingerprint, recipe.name))


def _own_naswot(task: Task, recipe: Recipe) -> dict[str, Any]:
    """What AREA is made with: the score of untrained networks on the task's own images."""
    from metad2a.search.controllers.training_free import OWN_POOL, OwnNaswot

    skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
    return {"score": OwnNaswot(task, skeleton, resolution=recipe.resolution), "pool": OWN_POOL}
