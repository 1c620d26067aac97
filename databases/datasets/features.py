"""What a predictor sees of a task: frozen features of a few images a class, and a few plain statistics.

Features come from the shipped backbone, from the same network untrained, or are plain image statistics; the
last two are the rivals that `metad2a evaluate` prints beside the first.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from databases.datasets.landmarks import Landmarks, landmarks
from databases.datasets.probes import NO_PROBES, PROBES, VERSION, probes
from databases.datasets.task import TRAIN, Task, resize_images
from databases.hosting import own_ways
from databases.kept import Arrays, kept
from databases.usual import LOOKED_AT

if TYPE_CHECKING:
    from torch import nn

Kind = Literal["trained", "random", "plain"]
MOST_IMAGES = 1000
PLAIN = (
    "log_train_images",
    "log_classes",
    "log_images_a_class",
    "colour",
    "log_resolution",
    "balance",
    "feature_accuracy",
    "feature_margin",
    "pixel_accuracy",
    "colour_accuracy",
    "texture_accuracy",
    "shape_accuracy",
    "brightness",
    "contrast",
    "edges",
)
LOG_IMAGES = 7.5  # about the mean, by which the first of them is moved
STATISTICS = (*PLAIN, *(f"probe {number}" for number in range(len(PROBES))))


@dataclass(frozen=True, eq=False)
class TaskFeatures:
    """A task as the predictors see it.

    Attributes:
        features: (m, d) float32, m sampled training images, sorted by class.
        labels: (m,) int64, 0..classes-1, every class at least once.
        statistics: (len(STATISTICS),) float32.
        name, source, fingerprint: as in the task.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    statistics: npt.NDArray[np.float32]
    name: str = ""
    source: str = ""
    fingerprint: str = ""

    @property
    def train_images(self) -> int:
        """How many training images the task has, of which the features are a sample."""
        return round(float(np.exp(self.statistics[0] + LOG_IMAGES)))

    def mean(self) -> npt.NDArray[np.float32]:
        """(2 d,) the mean of the class means, and the spread of the class means: where the task lies."""
        means = class_means(self.features, self.labels)
        return np.concatenate([means.mean(0), means.std(0)])


@own_ways()
def extract(
    task: Task,
    *,
    images_per_class: int = LOOKED_AT,
    kind: Kind = "trained",
    seed: int = 0,
    cache: Path | None = None,
    probed: tuple[float, ...] | None = None,
    deadline: float = math.inf,
) -> TaskFeatures:
    """Features of up to ``images_per_class`` training images a class (at most 1,000 images in all).

    With ``cache`` (a folder) the result is kept by the task's fingerprint; ``probed`` is what `probes` tells of the
    task, where that is known, and must otherwise be told by the monotonic second ``deadline``.

    Raises:
        UserError: there is not so much time.
    """
    per_class = max(1, min(images_per_class, MOST_IMAGES // task.classes))
    key = (task.fingerprint, kind, per_class, seed, len(PLAIN), VERSION, _version(kind))

    def look() -> Arrays:
        where = task.places(TRAIN)
        chosen = where[draw(task.labels[where], per_class, seed)]
        images, labels = task.images[chosen], task.labels[chosen]
        found = from_images(images, kind=kind)
        known = probes(task, deadline=deadline) if probed is None else probed
        told = statistics(task, images, found, labels, known)
        return {"features": found, "labels": labels, "statistics": told}

    found = kept(cache, key, look, "features", "labels", "statistics")
    return TaskFeatures(**found, name=task.name, source=task.source, fingerprint=task.fingerprint)


def from_images(images: npt.NDArray[np.uint8], *, kind: Kind = "trained") -> npt.NDArray[np.float32]:
    """(m, h, w, c) uint8 -> (m, d) float32 features, each standardised over its own entries."""
    small = resize_images(images, 32)
    small = np.repeat(small, 3, axis=-1) if small.shape[-1] == 1 else small
    return standardised(_plain(small) if kind == "plain" else _network(small, kind))


def standardised(found: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Features (m, d), each row in units of the spread of its own entries about their mean."""
    centred = found - found.mean(1, keepdims=True)
    standard: npt.NDArray[np.float32] = centred / (found.std(1, keepdims=True) + 1e-6)
    return standard.astype(np.float32)


def statistics(
    task: Task,
    images: npt.NDArray[np.uint8],
    features: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    probed: tuple[float, ...] | None = None,
) -> npt.NDArray[np.float32]:
    """The plain statistics of a task (see `STATISTICS`) from sampled ``images`` and their ``features``."""
    known = task.statistics()
    return plain_statistics(
        train_images=float(known["train_images"]),
        classes=task.classes,
        channels=task.channels,
        resolution=task.resolution,
        balance=float(known["balance"]),
        landmarks=landmarks(images, features, labels),
        pixels=pixel_statistics(images),
        probed=probes(task) if probed is None else probed,
    )


def plain_statistics(
    *,
    train_images: float,
    classes: int,
    channels: int,
    resolution: int,
    balance: float,
    landmarks: Landmarks,
    pixels: tuple[float, float, float],
    probed: tuple[float, ...] = NO_PROBES,
) -> npt.NDArray[np.float32]:
    """The vector of `STATISTICS` from its parts."""
    counts = [np.log(train_images) - LOG_IMAGES, np.log(classes) - 2.3, np.log(train_images / classes) - 5]
    shape = [float(channels == 3), np.log(resolution / 32), balance - 1]
    return np.array([*counts, *shape, *landmarks, *pixels, *probed], dtype=np.float32)


def pixel_statistics(images: npt.NDArray[np.uint8]) -> tuple[float, float, float]:
    """Brightness, contrast and strength of edges of (m, h, w, c) images."""
    pixels = images.astype(np.float32) / 255
    edges = np.abs(np.diff(pixels, axis=1)).mean() + np.abs(np.diff(pixels, axis=2)).mean()
    return float(pixels.mean()), float(pixels.std()), float(4 * edges)


def class_means(features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """(m, d) features and (m,) labels -> (classes, d)."""
    sums = np.zeros((int(labels.max()) + 1, features.shape[1]), dtype=np.float32)
    np.add.at(sums, labels, features)
    means: npt.NDArray[np.float32] = np.divide(sums, np.bincount(labels)[:, None].astype(np.float32))
    return means


def draw(labels: npt.NDArray[np.int64], per_class: int, seed: int) -> npt.NDArray[np.intp]:
    """Labels (n,) -> (m,) positions of up to ``per_class`` drawn images of each class, class after class."""
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.flatnonzero(labels == label))[:per_class] for label in np.unique(labels)]
    return np.concatenate(parts)


def _network(images: npt.NDArray[np.uint8], kind: Kind) -> npt.NDArray[np.float32]:
    import torch

    network = _backbone(kind)
    with torch.inference_mode():
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        parts = [network(part) for part in x.contiguous(memory_format=torch.channels_last).split(250)]
        found: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return found


@lru_cache(maxsize=2)
def _backbone(kind: Kind) -> nn.Module:
    import torch

    from databases.datasets.backbone import random_backbone, trained_backbone

    network: nn.Module = trained_backbone() if kind == "trained" else random_backbone()
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def _plain(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(m, 32, 32, 3) -> (m, 60): a 4x4 thumbnail, and mean and spread of each channel and of its edges."""
    x = images.astype(np.float32) / 255
    thumbnail = x.reshape(len(x), 4, 8, 4, 8, 3).mean((2, 4)).reshape(len(x), -1)
    edges = [np.abs(np.diff(x, axis=axis)).mean((1, 2)) for axis in (1, 2)]
    return np.concatenate([thumbnail, x.mean((1, 2)), x.std((1, 2)), *edges], axis=1)


@lru_cache(maxsize=3)
def _version(kind: Kind) -> str:
    if kind != "trained":
        return "1"
    from databases.datasets.backbone import WEIGHTS

    return hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:8]
