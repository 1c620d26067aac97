"""Scores without training for AREA's start: published ones where there are some, else our own on noise images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, ImageSpace, Space
from databases.errors import UserError
from databases.records.importers.tables import read_zero_cost
from metad2a.search.controllers.controller import Setting

if TYPE_CHECKING:
    from databases.datasets.task import Task

OWN_POOL = 60  # architectures to score ourselves, at some hundredths of a second each
SIZE = Skeleton(channels=16, cells=1, input_channels=3, classes=10)  # of the networks scored


@dataclass(frozen=True)
class Published:
    """The published NASWOT scores of a task: architecture's text -> score; the lowest where one is missing."""

    values: dict[str, float]

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """One score each."""
        return [self.values.get(str(each), -np.inf) for each in architectures]


@dataclass(frozen=True)
class OwnNaswot:
    """Our own NASWOT scores on the images of a task; they need no labels."""

    task: Task
    skeleton: Skeleton = SIZE
    batch: int = 64
    resolution: int = 16
    seed: int = 0

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """One score each."""
        from predictors.zero_cost import zero_cost

        how: dict[str, Any] = {"batch": self.batch, "resolution": self.resolution, "seed": self.seed}
        scores = zero_cost(self.task, architectures, skeleton=self.skeleton, flow=False, **how)
        return [float(each) for each in scores["naswot"]]


def area_options(space: Space, setting: Setting) -> dict[str, Any]:
    """Options of AREA for a task."""
    scores = published_naswot(setting.data, setting.task)
    if scores:
        return {"score": Published(scores)}
    if not isinstance(space, ImageSpace):
        raise UserError(f"given the space {space.name!r}, which builds no image classifiers: leave area out")
    return {"score": OwnNaswot(noise_images()), "pool": OWN_POOL}


def published_naswot(data: Path | None, task: str) -> dict[str, float]:
    """Text of an architecture -> published NASWOT score, where the development data have them for the task."""
    return published_scores(data, task, "naswot")


def published_scores(data: Path | None, task: str, score: str) -> dict[str, float]:
    """The same of any score of `read_zero_cost`."""
    folder = None if data is None else data / "nasbench201"
    if folder is None or not (folder / "zero_cost.csv.gz").is_file():
        return {}
    return read_zero_cost(folder).get(task, {}).get(score, {})


def noise_images(*, images: int = 128, seed: int = 0) -> Task:
    """Uniform noise as a task of two classes: for scores that need images and no meaning."""
    from databases.datasets.task import TRAIN, Task

    shape = (images, 16, 16, 3)
    pixels = np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)
    parts = np.full(images, TRAIN, dtype=np.uint8)
    return Task("noise", pixels, np.arange(images, dtype=np.int64) % 2, parts, ("even", "odd"), source="noise")
