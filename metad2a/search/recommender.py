"""What a search needs of whoever recommends architectures to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture
from databases.datasets.task import Task

if TYPE_CHECKING:
    from databases.datasets.features import TaskFeatures


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
