"""Makes the searcher of a user's own task: what the meta-model recommends becomes its candidates and its prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, space
from databases.datasets.task import VALIDATION, Task
from databases.records.recipe import Recipe
from metad2a.search.controllers import controller, options
from metad2a.search.controllers.controller import Controller, Setting
from predictors.scale import sampling_noise
from predictors.training_time import TrainingTime

DEFAULT = "surrogate"
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
    def weights(self) -> str:
        """Names the weights that recommended."""


class Recommender(Protocol):
    """What a search needs of a model; `metad2a.recommend.MetaD2A` is one."""

    def recommend(self, data: Task, *, top: int | None, seed: int, recipe: str) -> Answer:
        """The ``top`` candidates for a task, None for all."""

    def embed(self, pool: Sequence[Architecture]) -> npt.NDArray[np.float64]:
        """Embeddings, (n, d): alike where the architectures are."""


def searcher(
    name: str, model: Recommender, answer: Answer, task: Task, *, recipe: Recipe, seed: int, time: TrainingTime
) -> Controller:
    """The controller of that name over the space of what was recommended; raises `UserError` for an unknown one.

    The surrogate looks among the better part of the ranking: what is unlike all others is uncertain, and would be
    tried for that although it is expected to be bad. (On ImageNet16-120 after 12 epochs, NinaPro and Darcy Flow a
    quarter, a tenth and all of the ranking do alike.) Without validation images there is nothing to learn from: the
    recommended order stays.
    """
    ranked = [each.architecture for each in answer.candidates]
    chosen = space(ranked[0].space)
    if name == DEFAULT and not (task.parts == VALIDATION).any():
        name = "zero-shot"
    return controller(name, chosen, seed=seed, **_options(name, model, answer, task, recipe, time))


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
    if name == "surrogate":
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
        from metad2a.search.controllers.training_free import OWN_POOL, OwnNaswot

        skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
        return {"score": OwnNaswot(task, skeleton, resolution=recipe.resolution), "pool": OWN_POOL}
    if name in ("generator", "warm-start"):
        from metad2a.search.controllers.warm_start import of_model

        return of_model(model, task, recipe=recipe.name)
    return options(name, space(ranked[0].space), Setting(task.fingerprint, recipe.name))
