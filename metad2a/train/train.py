"""Trains one network by a recipe: SGD with Nesterov momentum, cosine schedule, averaged last weights."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from databases.architectures.space import Architecture, image_space
from databases.datasets.mapped import Mapped
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from databases.usual import AUTOMATIC
from metad2a.train.augment import Augment
from metad2a.train.averaging import Average
from metad2a.train.batches import batches, normalised
from metad2a.train.inference import accuracy, halved, normalisation
from metad2a.train.loop import Epoch, Loop, cosine, in_turn
from metad2a.train.moves import Moves
from metad2a.train.optimisers import SGD
from metad2a.train.torch_place import memory_format, pick_place
from metad2a.train.training import OnEpoch, Progress, Training

TIMED_STEPS = 4  # whose median tells how long a training takes
Batch = tuple[Tensor, Moves | None]  # places among the training images, and how each is moved


def train(
    task: Task,
    architecture: Architecture,
    *,
    recipe: Recipe,
    seed: int = 0,
    on: str = AUTOMATIC,
    deadline: float = math.inf,
    checks: Sequence[float] = (),
    steps: int | None = None,
    fit: bool = False,
    change: Augment | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> Training:
    """Trains on the training part of ``task``; stops after the step that passes ``deadline`` (monotonic s).

    With ``steps`` the recipe's schedule is made so long. With ``fit`` it is made shorter where the machine turns out to
    be so slow that it would not end by the ``deadline``. ``change`` is what is done to training images, by default what
    the recipe says.
    After these shares of the epochs, ``checks``, the accuracy on the validation part is told to ``on_epoch`` too.
    The same seed on the same hardware gives the same weights, checked or not. With a ``checkpoint`` (a file) a training
    that was killed goes on, to the same weights, with the steps that it began with (more of them: it begins anew);
    ``on_epoch`` is told its earlier epochs once more.
    A batch that does not fit into memory is cut into halves, whose gradients are added: the steps stay
    the recipe's, the batch statistics of the normalisations are those of a part.

    Raises:
        UserError: a single image does not fit, or the checkpoint is another training's.
    """
    place = pick_place(on)
    task = task.resized(recipe.resolution)
    with lent(seed=seed, threads=_threads(place), on=str(place)):
        network, learning = _begun(task, architecture, recipe, place, seed=seed, change=change)
        whole = recipe.steps(len(learning.images.labels))
        loop = Loop(
            *(network, learning.optimiser),
            steps=steps or whole,
            schedule=cosine(),
            random=torch.get_rng_state(),
            gradient_norm=recipe.gradient_norm,
            average=Average(last=recipe.average) if recipe.average else None,
            checkpoint=checkpoint,
        )
        curve = _Curve(task, learning, loop, checks, deadline, on_epoch)
        passes = in_turn(loop, learning.passes())
        complete = curve.again() and loop.run(passes, learning.loss, deadline=deadline, fit=fit, on_epoch=curve)
        if loop.ongoing is not None:
            curve(loop.ongoing)
        short = complete and (loop.hurried or (loop.steps or whole) < whole)
        done = learning.training(loop.result, loop.seconds, complete=complete and not short)
        valid = accuracy(done, task, VALIDATION)
    loop.result.to("cpu")
    done = replace(done, curve=curve.points, steps=loop.step, parts=learning.parts, shortened=short)
    return replace(done, valid_accuracy=valid)


def seconds_a_step(task: Task, architecture: Architecture, *, recipe: Recipe, on: str = AUTOMATIC) -> float:
    """What one training step takes here: the median of a few, of a network that is then forgotten."""
    place = pick_place(on)
    with lent(seed=0, threads=_threads(place), on=str(place)):
        network, learning = _begun(task, architecture, recipe, place)
        loop, taken = Loop(network, learning.optimiser, steps=TIMED_STEPS + 1), [0.0]
        first = learning.first()
        loop.run(lambda generator, start: [first], learning.loss, on_epoch=lambda each: taken.append(each.seconds))
        return statistics.median(after - before for before, after in pairwise(taken))


def _threads(place: torch.device) -> int | None:
    """Networks this small gain nothing by two threads, and lose at times."""
    return 1 if place.type == "cpu" else None


def _begun(
    task: Task,
    architecture: Architecture,
    recipe: Recipe,
    place: torch.device,
    *,
    seed: int = 0,
    change: Augment | None = None,
) -> tuple[nn.Module, _Learning]:
    """A fresh network where it is trained, and how it learns the task."""
    skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
    space = image_space(architecture.space)
    network, layout = space.network(architecture, skeleton), memory_format(space, place)
    network = network.to(place, memory_format=layout)  # type: ignore[call-overload]
    images = _Images.of(task, *normalisation(task), place)
    return network, _Learning(network, recipe, images, seed=seed, layout=layout, change=change)


@dataclass
class _Curve:
    """What is told of the epochs: the loss, and the accuracy after these shares of them, but not after the last one.

    The loop keeps it with its checkpoint.
    """

    task: Task
    learning: _Learning
    loop: Loop
    checks: Sequence[float]
    deadline: float
    on_epoch: OnEpoch | None

    @property
    def epochs(self) -> int:
        """How many are planned, the last one perhaps in part."""
        return -(-(self.loop.steps or 0) // self.learning.a_pass)

    @property
    def points(self) -> list[Progress]:
        """All epochs so far."""
        return [Progress(**each) for each in self.loop.notes]

    def again(self) -> bool:
        """Tells the epochs of a training that was killed; whether it may go on."""
        return all(self.on_epoch is None or self.on_epoch(each) is not False for each in self.points)

    def __call__(self, epoch: Epoch) -> bool | None:
        asked = {math.ceil(share * self.epochs) for share in self.checks} - {self.epochs}
        valid = None
        if epoch.number in asked and time.monotonic() < self.deadline:
            network = self.loop.network.eval()
            valid = accuracy(self.learning.training(network, 0.0, complete=False), self.task, VALIDATION)
        point = Progress(epoch.number, self.epochs, epoch.loss, epoch.seconds, valid)
        self.loop.notes.append(asdict(point))
        return None if self.on_epoch is None else self.on_epoch(point)


@dataclass(frozen=True)
class _Images:
    """The training images as bytes, of which batches are made when they are wanted: floats would take four times that.

    On the CPU these are the task's own, not copied; those that lie on the disk are read batch by batch everywhere.

    Attributes:
        stored: (m, h, w, c) uint8. where: (n,) the positions in it. labels: (n,).
    """

    stored: Tensor | Mapped
    where: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, task: Task, mean: tuple[float, ...], scale: tuple[float, ...], place: torch.device) -> Self:
        """Those of a task, where it is learnt."""
        where = task.places(TRAIN)
        labels = torch.from_numpy(task.labels[where]).to(place)
        if isinstance(task.images, Mapped):
            return cls(task.images, torch.from_numpy(where), labels, mean, scale)
        if place.type == "cpu" and task.images.flags.writeable:  # torch warns of others
            return cls(torch.from_numpy(task.images), torch.from_numpy(where), labels, mean, scale)
        stored = torch.from_numpy(task.images[where]).to(place)
        return cls(stored, torch.arange(len(where), device=place), labels, mean, scale)

    def batch(self, chosen: Tensor) -> Tensor:
        """Those at (k,) places among the training images: (k, c, h, w), normalised."""
        if isinstance(self.stored, Mapped):
            images = torch.from_numpy(self.stored[self.where[chosen.cpu()].numpy()]).to(chosen.device)
        else:
            images = self.stored[self.where[chosen]]
        return normalised(images.permute(0, 3, 1, 2), self.mean, self.scale)


class _Learning:
    """Optimiser, batches and loss of one training.

    Attributes:
        parts: into how many a batch is cut, so that it fits into memory. a_pass: steps over all images.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        images: _Images,
        *,
        seed: int = 0,
        layout: torch.memory_format = torch.contiguous_format,
        change: Augment | None = None,
    ) -> None:
        self.recipe, self.images, self.layout, self.parts = recipe, images, layout, 1
        self.optimiser = SGD(
            network.parameters(),
            lr=recipe.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=recipe.weight_decay,
        )
        self.shuffle = torch.Generator().manual_seed(seed)
        colour = images.stored.shape[-1] == 3  # grey pictures are mostly signs and scans
        self.change = change or Augment(shift=recipe.augment, flip=recipe.augment and colour)
        self.a_pass = -(-len(images.labels) // recipe.batch)

    def passes(self) -> Iterator[list[Batch]]:
        """All training images in a new order, and how each is moved, again and again."""
        y = self.images.labels
        while True:
            order = torch.randperm(len(y), generator=self.shuffle).to(y.device)
            yield [self._batch(chosen) for chosen in batches(order, self.recipe.batch)]

    def first(self) -> Batch:
        """A batch of the first images."""
        y = self.images.labels
        return self._batch(torch.arange(min(self.recipe.batch, len(y)), device=y.device))

    def _batch(self, chosen: Tensor) -> Batch:
        side, flip = self.images.stored.shape[-2], self.change.flip
        return chosen, Moves.drawn(len(chosen), side, self.shuffle, flip=flip) if self.change.shift else None

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch, whose gradients are left in the network."""
        chosen, moves = batch
        x = self.images.batch(chosen)
        if moves is not None:
            x = moves.of(x)
        if self.layout == torch.contiguous_format:
            x = x.clone(memory_format=self.layout)  # grey images are "contiguous" in both layouts: strides decide
        return self.gradients(network, x, self.images.labels[chosen])

    def gradients(self, network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The loss and gradients of a batch, in as many parts as memory asks for."""
        size = -(-len(y) // self.parts)
        try:
            self.optimiser.zero_grad()
            total = torch.zeros((), device=y.device)
            for images, labels in zip(batches(x, size), batches(y, size), strict=True):
                loss = nn.functional.cross_entropy(network(images), labels) * (len(labels) / len(y))
                loss.backward()
                total += loss.detach()
            return total
        except torch.OutOfMemoryError as problem:
            self.parts = -(-len(y) // halved(size, problem))
        return self.gradients(network, x, y)

    def training(self, network: nn.Module, seconds: float, *, complete: bool) -> Training:
        """The network as it is, for images of this task."""
        return Training(network.eval(), self.images.mean, self.images.scale, None, seconds, complete)
