"""What training a cell is like: how fast the loss falls, how rough it is around the weights, how noisy its gradients.

The cells have the same operations and differ in their connections alone, from narrow and deep to wide and shallow.
Losses are those of batch statistics: with running ones, weights a little apart are another network altogether.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from databases.architectures.cell_shape import CellShape
from databases.architectures.space import Architecture, image_space
from databases.datasets.task import TRAIN, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.reproduce.cells.known import ENAS_CELL

if TYPE_CHECKING:
    from torch import Tensor, nn

    from metad2a.train.training import Training

Values = npt.NDArray[np.float64]
SPACE, BLOCKS = "enas-micro", 5
RECIPE = Recipe("", channels=4, cells=1, resolution=8, epochs=6, batch=32, learning_rate=0.05)
REWIRED = 2000  # connections drawn, among which the cells are chosen
REACH, POINTS = 0.5, 9  # of a line through the weights, in units of each filter's length; and where it is looked at
IMAGES = 160  # for the loss along a line, and as many for the gradients


@dataclass(frozen=True)
class Landscape:
    """One training of one cell.

    Attributes:
        losses: mean training loss of each epoch. test: accuracy in percent.
        lines: (directions, POINTS) loss along random lines through the trained weights.
        variance: of the gradients of single batches, summed over the weights, at fresh and at trained weights.
    """

    architecture: Architecture
    seed: int
    losses: tuple[float, ...]
    test: float
    lines: Values
    variance: tuple[float, float]

    @property
    def shape(self) -> CellShape:
        """Width and depth of the cell."""
        found = image_space(SPACE).shape(self.architecture)
        assert found is not None
        return found

    @property
    def roughness(self) -> float:
        """Mean bend of the loss along a line: its second difference over the squared step."""
        step = 2 * REACH / (POINTS - 1)
        return float(np.abs(np.diff(self.lines, n=2, axis=1)).mean() / step**2)


@dataclass(frozen=True)
class Job:
    """A cell to train with a seed on a task, and along how many lines its loss is looked at."""

    architecture: Architecture
    seed: int
    task: Task
    directions: int


def rewired(count: int, *, seed: int) -> list[Architecture]:
    """ENAS's cell with its connections drawn anew: ``count`` cells, evenly from the narrowest to the widest."""
    space, rng = image_space(SPACE), np.random.default_rng(seed)
    walk = space.parse(ENAS_CELL).walk
    found: dict[tuple[float, int], Architecture] = {}
    for draw in range(REWIRED):
        changed = list(walk)
        for block in range(BLOCKS):  # the first two choices of each block of the normal cell are what it reads
            lowest = block + 1 if draw == 0 else 0  # the first draw is the chain of blocks
            highest = 2 if draw == 1 else block + 2  # the second reads the inputs alone
            changed[4 * block : 4 * block + 2] = rng.integers(lowest, highest, size=2).tolist()
        each = space.architecture(tuple(changed))
        shape = space.shape(each)
        assert shape is not None
        found.setdefault((shape.width, -shape.depth), each)
    ordered = [found[shape] for shape in sorted(found)]
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, count).round().astype(int)]


def measured(job: Job) -> Landscape:
    """Trains the cell and looks at its loss and gradients."""
    import torch

    from metad2a.train.inference import accuracy, prepare
    from metad2a.train.train import train

    training = train(job.task, job.architecture, recipe=RECIPE, seed=job.seed)
    images, labels = job.task.resized(RECIPE.resolution).part(TRAIN)
    x = prepare(images, training.mean, training.scale, torch.device("cpu")).contiguous()
    y = torch.from_numpy(labels)
    with lent(seed=job.seed):
        skeleton = RECIPE.skeleton(input_channels=job.task.channels, classes=job.task.classes)
        fresh = image_space(SPACE).network(job.architecture, skeleton)
    variance = (_variance(fresh, x[:IMAGES], y[:IMAGES]), _variance(training.network, x[:IMAGES], y[:IMAGES]))
    return Landscape(
        job.architecture,
        job.seed,
        _losses(training),
        accuracy(training, job.task.resized(RECIPE.resolution)) or 0.0,
        lines(training.network, x[:IMAGES], y[:IMAGES], directions=job.directions, seed=job.seed),
        variance,
    )


def _losses(training: Training) -> tuple[float, ...]:
    return tuple(each.train_loss for each in training.curve)


def lines(network: nn.Module, x: Tensor, y: Tensor, *, directions: int, seed: int) -> Values:
    """Loss along random lines through the weights, (directions, POINTS); the network stays as it is.

    Each filter of a direction is as long as that of the weights; what is no filter stays put (Li, Xu, Taylor, Studer,
    Goldstein, 2018). ``x`` are images (n, c, h, w), ``y`` their labels (n,).
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    moved = copy.deepcopy(network).train()
    at = {name: each.detach().clone() for name, each in moved.named_parameters() if each.ndim > 1}
    found = np.empty((directions, POINTS))
    with torch.no_grad():
        for direction in found:
            along = {name: _as_long(torch.randn(each.shape, generator=generator), each) for name, each in at.items()}
            for place, step in enumerate(np.linspace(-REACH, REACH, POINTS)):
                for name, each in moved.named_parameters():
                    if name in at:
                        each.copy_(at[name] + float(step) * along[name])
                direction[place] = float(torch.nn.functional.cross_entropy(moved(x), y))
    return found


def _as_long(direction: Tensor, weights: Tensor) -> Tensor:
    """The direction, each of its filters as long as that of the weights; both (filters, ...)."""
    ours, theirs = (each.flatten(1).norm(dim=1).view(-1, *[1] * (each.ndim - 1)) for each in (weights, direction))
    scaled: Tensor = direction * ours / theirs.clamp(min=1e-12)
    return scaled


def _variance(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Variance of the gradients over batches, summed over the weights."""
    import torch

    gradients = torch.stack(list(_gradients(network, x, y)))
    return float(gradients.var(dim=0).sum())


def _gradients(network: nn.Module, x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """The gradient of each batch, (weights,)."""
    import torch

    used = copy.deepcopy(network).train()
    for images, labels in zip(x.split(RECIPE.batch), y.split(RECIPE.batch), strict=True):
        used.zero_grad()
        torch.nn.functional.cross_entropy(used(images), labels).backward()
        yield torch.cat([each.grad.flatten() for each in used.parameters() if each.grad is not None])


def by_cell(found: Sequence[Landscape]) -> list[list[Landscape]]:
    """The trainings of each cell in the order of their seeds, the narrowest cell first."""
    ordered = sorted(found, key=lambda each: (each.shape.width, -each.shape.depth, each.architecture.walk, each.seed))
    return [list(of) for _, of in groupby(ordered, key=lambda each: each.architecture)]
