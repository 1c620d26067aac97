"""What a search for networks does to training images: shifts by the recipe, mirroring where the images allow it.

The cheap probes that tell it are also what its networks are compared with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import TEST, Task
from databases.records.recipe import Recipe
from databases.usual import AUTOMATIC
from metad2a.train.augment import PLAIN, Augment, asked
from metad2a.train.pipeline import JUDGES, base_of, best_judge, cheap_probes, choose_augment
from metad2a.train.probe import Probed, speed

PASSES, SHARE = 2.0, 0.2  # that looking takes, with what is fitted; of the time, at most
LEAST = 10.0  # seconds from which they are fitted for the comparison alone


def affordable_probes(task: Task, choice: str, recipe: Recipe, *, seconds: float) -> dict[Pipeline, Probed]:
    """Those that tell on mirroring, as many as cost little of the ``seconds``; none in few where it is decided."""
    if seconds < LEAST and not (choice == AUTOMATIC and recipe.augment):
        return {}
    if seconds == math.inf:
        return cheap_probes(task)
    images, found, left = np.count_nonzero(task.parts != TEST), list[Pipeline](), SHARE * seconds
    for each in JUDGES:
        left -= PASSES * images / speed(base_of(each, task), task, resolution=each.resolution)
        if left >= 0:
            found.append(each)
    return cheap_probes(task, found)


def augmentation(task: Task, choice: str, recipe: Recipe, judges: Mapping[Pipeline, Probed]) -> tuple[Augment, str]:
    """What is done to training images, and one line that says so and why: traffic signs are not mirrored.

    Raises:
        UserError: the choice is unknown.
    """
    if (found := asked(choice)) is not None:
        return found
    if not recipe.augment:
        return Augment(shift=False), f"training images stay as they are, by the recipe {recipe.name!r}"
    if not judges:
        return PLAIN, "training images are shifted, not mirrored: there is no time to look whether a class would change"
    return choose_augment(choice, task, judges=judges)


def best_known(judges: Mapping[Pipeline, Probed]) -> tuple[str, float] | None:
    """The best of the probes, and its validation accuracy in percent; None where there is nothing to know."""
    best = best_judge(judges) if judges else None
    accuracy = None if best is None else judges[best].valid_accuracy
    return None if accuracy is None else (str(best), accuracy)
