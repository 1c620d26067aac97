"""What a search for networks does to training images: shifts by the recipe, mirroring where the images allow it."""

from __future__ import annotations

import numpy as np

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import TEST, Task
from databases.records.recipe import Recipe
from metad2a.train.augment import PLAIN, Augment, asked, choose
from metad2a.train.pipeline import base_of
from metad2a.train.probe import probe, speed

PROBE = Pipeline("own", 32, "probe")  # what looks at mirrored images
PASSES, SHARE = 3.0, 0.2  # that looking takes, with what is fitted; of the time, at most


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
    base = base_of(PROBE, task)
    images = np.count_nonzero(task.parts != TEST)
    if PASSES * images / speed(base, task, resolution=PROBE.resolution) > SHARE * seconds:
        return PLAIN, "training images are shifted, not mirrored: there is no time to look whether a class would change"
    return choose(choice, base, probe(base, task, resolution=PROBE.resolution).classifier, task)
