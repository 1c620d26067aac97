"""The training of one candidate, here or on another machine: all that decides it goes with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from databases.architectures.space import Architecture
from databases.datasets.task import Task
from databases.records.recipe import Recipe
from metad2a.train.augment import Augment
from metad2a.train.train import train
from metad2a.train.training import Progress, Training
from predictors.learning_curve import CHECKS, Curve, hopeless

SHOWN = tuple(eighth / 8 for eighth in range(1, 8))  # shares of the epochs after which validation accuracy is shown


@dataclass(frozen=True)
class Job:
    """A candidate by its position; ``until`` are seconds since 1970, which all machines count alike.

    ``steps`` are those of a schedule that was shortened, None: the recipe's. With a ``checkpoint`` (a file) a training
    goes on where it was killed.
    """

    index: int
    architecture: Architecture
    until: float = math.inf
    steps: int | None = None
    checkpoint: Path | None = None

    def __str__(self) -> str:
        return str(self.architecture)


@dataclass(frozen=True)
class Done:
    """A training that ended; ``stopped`` where its learning curve was hopeless."""

    index: int
    training: Training
    checks: tuple[float, ...]
    stopped: bool


@dataclass(frozen=True)
class Work:
    """Trains candidates of one search; what goes to other machines can be pickled.

    Attributes:
        task: at the recipe's resolution. finished: curves by which a training is given up, none where it never is.
        change: what is done to training images, None: what the recipe says.
    """

    task: Task
    recipe: Recipe
    seed: int
    on: str
    stop_early: bool
    finished: tuple[Curve, ...]
    change: Augment | None = None

    def __call__(self, job: Job) -> Done:
        """Trains in a process that is there for that alone."""
        import torch

        torch.set_flush_denormal(False)  # as in a search that trains in its own process
        return self.train(job)

    def train(self, job: Job, on_epoch: Callable[[Progress], None] = lambda progress: None) -> Done:
        """Trains until the end, the job's time or hopelessness."""
        checks: list[float] = []

        def look(progress: Progress) -> bool:
            on_epoch(progress)
            if progress.valid_accuracy is None or not _judged(progress):
                return True
            checks.append(progress.valid_accuracy)
            return not self._hopeless(checks)

        training = train(
            self.task,
            job.architecture,
            recipe=self.recipe,
            seed=self.seed,
            on=self.on,
            deadline=time.monotonic() + job.until - time.time(),
            checks=SHOWN,
            steps=job.steps,
            fit=job.until < math.inf,
            change=self.change,
            checkpoint=job.checkpoint,
            on_epoch=look,
        )
        stopped = not training.complete and self._hopeless(checks)
        return Done(job.index, training, tuple(checks), stopped)

    def _hopeless(self, checks: list[float]) -> bool:
        return self.stop_early and hopeless(checks, self.finished)


def _judged(progress: Progress) -> bool:
    """Whether a training may be given up after this epoch."""
    return progress.epoch in {math.ceil(share * progress.epochs) for share in CHECKS}


Spread = Callable[[Work, Iterable[Job]], Iterator[Done]]  # an executor that knows how many at once
