"""Trains the weights that the architectures of a space share: each batch is learnt by one of them.

By the one training loop; with a checkpoint a killed training goes on where it was and ends as if never killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, SharedSpace, Space
from databases.datasets.task import Task
from databases.hosting import lent
from metad2a.train.inference import normalisation, prepare
from metad2a.train.loop import Epoch, Loop, cosine
from metad2a.train.moves import moved
from metad2a.train.optimisers import SGD

Draw = Callable[[int, int], Sequence[Architecture]]  # how many, seed -> the children that learn the next batches
Batch = tuple[Tensor, Architecture]  # rows of the images, and the child that learns them


@dataclass(frozen=True)
class SharedRecipe:
    """How a supernet is built and trained: SGD with Nesterov momentum 0.9 and a cosine schedule.

    Args:
        channels, cells: of the skeleton. resolution: side of the images in pixels.
        steps, batch: training steps, and images in each. augment: shift and mirror images, of few of which children
            with many weights would learn too much.
    """

    channels: int = 8
    cells: int = 1
    resolution: int = 16
    steps: int = 1000
    batch: int = 64
    learning_rate: float = 0.05
    weight_decay: float = 5e-4
    gradient_norm: float = 5.0
    augment: bool = False

    def skeleton(self, task: Task) -> Skeleton:
        """The network around the cells for a task."""
        return Skeleton(self.channels, self.cells, task.channels, task.classes)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images (n, channels, h, w), normalised, and their labels (n,)."""

    images: Tensor
    labels: Tensor

    def to(self, place: torch.device) -> Labelled:
        """The same on a device."""
        return Labelled(self.images.to(place), self.labels.to(place))


def labelled(task: Task, part: int, resolution: int, *, on: str = "cpu") -> Labelled:
    """One part of a task, normalised as its training part is, in a fixed order that mixes its classes.

    Data often come class by class; so ordered, a slice or the statistics of a batch would be those of few classes.
    """
    task, place = task.resized(resolution), torch.device(on)
    images, labels = task.part(part)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order], labels[order]
    x = prepare(images, *normalisation(task), place)
    # grey images count as contiguous in every layout, and channels last makes torch 2.13's backward pass fail on a CPU
    return Labelled(x.clone(memory_format=torch.contiguous_format), torch.from_numpy(labels).to(place))


def uniform(space: Space) -> Draw:
    """Every architecture is as likely as its walk with uniform choices."""

    def draw(count: int, seed: int) -> list[Architecture]:
        rng = np.random.default_rng(seed)
        return [space.sample(rng) for _ in range(count)]

    return draw


def new_supernet(space: SharedSpace, skeleton: Skeleton, *, seed: int, running: bool = False) -> nn.Module:
    """A supernet with fresh weights; ``running`` keeps running statistics in its normalisations (the known fault)."""
    with lent(seed=seed):
        return space.shared_blueprint(skeleton).build() if running else space.supernet(skeleton)


def train_supernet(
    supernet: nn.Module,
    space: SharedSpace,
    train: Labelled,
    *,
    recipe: SharedRecipe,
    draw: Draw | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    every: float = 180.0,
    on_epoch: Callable[[Epoch], bool | None] | None = None,
) -> bool:
    """Trains in place; returns whether it is complete.

    ``draw`` proposes the children of an epoch's batches, at its beginning; by default they are `uniform`. The
    ``checkpoint`` is a file, written ``every`` so many seconds, and read where it is there. ``on_epoch`` is called
    after each pass over the images; its False stops.

    Raises:
        UserError: the checkpoint cannot be read or belongs to another training.
    """
    optimiser = SGD(
        supernet.parameters(), lr=recipe.learning_rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    loop = Loop(
        *(supernet, optimiser),
        steps=recipe.steps,
        schedule=cosine(),
        seed=seed,
        gradient_norm=recipe.gradient_norm,
        checkpoint=checkpoint,
        every=every,
    )
    propose = draw or uniform(space)
    count = len(train.labels) // recipe.batch or 1  # whole batches alone: statistics of a small rest say little

    def batches(generator: torch.Generator, first: int) -> Iterator[Batch]:
        order = torch.randperm(len(train.labels), generator=generator).split(recipe.batch)[:count]
        children = propose(count, int(torch.randint(2**31, (1,), generator=generator)))
        yield from list(zip(order, children, strict=True))[first:]

    def loss(network: nn.Module, batch: Batch) -> Tensor:
        rows, child = batch
        rows = rows.to(train.labels.device)
        images = train.images[rows]
        if recipe.augment:  # the loop keeps torch's generator
            images = moved(images, torch.default_generator, flip=images.shape[1] == 3)
            images = images.clone(memory_format=torch.contiguous_format)
        logits = network(images, space.choices(child))
        return nn.functional.cross_entropy(logits, train.labels[rows])

    return loop.run(batches, loss, on_epoch=on_epoch)
