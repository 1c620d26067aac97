"""What a trained network says of images, and how images are prepared for it."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor, nn

from databases.datasets.task import TEST, TRAIN, Task
from databases.errors import UserError
from databases.hosting import own_ways
from metad2a.train.batches import normalised
from metad2a.train.training import Training

PROBE_IMAGES = 100  # images whose time tells how long the held-out ones take
CHUNK, MANY = 1_024, 10_000  # images looked at together, and answered together


def normalisation(task: Task) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the training images, per channel, on the 0..255 scale."""
    counts = np.zeros((task.channels, 256), dtype=np.int64)  # of each value: exact, and nothing is held in memory
    where = task.places(TRAIN)
    for start in range(0, len(where), CHUNK):
        part = task.images[where[start : start + CHUNK]]
        for channel in range(task.channels):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    values, total = np.arange(256), counts.sum(axis=1)
    mean = counts @ values / total
    spread = np.sqrt((counts * (values - mean[:, None]) ** 2).sum(axis=1) / total)
    return tuple(mean.tolist()), tuple(np.maximum(spread, 1.0).tolist())


def prepare(images: np.ndarray, mean: tuple[float, ...], scale: tuple[float, ...], place: torch.device) -> Tensor:
    """(n, h, w, c) uint8 -> (n, c, h, w) float32, normalised, channels last in memory."""
    return normalised(torch.from_numpy(images).to(place).permute(0, 3, 1, 2), mean, scale)


@own_ways()
def predictions(training: Training, images: np.ndarray, *, batch: int = 500) -> np.ndarray:
    """(n, h, w, c) uint8 at the recipe's resolution -> (n, classes) logits."""
    place = next(training.network.parameters()).device
    try:
        with torch.inference_mode():
            parts = [
                training.network(prepare(images[i : i + batch], training.mean, training.scale, place)).cpu()
                for i in range(0, len(images), batch)
            ]
        logits: np.ndarray = torch.cat(parts).numpy()
        return logits
    except torch.OutOfMemoryError as problem:
        batch = halved(min(batch, len(images)), problem)
    return predictions(training, images, batch=batch)  # out here the failed attempt's memory is free


def accuracy(training: Training, task: Task, part: int = TEST) -> float | None:
    """Accuracy in percent on one part of a task at the recipe's resolution; None where it is empty."""
    where, right = task.places(part), 0
    if not len(where):
        return None
    for start in range(0, len(where), MANY):
        some = where[start : start + MANY]
        right += int((predictions(training, task.images[some]).argmax(1) == task.labels[some]).sum())
    return 100 * (right / len(where))


def halved(images: int, problem: torch.OutOfMemoryError) -> int:
    """Half as many images at a time, with memory tidied up."""
    if images < 2:
        raise UserError(
            f"there is no memory for a single image ({' '.join(str(problem).split())[:80]}): "
            "use --on cpu or a recipe with a smaller network"
        ) from problem
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return -(-images // 2)


def seconds_an_image(task: Task, network: nn.Module, place: torch.device) -> float:
    """Seconds to evaluate one image, measured with an untrained network."""
    ones = (1.0,) * task.channels
    probe = Training(network.eval().to(place), ones, ones, None, 0.0, True)
    images = task.images[:PROBE_IMAGES]
    predictions(probe, images)  # the first time prepares what runs it
    begin = time.monotonic()
    predictions(probe, images)
    return (time.monotonic() - begin) / len(images)
