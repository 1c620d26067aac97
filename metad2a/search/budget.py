"""The seconds of a search for networks: what fits into them at the speed that is measured here.

The first training is begun in any case, by a schedule that fits. Another one is begun only where all of it fits, and
time is left to train the best once more, on validation images too.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np

from databases.architectures.space import Architecture, image_space
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.errors import UserError
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.search.runs import RunFolder
from metad2a.train.inference import seconds_an_image
from metad2a.train.torch_place import pick_place
from metad2a.train.train import seconds_a_step

LAST_STEP_SECONDS, LAST_STEP_SHARE = 1.0, 0.05  # kept free for the last step and writing: the smaller of the two
MARGIN = 1.1  # what a training may take more than its steps: looks at validation images, a busy machine
LONGEST = 2.0  # times the recipe's steps that the last training takes at most


def check_seconds(seconds: object) -> None:
    """Raises UserError for a budget that is no number of seconds above 0."""
    if isinstance(seconds, bool) or not (isinstance(seconds, Real) and 0 < float(seconds) < math.inf):
        raise UserError(f"given a budget of {seconds!r} seconds; allowed is a number above 0; 60 is usual")


@dataclass
class Budget:
    """What the ``limit`` (seconds of the whole run, infinite: none) leaves for trainings of a task by a recipe.

    ``task`` is at the recipe's resolution. Speeds are measured once for each architecture.
    """

    task: Task
    recipe: Recipe
    run: RunFolder
    on: str
    limit: float
    looks: dict[Architecture, float] = field(default_factory=dict)  # seconds to evaluate one image
    paces: dict[Architecture, float] = field(default_factory=dict)

    def deadline(self, architecture: Architecture) -> float:
        """When training must stop (seconds since 1970) so that validation, test and export are in time."""
        return time.time() + self.left(architecture)

    def left(self, architecture: Architecture) -> float:
        """Seconds for a training of it that begins now."""
        if self.limit == math.inf:
            return math.inf
        if architecture not in self.looks:
            skeleton = self.recipe.skeleton(input_channels=self.task.channels, classes=self.task.classes)
            with lent():
                network = image_space(architecture.space).network(architecture, skeleton)
            self.looks[architecture] = seconds_an_image(self.task, network, pick_place(self.on))
        held_out = np.count_nonzero(self.task.parts != TRAIN)
        slack = min(LAST_STEP_SECONDS, LAST_STEP_SHARE * self.limit)
        left = self.limit - self.run.spent
        return left - min(1.5 * max(self.looks.values()) * held_out + slack, left / 2)

    def pace(self, architecture: Architecture) -> float:
        """Seconds of one training step here, as a training takes them."""
        if architecture not in self.paces:
            measured = seconds_a_step(self.task, architecture, recipe=self.recipe, on=self.on)
            self.paces[architecture] = MARGIN * measured
        return self.paces[architecture]

    def takes(self, architecture: Architecture) -> float:
        """Seconds of a whole training here."""
        return self.pace(architecture) * self.recipe.steps(self._images(TRAIN))

    def again(self) -> int:
        """Steps of a training on training and validation images together."""
        return self.recipe.steps(self._images(TRAIN) + self._images(VALIDATION))

    def steps(self, architecture: Architecture) -> int | None:
        """Steps of a training that begins now and may have all of the time; None: the recipe's, which fit."""
        left = self.left(architecture)
        if left == math.inf or self.takes(architecture) <= left:
            return None
        return max(1, int(left / self.pace(architecture)))

    def room(self, architecture: Architecture, best: Architecture) -> bool:
        """Whether another whole training fits, and after it one of the best on more images."""
        if self.limit == math.inf:
            return True
        kept = self.pace(best) * self.again() if self._images(VALIDATION) else 0.0
        return self.takes(architecture) + kept <= self.left(architecture)

    def last_steps(self, best: Architecture) -> int | None:
        """Steps for which the best is trained once more, on validation images too; None where that does not fit."""
        if self.limit == math.inf or not self._images(VALIDATION):
            return None
        most, least = int(self.left(best) / self.pace(best)), self.again()
        return min(most, int(LONGEST * least)) if most >= least else None

    @property
    def a_pass(self) -> int:
        """Steps of one pass over the training images."""
        return -(-self._images(TRAIN) // self.recipe.batch)

    def _images(self, part: int) -> int:
        return int(np.count_nonzero(self.task.parts == part))


def with_validation_images(task: Task) -> Task:
    """The task whose validation images are for training."""
    return replace(task, parts=np.where(task.parts == VALIDATION, np.uint8(TRAIN), task.parts))
