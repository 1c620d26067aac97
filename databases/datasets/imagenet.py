"""Stand-ins for ImageNet tasks whose images are not at hand: class numbers -> features of a few images each.

A class that Tiny-ImageNet holds is shown by its images, any other by the two views of one sample image. The
landmark statistics (accuracies of simple classifiers) cannot be known from so few and are left at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from databases.datasets.features import TaskFeatures, from_images, pixel_statistics, plain_statistics
from databases.datasets.landmarks import NO_LANDMARKS

IMAGES_A_CLASS = 1281  # ImageNet's mean number of training images a class


def imagenet_features(class_ids: Sequence[int], folder: Path, *, resolution: int, name: str = "") -> TaskFeatures:
    """Features of the task of these ImageNet classes (1..1000, in the order of ImageNet32x32).

    ``folder`` holds ``tinyimagenet200.npz`` and ``imagenet1k_one_each.npz``; ``resolution`` is the
    task's own.
    """
    known = _classes(folder)
    chosen = [known[number] for number in class_ids]
    statistics = plain_statistics(
        train_images=float(IMAGES_A_CLASS * len(class_ids)),
        classes=len(class_ids),
        channels=3,
        resolution=resolution,
        balance=1.0,
        landmarks=NO_LANDMARKS,
        pixels=tuple(np.mean([pixels for _, pixels in chosen], axis=0).tolist()),
    )
    features = np.concatenate([found for found, _ in chosen])
    labels = np.repeat(np.arange(len(class_ids)), [len(found) for found, _ in chosen])
    return TaskFeatures(features, labels, statistics, name, "imagenet", name)


@lru_cache(maxsize=2)
def _classes(folder: Path) -> dict[int, tuple[np.ndarray, tuple[float, float, float]]]:
    """Class number -> features (k, d) of at most 10 images, and their pixel statistics."""
    images: dict[int, np.ndarray] = {}
    with (
        np.load(folder / "imagenet1k_one_each.npz") as single,
        np.load(folder / "tinyimagenet200.npz") as tiny,
    ):
        numbers = single["class_id"].astype(int).tolist()
        images.update(zip(numbers, single["x"], strict=True))
        number_of = dict(zip(single["wnids"].tolist(), numbers, strict=True))
        x, labels = tiny["x_train"], tiny["y_train"]
        for label, wnid in enumerate(tiny["wnids"].tolist()):
            if wnid in number_of:
                images[number_of[wnid]] = x[np.flatnonzero(labels == label)[:10]]
    features = np.split(
        from_images(np.concatenate(list(images.values()))),
        np.cumsum([len(each) for each in images.values()])[:-1],
    )
    return {
        number: (found, pixel_statistics(some)) for (number, some), found in zip(images.items(), features, strict=True)
    }
