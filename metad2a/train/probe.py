"""Probe: a working classifier in seconds, by logistic regression on frozen features.

The features of a base are kept by the task's fingerprint and the weights' digest, so that they are computed once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from databases.datasets.task import TRAIN, VALIDATION, Task, sample
from databases.kept import Arrays, kept
from metad2a.train import logistic
from metad2a.train.bases import Base
from metad2a.train.classifier import Classifier
from metad2a.train.logistic import Floats, Linear

WARM, TIMED = 8, 48  # images that wake the machine up, and that tell its speed
MOST = {TRAIN: 50_000, VALIDATION: 20_000}  # images that a probe looks at
NO_MORE = "for more there was no time; with a larger budget it learns from all"
FEW = {TRAIN: 400, VALIDATION: 200}  # images that tell whether it is worth looking at all of them


@dataclass(frozen=True, eq=False)
class Probed:
    """A base with a fitted linear layer.

    Attributes:
        classifier: the working network.
        head: its linear layer.
        features, valid_features: (n, d) of the training and the validation images.
        valid_accuracy: percent; None without validation images. valid_loss: log-loss, nan without.
        seconds: wall time of features and regression.
    """

    classifier: Classifier
    head: Linear
    features: Floats
    valid_features: Floats
    valid_accuracy: float | None
    valid_loss: float
    seconds: float

    @property
    def valid_logits(self) -> Floats:
        """(n, classes) of the validation images."""
        return self.head.logits(self.valid_features)


def probe(
    base: Base, task: Task, *, resolution: int, cache: Path | None = None, most: Mapping[int, int] | None = None
) -> Probed:
    """Fits the linear layer of ``base`` on the training part, its penalty chosen on the validation part.

    It looks at ``most`` images of a part, a share of each class; by default at as many as probes look at.
    """
    begin, look = time.monotonic(), {part: _no_more(task, part, most) for part in MOST}
    found = {part: features(base, task, part, resolution=resolution, cache=cache, most=look) for part in MOST}
    labels = {part: task.labels[probed_places(task, part, look)] for part in found}
    fitted = logistic.fit(found[TRAIN], labels[TRAIN], task.classes, valid=(found[VALIDATION], labels[VALIDATION]))
    asked = fitted.logits(found[VALIDATION])
    count = len(labels[VALIDATION])
    return Probed(
        classifier=base.with_head(fitted.weight, fitted.bias, resolution=resolution),
        head=fitted,
        features=found[TRAIN],
        valid_features=found[VALIDATION],
        valid_accuracy=percent_right(asked, labels[VALIDATION]) if count else None,
        valid_loss=logistic.log_loss(asked, labels[VALIDATION]) if count else float("nan"),
        seconds=time.monotonic() - begin,
    )


def probed_places(task: Task, part: int, most: Mapping[int, int] | None = None) -> npt.NDArray[np.intp]:
    """Positions (n,) of the images of a part that probes look at: all, or a share of each class of too many.

    Features of all would not fit into memory, and a linear layer gains nothing from more.
    """
    where = task.places(part)
    return where[sample(task.labels[where], task.parts[where], most=(most or MOST)[part], seed=0)]


def _no_more(task: Task, part: int, most: Mapping[int, int] | None) -> int:
    """What `probed_places` is asked for: for all that probes look at, that number itself, not its outcome."""
    asked = (most or MOST).get(part, MOST[part])
    return MOST[part] if asked >= len(probed_places(task, part)) else asked


def loss_of_few(base: Base, task: Task, *, resolution: int) -> float:
    """Log-loss on a few validation images of a probe that learnt from a few; nan without validation images."""
    where = {part: probed_places(task, part, FEW) for part in FEW}
    if not len(where[VALIDATION]):
        return float("nan")
    classifier = base.at(resolution)
    found = {part: classifier.features(task.images, places) for part, places in where.items()}
    valid = found[VALIDATION], task.labels[where[VALIDATION]]
    fitted = logistic.fit(found[TRAIN], task.labels[where[TRAIN]], task.classes, valid=valid)
    return logistic.log_loss(fitted.logits(valid[0]), valid[1])


def told_of_sample(task: Task) -> list[str]:
    """A note where probes look at a part of the images alone."""
    seen, there = (sum(len(places(task, part)) for part in MOST) for places in (probed_places, Task.places))
    if seen == there:
        return []
    return [f"probes look at {seen:,} of {there:,} images, a share of each class; fine-tuning learns from all"]


def told_of_few(probed: Probed, task: Task, *, why: str = NO_MORE) -> str | None:
    """That a probe learnt from fewer images than probes look at, or was judged by fewer; None where it was not."""
    learnt, judged = len(probed.features), len(probed.valid_features)
    train, valid = (len(probed_places(task, part)) for part in (TRAIN, VALIDATION))
    if (learnt, judged) == (train, valid):
        return None
    judges = f" and was judged by {judged:,} of {valid:,} for validation" if judged < valid else ""
    return f"learnt from {learnt:,} of {train:,} training images{judges}: {why}"


def speed(base: Base, task: Task, *, resolution: int) -> float:
    """Images a second of the frozen network here."""
    classifier, images = base.at(resolution), task.images[:TIMED]
    classifier.features(images[:WARM])
    begin = time.monotonic()
    classifier.features(images)
    return len(images) / max(time.monotonic() - begin, 1e-6)


def refit(base: Base, task: Task, *, begin: Classifier, penalty: float, cache: Path | None = None) -> Classifier:
    """The probe ``begin`` fitted again with the penalty that was found, on training and validation images together."""
    resolution, before = begin.resolution, logistic.of_layer(begin.network.classifier, penalty)
    parts = (TRAIN, VALIDATION)
    both = np.concatenate([features(base, task, part, resolution=resolution, cache=cache) for part in parts])
    labels = np.concatenate([task.labels[probed_places(task, part)] for part in parts])
    fitted = logistic.fit(both, labels, task.classes, penalty=penalty, begin=before)
    return base.with_head(fitted.weight, fitted.bias, resolution=resolution)


def features(
    base: Base,
    task: Task,
    part: int,
    *,
    resolution: int,
    cache: Path | None = None,
    mirrored: bool = False,
    most: Mapping[int, int] | None = None,
) -> Floats:
    """Features (n, d) of a part's images at `probed_places`; with ``cache`` (a folder) they are kept there."""
    where = probed_places(task, part, most)
    if not len(where):
        return np.zeros((0, width(base)), dtype=np.float32)
    all_of_them = len(where) == int((task.parts == part).sum())
    which = part if all_of_them else f"{part}-{len(where)}"
    key = (task.fingerprint, base.digest, resolution, which, *(["mirrored"] if mirrored else []))

    def look() -> Arrays:
        return {"features": base.at(resolution).features(task.images, where, mirrored=mirrored)}

    return kept(cache, key, look, "features")["features"]


def head(classifier: Classifier, features: Floats) -> Floats:
    """Logits (n, classes) of features (n, d)."""
    with torch.inference_mode():
        found: Floats = classifier.network.classifier(torch.from_numpy(features)).numpy()  # type: ignore[operator]
    return found


def percent_right(logits: Floats, labels: logistic.Labels) -> float:
    """Accuracy in percent of (n, classes) on (n,); nan without any."""
    return 100 * int(np.count_nonzero(logits.argmax(1) == labels)) / len(labels) if len(labels) else math.nan


def width(base: Base) -> int:
    """Features of an image."""
    return int(base.network.classifier.in_features)  # type: ignore[union-attr, arg-type]
