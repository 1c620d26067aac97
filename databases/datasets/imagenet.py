"""Stand-ins for ImageNet tasks whose images are not at hand: class numbers -> features of a few images each.

A class that Tiny-ImageNet holds is shown by its images, any other by the two views of one sample image. The
landmark statistics (accuracies of simple classifiers) cannot be known from so few and are left at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from databases.datasets.features import Kind, TaskFeatures, from_images, plain_statistics
from databases.datasets.features import STATISTICS

IMAGES_A_CLASS = 1281  # ImageNet's mean number of training images a class
_LANDMARKS = [STATISTICS.index(name) for name in ("feature_accuracy", "feature_margin", "pixel_accuracy")]


def imagenet_features(
    class_ids: Sequence[int], folder: Path, *, resolution: int, kind: Kind = "trained", name: str = ""
) -> TaskFeatures:
    """Features of the task of these ImageNet classes (1..1000, in the order of ImageNet32x32).

    ``folder`` holds ``tinyimagenet200.npz`` and ``imagenet1k_one_each.npz``; ``resolution`` is the task's own.
    """
    known = _classes(folder, kind)
    images = np.concatenate([known[number][0] for number in class_ids])
    features = np.concatenate([known[number][1] for number in class_ids])
    labels = np.repeat(np.arange(len(class_ids)), [len(known[number][0]) for number in class_ids])
    statistics = plain_statistics(
        images[::4],
        features[::4],
        np.unique(labels[::4], return_inverse=True)[1],
        train_images=float(IMAGES_A_CLASS * len(class_ids)),
        classes=len(class_ids),
        channels=3,
        resolution=resolution,
        balance=1.0,
    )
    statistics[_LANDMARKS] = 0
    return TaskFeatures(features, labels, statistics, name, "imagenet", name)


@lru_cache(maxsize=2)
def _classes(folder: Path, kind: Kind) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Class number -> its images (k, 32, 32, 3) and features (k, d), k at most 10."""
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    with np.load(folder / "imagenet1k_one_each.npz") as single, np.load(folder / "tinyimagenet200.npz") as tiny:
        x, numbers = single["x"], single["class_id"].astype(int)
        both = from_images(x.reshape(-1, *x.shape[2:]), np.zeros(2 * len(x), np.int64), kind=kind)
        for i, number in enumerate(numbers):
            found[int(number)] = (x[i], both[2 * i : 2 * i + 2])
        number_of = dict(zip(single["wnids"].tolist(), numbers.tolist(), strict=True))
        order = np.argsort(tiny["y_train"], kind="stable")
        images, labels = tiny["x_train"][order], tiny["y_train"][order]
        for label, wnid in enumerate(tiny["wnids"].tolist()):
            if wnid in number_of:
                some = images[labels == label][:10]
                found[number_of[wnid]] = (some, from_images(some, np.zeros(len(some), np.int64), kind=kind))
    return found
