"""What is known of a finished classifier: mistakes by class, calibration, size and speed on this machine."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar

from databases.datasets.task import TEST, Task
from metad2a.train.classifier import Classifier, Places
from metad2a.train.logistic import Floats, Labels, log_loss
from metad2a.train.probe import probed_places

TIMED = 15  # images, one at a time
PACE, LEAST = 64, 500  # images that tell how long the others take, and how many are classified in any case
COOLEST, HOTTEST = 0.1, 20.0  # temperatures that are thought of


@dataclass(frozen=True)
class ClassifierReport:
    """Figures of the test images, which chose nothing.

    Attributes:
        places: (n,) of the test images in the task: all, or a share of each class where time was short.
        taken: (n,) class that each of them was taken for.
        confusion: (classes, classes) images of each class (row) by what they were taken for (column).
        recall: (classes,) accuracy of each class in percent, nan for one without a test image.
        macro_f1: mean over the classes that have a test image, 0 to 1.
        loss, loss_uncalibrated: log-loss with and without the temperature.
        megabytes: of the weights. milliseconds: to classify one image here, the median of a few.
    """

    places: Places
    taken: Labels
    confusion: npt.NDArray[np.int64]
    recall: tuple[float, ...]
    macro_f1: float
    loss: float
    loss_uncalibrated: float
    megabytes: float
    milliseconds: float


def report(
    classifier: Classifier, task: Task, *, temperature: float, seconds: float = math.inf
) -> tuple[float | None, ClassifierReport]:
    """Test accuracy in percent, None without test images, and all else; of as many as ``seconds`` allow."""
    asked = in_time(classifier, task, TEST, seconds)
    labels = task.labels[asked]
    count = task.classes
    confusion, losses = np.zeros((count, count), dtype=np.int64), (float("nan"), float("nan"))
    taken = np.zeros(0, dtype=np.int64)
    if len(labels):
        logits = classifier.logits(task.images, asked)
        taken = logits.argmax(1).astype(np.int64)
        np.add.at(confusion, (labels, taken), 1)
        losses = log_loss((logits / temperature).astype(np.float32), labels), log_loss(logits, labels)
    sizes, right = confusion.sum(1), np.diag(confusion)
    with np.errstate(invalid="ignore"):
        recall = np.where(sizes > 0, 100 * right / np.maximum(sizes, 1), np.nan)
    found = ClassifierReport(
        places=asked,
        taken=taken,
        confusion=confusion,
        recall=tuple(recall.tolist()),
        macro_f1=macro_f1(confusion),
        loss=losses[0],
        loss_uncalibrated=losses[1],
        megabytes=megabytes(classifier),
        milliseconds=milliseconds(classifier, task),
    )
    return (float(100 * right.sum() / len(labels)) if len(labels) else None), found


def in_time(classifier: Classifier, task: Task, part: int, seconds: float) -> Places:
    """Positions of the images of a part that are classified in so many seconds: all, or a share of each class."""
    where = task.places(part)
    if math.isinf(seconds) or len(where) <= LEAST:
        return where
    begin = time.perf_counter()
    classifier.logits(task.images, where[:PACE])
    took = time.perf_counter() - begin
    return probed_places(task, part, {part: max(LEAST, int(PACE * (seconds - took) / took))})


def told_of_tested(found: ClassifierReport, task: Task) -> list[str]:
    """A note where a part of the test images was classified alone."""
    there = len(task.places(TEST))
    if len(found.places) == there:
        return []
    return [f"tested on {len(found.places):,} of {there:,} test images, a share of each class: for more was no time"]


def macro_f1(confusion: npt.NDArray[np.int64]) -> float:
    """(classes, classes) counts, true by taken for -> mean F1 of classes that have an image, 0 to 1; nan for none."""
    there = confusion.sum(1) > 0
    both = confusion.sum(0) + confusion.sum(1)
    scores = 2 * np.diag(confusion)[there] / both[there]
    return float(scores.mean()) if there.any() else float("nan")


def temperature(logits: Floats, labels: Labels) -> float:
    """What logits (n, classes) are divided by so that log-loss is least (Guo, Pleiss, Sun, Weinberger, 2017)."""
    if not len(labels):
        return 1.0
    found = minimize_scalar(
        lambda log: log_loss((logits / np.exp(log)).astype(np.float32), labels),
        bounds=(float(np.log(COOLEST)), float(np.log(HOTTEST))),
        method="bounded",
    )
    return float(np.exp(found.x))


def megabytes(classifier: Classifier) -> float:
    """Of all weights and statistics."""
    tensors = classifier.network.state_dict().values()
    return float(sum(each.numel() * each.element_size() for each in tensors) / 2**20)


def milliseconds(classifier: Classifier, task: Task) -> float:
    """Median time to classify one image, preparation included, with the threads that torch has."""
    with torch.inference_mode():
        classifier.logits(task.images[:1])  # the first one prepares the machine
        times = []
        for image in task.images[:TIMED]:
            begin = time.perf_counter()
            classifier.logits(image[None])
            times.append(time.perf_counter() - begin)
    return 1_000 * statistics.median(times)
