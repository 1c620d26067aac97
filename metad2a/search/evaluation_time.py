"""How long this machine takes to evaluate an image, so that the held-out ones are still reached in the budget."""

from __future__ import annotations

import time

from databases.architectures.space import Architecture, image_space
from databases.datasets.task import Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.train.inference import predictions
from metad2a.train.place import pick_device
from metad2a.train.training import Training

PROBE_IMAGES = 100  # images whose time tells how long the held-out ones take


def evaluation_seconds(task: Task, architecture: Architecture, *, recipe: Recipe, device: str) -> float:
    """Seconds to evaluate one image of a task at the recipe's resolution, measured with an untrained network."""
    skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
    with lent():
        network = image_space(architecture.space).network(architecture, skeleton).eval().to(pick_device(device))
    channels = (1.0,) * task.channels
    probe, images = Training(network, channels, channels, None, 0.0, True), task.images[:PROBE_IMAGES]
    predictions(probe, images)  # the first time prepares the device
    begin = time.monotonic()
    predictions(probe, images)
    return (time.monotonic() - begin) / len(images)
