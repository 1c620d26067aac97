"""What the shipped meta-model says of a benchmark's task, for searchers that begin with it.

The images of a task ``nasbench201/NAME`` are ``images/NAME.npz`` of the development data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from databases.architectures.decisions import Walk
from databases.architectures.space import Architecture, Space, finite_space
from databases.errors import UserError
from metad2a.search.controllers.controller import Setting

if TYPE_CHECKING:
    from databases.datasets.features import TaskFeatures

POOL = 1000  # the best predicted classes: as many as a Gaussian process ranks quickly


@dataclass(frozen=True)
class PredictedLogits:
    """Predicted logit accuracies of the canonical classes: their walks -> value."""

    space: str
    values: dict[Walk, float]

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """One each."""
        chosen = finite_space(self.space)
        return [self.values[chosen.canonical(each).walk] for each in architectures]


def surrogate_options(space: Space, setting: Setting) -> dict[str, Any]:
    """A prior and the best predicted classes; nothing, that is a flat prior, where there are no images."""
    try:
        found = predicted_logits(space, setting)
    except UserError:
        return {}
    return {"prior": found, "pool": _best_first(found)[:POOL]}


def zero_shot_options(space: Space, setting: Setting) -> dict[str, Any]:
    """The classes, best predicted first; raises `UserError` where there are no images or no prediction."""
    return {"order": _best_first(predicted_logits(space, setting))}


@lru_cache(maxsize=8)
def predicted_logits(space: Space, setting: Setting) -> PredictedLogits:
    """Of all classes of the space; raises `UserError` where there are no images or no prediction."""
    from metad2a.recommend.model import load

    model, features = load(), task_features(setting)
    if space.name != model.predictor_space.name:
        raise UserError(
            f"given the space {space.name!r}, which the meta-model cannot rank; it knows {model.predictor_space.name!r}"
        )
    classes = model.predictor_space.classes
    scores = model.score(features, classes, recipe=setting.recipe).mean
    return PredictedLogits(space.name, {each.walk: float(score) for each, score in zip(classes, scores, strict=True)})


@lru_cache(maxsize=8)
def task_features(setting: Setting) -> TaskFeatures:
    """The features of the task's images; raises `UserError` where there are none."""
    from databases.datasets.features import extract
    from databases.datasets.loading import load_task

    name = setting.task.rpartition("/")[2]
    path = None if setting.data is None else setting.data / "images" / f"{name}.npz"
    if path is None or not path.is_file():
        raise UserError(f"no images of {setting.task!r}: images/{name}.npz among the development data is needed")
    return extract(load_task(path, as_stored=True))


def _best_first(found: PredictedLogits) -> list[Architecture]:
    walks = sorted(found.values, key=lambda walk: -found.values[walk])
    return [Architecture(found.space, walk) for walk in walks]
