"""What the nearest task's best cell is worth to a search: it begins with it, and goes on in the space of what it uses.

FUSE (Le, Soltani, Ravier, Tarokh, 2021) trains a few candidates at once, whose outputs are mixed by weights that are
learnt beside them on validation images; the one with the largest weight stays and meets new candidates. Its first
candidate is that best cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from databases.architectures.space import Architecture, ImageSpace, finite_space, image_space
from databases.architectures.spaces.reduced import Reduced
from databases.architectures.supernets.mixed_edge import MixedEdge
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.train.optimisers import Adam
from metad2a.train.torch_place import pick_place

SPACE = "nasbench201"
RECIPE = Recipe("", channels=4, cells=1, resolution=8, epochs=6, batch=32, learning_rate=0.05)
BEST = 1  # cells of a task that a search begins with, and whose operations its space keeps: with 2 nearly all
CANDIDATES, ROUNDS, MIXTURE_RATE, WEIGHTS_RATE = 3, 2, 0.05, 3e-3


@dataclass(frozen=True, eq=False)
class Pool:
    """Cells of a space on a task, each trained once: accuracies in percent, by validation and by test."""

    cells: tuple[Architecture, ...]
    valid: tuple[float, ...]
    test: tuple[float, ...]

    def best(self, count: int) -> list[Architecture]:
        """The best by validation, of equals the first."""
        return [self.cells[i] for i in np.argsort(-np.array(self.valid), kind="stable")[:count]]

    def quality(self, evaluations: int) -> float:
        """Test accuracy of the best by validation among the first so many."""
        return self.test[int(np.argmax(self.valid[:evaluations]))]


@dataclass(frozen=True, eq=False)
class Job:
    """A task, the name of a space, and how many of its cells are trained.

    Attributes:
        stages: of FUSE, 0 for none; then the one cell that is found is trained instead of drawn ones.
        begun: cells of another task that come before drawn ones.
    """

    task: Task
    space: str
    cells: int
    seed: int
    stages: int = 0
    begun: tuple[Architecture, ...] = ()

    @property
    def drawn(self) -> int:
        """How many cells it begins with or draws: FUSE one, and in each stage all but the one that stayed."""
        return 1 + self.stages * (CANDIDATES - 1) if self.stages else self.cells


def measured(job: Job) -> tuple[Job, Pool]:
    """Draws cells whose live parts differ, after those that it begins with, or lets FUSE find one; trains each."""
    from metad2a.train.inference import accuracy
    from metad2a.train.train import train

    task = job.task.resized(RECIPE.resolution)
    cells = drawn(job.space, job.drawn, job.seed, job.begun)
    if job.stages:
        cells = (fuse(task, cells, seed=job.seed),)
    trained = [train(task, each, recipe=RECIPE, seed=job.seed) for each in cells]
    valid = tuple(each.valid_accuracy or 0.0 for each in trained)
    return job, Pool(cells, valid, tuple(accuracy(each, task) or 0.0 for each in trained))


def drawn(name: str, count: int, seed: int, begun: Sequence[Architecture] = ()) -> tuple[Architecture, ...]:
    """Those that are ``begun`` with, then random cells of a space.

    By their live parts all are different; there are fewer where there are no more.
    """
    space, whole, rng = image_space(name), finite_space(SPACE), np.random.default_rng(seed)
    found = dict.fromkeys(begun[:count])
    for _ in range(50 * count):
        live = whole.live(_whole(space.sample(rng), space))
        if live is not None and len(found) < count:
            found.setdefault(live)
    return tuple(found)


def around(pool: Pool, task: Task, cells: int, seed: int, stages: int = 0) -> Job:
    """A search on a task that begins with the best cells of another's ``pool``, in the space that these span."""
    best = pool.best(BEST)
    return Job(task, Reduced.around(best).name, cells, seed, stages, tuple(best))


def _whole(architecture: Architecture, space: ImageSpace) -> Architecture:
    return space.whole(architecture) if isinstance(space, Reduced) else architecture


@lent(threads=1)
def fuse(task: Task, cells: Sequence[Architecture], *, seed: int) -> Architecture:
    """The cell that is left after stages, each of `CANDIDATES` cells trained at once: the one left, and the next.

    The task is at the recipe's resolution.
    """
    from metad2a.train.inference import normalisation, prepare

    scale = normalisation(task)
    parts, place = (task.part(TRAIN), task.part(VALIDATION)), pick_place()
    data = [(prepare(x, *scale, place).contiguous(), torch.from_numpy(y).to(place)) for x, y in parts]
    best, rest = cells[0], list(cells[1:])
    skeleton = RECIPE.skeleton(input_channels=task.channels, classes=task.classes)
    with lent(seed=seed):
        while rest:
            met, rest = [best, *rest[: CANDIDATES - 1]], rest[CANDIDATES - 1 :]
            mixed = MixedEdge([image_space(SPACE).network(each, skeleton) for each in met]).to(place)
            best = met[int(mixture(mixed, *data).argmax())]
    return best


def mixture(
    mixed: MixedEdge, training: tuple[torch.Tensor, torch.Tensor], validation: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Mixture weights (options,) after rounds of an epoch each for the options and for the mixture.

    Both sets are images (n, c, h, w) and labels (n,), on the networks' device.
    """
    alpha = torch.zeros(len(mixed.options), device=training[0].device, requires_grad=True)
    steps = (
        (training, Adam(mixed.parameters(), lr=WEIGHTS_RATE)),
        (validation, Adam([alpha], lr=MIXTURE_RATE)),
    )
    for _ in range(ROUNDS):  # no loop: two optimisers take turns, one pass over images of its own each
        for (x, y), optimiser in steps:
            for chosen in torch.randperm(len(y)).split(RECIPE.batch):
                mixed.zero_grad()
                optimiser.zero_grad()
                nn.functional.cross_entropy(mixed(x[chosen], alpha.softmax(0)), y[chosen]).backward()
                optimiser.step()
    return alpha.detach().softmax(0)
