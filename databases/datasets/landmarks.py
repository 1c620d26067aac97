"""Landmarks of a task: how well the nearest class mean does on simple descriptions of its images.

What tells the classes apart - learnt features, pixels, colours, texture or shape - tells which networks suit them
(landmarking; Pfahringer, Bensusan, Giraud-Carrier, 2000). Nothing is trained.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.task import resize_images

Floats = npt.NDArray[np.float32]
Landmarks: TypeAlias = tuple[float, float, float, float, float, float]
NO_LANDMARKS: Landmarks = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # of a task whose images are not at hand
BINS, ORIENTATIONS, GRID = 8, 8, 4


def landmarks(images: npt.NDArray[np.uint8], features: Floats, labels: npt.NDArray[np.int64]) -> Landmarks:
    """Accuracy and scatter on ``features`` (m, d), then accuracy on pixels, colours, texture and shape.

    ``images`` are (m, h, w, c). Accuracies as `nearest_mean_accuracy` gives them.
    """
    accuracy, margin = nearest_mean_accuracy(features, labels)
    small = resize_images(images, 8).reshape(len(images), -1).astype(np.float32)
    shape = orientations(images)  # (m, grid, grid, orientations)
    texture = shape.sum((1, 2))
    described = (small, colours(images), _shares(texture), _shares(shape.reshape(len(shape), -1)))
    pixels, colour, textured, shaped = (nearest_mean_accuracy(each, labels)[0] for each in described)
    return accuracy, margin, pixels, colour, textured, shaped


def colours(images: npt.NDArray[np.uint8]) -> Floats:
    """(m, h, w, c) -> (m, 8 c): square roots of the shares of each channel's values in eight bins."""
    bins = images // (256 // BINS)
    counts = np.stack([(bins == each).mean((1, 2)) for each in range(BINS)], axis=-1)  # (m, c, bins)
    found: Floats = np.sqrt(counts.reshape(len(images), -1) / images.shape[-1]).astype(np.float32)
    return found


def orientations(images: npt.NDArray[np.uint8]) -> Floats:
    """(m, h, w, c) -> (m, 4, 4, 8): strength of the edges by orientation in a grid (Dalal, Triggs, 2005)."""
    grey = np.round(images.mean(-1, keepdims=True)).astype(np.uint8)
    pixels = resize_images(grey, 32)[..., 0].astype(np.float32)
    down, right = np.zeros_like(pixels), np.zeros_like(pixels)
    down[:, 1:-1] = pixels[:, 2:] - pixels[:, :-2]
    right[:, :, 1:-1] = pixels[:, :, 2:] - pixels[:, :, :-2]
    strength = np.hypot(right, down)
    angle = np.floor(np.arctan2(down, right) % np.pi / np.pi * ORIENTATIONS).astype(np.int64) % ORIENTATIONS
    side = 32 // GRID
    cells = [
        np.where(angle == each, strength, 0).reshape(len(images), GRID, side, GRID, side).sum((2, 4))
        for each in range(ORIENTATIONS)
    ]
    return np.stack(cells, axis=-1).astype(np.float32)


def _shares(values: Floats) -> Floats:
    """(m, d) -> square roots of the shares of each row's sum."""
    found: Floats = np.sqrt(values / (values.sum(1, keepdims=True) + 1e-6)).astype(np.float32)
    return found


def nearest_mean_accuracy(features: Floats, labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Leave-one-out accuracy of the nearest class mean on a logit scale, and the scatter between classes.

    The accuracy has the chance level of its number of classes taken off; the scatter is the share of the
    variance that lies between the class means. Classes of one image count as missed.
    """
    classes = int(labels.max()) + 1
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, labels, features)
    means = sums / counts[:, None]
    distance = (features**2).sum(1)[:, None] - 2 * features @ means.T + (means**2).sum(1)
    own = np.arange(len(labels)), labels
    without = (sums[labels] - features) / np.maximum(counts[labels] - 1, 1)[:, None]
    distance[own] = ((features - without) ** 2).sum(1)
    distance[own[0], own[1]] += np.where(counts[labels] > 1, 0, np.inf)
    right = (distance.argmin(1) == labels).mean()
    centre = features.mean(0)
    variance = ((features - centre) ** 2).sum() + 1e-9  # images may all be equal
    between = ((means[labels] - centre) ** 2).sum() / variance
    share = np.clip((right * len(labels) + 0.5) / (len(labels) + 1), 0.01, 0.99)
    return float(np.log(share / (1 - share)) - np.log(1 / max(classes - 1, 1))) / 4, float(between)
