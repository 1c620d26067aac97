"""What a search for networks does to training images: shifts by the recipe, mirroring where the images allow it."""

from __future__ import annotations

import numpy as np

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import TEST, Task
from databases.records.recipe import Recipe
from metad2a.train.augment import PLAIN, Augment, asked
from metad2a.train.pipeline import JUDGES, base_of, choose_augment
from metad2a.train.probe import speed

PASSES, SHARE = 2.0, 0.2  # that looking takes, with what is fitted; of the time, at most


def augmentation(choice: str, task: Task, recipe: Recipe, *, seconds: float) -> tuple[Augment, str | None]:
    """What is done to training images, and one line that says so and why; none where the recipe changes nothing.

    The line of traffic signs says that they are not mirrored. Looking must not cost much of the ``seconds``.

    Raises:
        UserError: the choice is unknown.
    """
    if (found := asked(choice)) is not None:
        return found
    if not recipe.augment:
        return Augment(shift=False), None
    images, judges, left = np.count_nonzero(task.parts != TEST), list[Pipeline](), SHARE * seconds
    for each in JUDGES:
        left -= PASSES * images / speed(base_of(each, task), task, resolution=each.resolution)
        if left >= 0:
            judges.append(each)
    if not judges:
        return PLAIN, "training images are shifted, not mirrored: there is no time to look whether a class would change"
    return choose_augment(choice, task, judges=judges)
