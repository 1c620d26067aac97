"""Trains one network by a recipe: SGD with Nesterov momentum, cosine schedule, averaged last weights."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from databases.architectures.space import Architecture, image_space
from databases.datasets.mapped import Mapped
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.train.augment import Augment
from metad2a.train.batches import batches
from metad2a.train.inference import accuracy, halved, normalisation, normalised
from metad2a.train.place import memory_format, pick_device
from metad2a.train.training import OnEpoch, Progress, Training

TIMED_STEPS = 4  # whose median tells how long a training takes
LAG = 0.05  # share of the steps that a training may be behind its time before its schedule is made shorter


def train(
    task: Task,
    architecture: Architecture,
    *,
    recipe: Recipe,
    seed: int = 0,
    device: str = "auto",
    deadline: float = math.inf,
    checks: Sequence[float] = (),
    steps: int | None = None,
    fit: bool = False,
    change: Augment | None = None,
    on_epoch: OnEpoch | None = None,
) -> Training:
    """Trains on the training part of ``task``; stops after the step that passes ``deadline`` (monotonic s).

    With ``steps`` the recipe's schedule is made so long. With ``fit`` it is made shorter where the machine turns out to
    be so slow that it would not end by the ``deadline``. ``change`` is what is done to training images, by default what
    the recipe says.
    After these shares of the epochs, ``checks``, the accuracy on the validation part is told to ``on_epoch`` too.
    The same seed on the same device gives the same weights, checked or not. A batch that does not fit into the
    device's memory is cut into halves, whose gradients are added: the steps stay the recipe's, the batch
    statistics of the normalisations are those of a part.

    Raises:
        UserError: a single image does not fit.
    """
    place = pick_device(device)
    task = task.resized(recipe.resolution)
    skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
    one = 1 if place.type == "cpu" else None  # networks this small gain nothing by two threads, and lose at times
    with lent(seed=seed, threads=one, device=str(place)):
        space = image_space(architecture.space)
        network, layout = space.network(architecture, skeleton), memory_format(space, place)
        network = network.to(place, memory_format=layout)  # type: ignore[call-overload]
        mean, scale = normalisation(task)
        loop = _Loop(network, recipe, _Images.of(task, mean, scale, place), seed, layout)
        loop.steps, loop.fit, loop.change = steps or loop.steps, fit, change or loop.change
        if checks and len(task.places(VALIDATION)):
            loop.check(checks, lambda: accuracy(Training(network, mean, scale, None, 0.0, False), task, VALIDATION))
        trained, curve, complete, seconds = loop.run(deadline, on_epoch)
        short = complete and (loop.hurried or loop.steps < recipe.steps(len(loop.y)))
        done = Training(trained.eval(), mean, scale, None, seconds, complete and not short, curve, loop.parts, short)
        valid = accuracy(done, task, VALIDATION)
    trained.to("cpu")
    return replace(done, valid_accuracy=valid)


def seconds_a_step(task: Task, architecture: Architecture, *, recipe: Recipe, device: str = "auto") -> float:
    """What one training step takes here: the median of a few, of a network that is then forgotten."""
    place = pick_device(device)
    skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
    one = 1 if place.type == "cpu" else None
    with lent(seed=0, threads=one, device=str(place)):
        space = image_space(architecture.space)
        network, layout = space.network(architecture, skeleton), memory_format(space, place)
        network = network.to(place, memory_format=layout)  # type: ignore[call-overload]
        loop = _Loop(network.train(), recipe, _Images.of(task, *normalisation(task), place), 0, layout)
        return statistics.median(loop.timed() for _ in range(TIMED_STEPS + 1))


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
        """Those of a task, on the device."""
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
            return normalised(images, self.mean, self.scale)
        return normalised(self.stored[self.where[chosen]], self.mean, self.scale)


class _Loop:
    """Optimiser, schedule and weight average of one training."""

    def __init__(
        self, network: nn.Module, recipe: Recipe, images: _Images, seed: int, layout: torch.memory_format
    ) -> None:
        self.network, self.recipe, self.images, self.y, self.layout = network, recipe, images, images.labels, layout
        self.shuffle = torch.Generator().manual_seed(seed)
        self.steps = recipe.steps(len(self.y))
        self.optimiser = torch.optim.SGD(
            network.parameters(),
            lr=recipe.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=recipe.weight_decay,
        )
        self.average = copy.deepcopy(network) if recipe.average else None
        self.averaged = 0
        self.parts = 1
        self.fit, self.hurried = False, False  # whether the schedule goes by the time too, and had to
        colour = images.stored.shape[-1] == 3  # grey pictures are mostly signs and scans
        self.change = Augment(shift=recipe.augment, flip=recipe.augment and colour)
        self.a_pass = -(-len(self.y) // recipe.batch)
        self.checks: set[int] = set()
        self.measure: Callable[[], float | None] = lambda: None

    def check(self, shares: Sequence[float], measure: Callable[[], float | None]) -> None:
        """Measures after these shares of the epochs, but not after the last one."""
        epochs = self._epochs
        self.measure, self.checks = measure, {math.ceil(share * epochs) for share in shares} - {epochs}

    def run(self, deadline: float, on_epoch: OnEpoch | None) -> tuple[nn.Module, list[Progress], bool, float]:
        """Trains to the end or the deadline; returns the network, curve, whether the schedule ended, and seconds."""
        begin, step = time.monotonic(), 0
        curve: list[Progress] = []
        self.network.train()
        hurry = self.steps / max(1e-9, deadline - begin)  # steps a second that the time asks for
        while step < self.steps and time.monotonic() < deadline:
            order = torch.randperm(len(self.y), generator=self.shuffle).to(self.y.device)
            total, taken = torch.zeros((), device=self.y.device), 0
            for chosen in batches(order, self.recipe.batch):
                at = hurry * (time.monotonic() - begin) if self.fit else 0.0
                self.hurried = self.hurried or bool(at > step + LAG * self.steps)
                total += self._step(max(step, at) if self.hurried else step, chosen)
                step, taken = step + 1, taken + 1
                if step >= self.steps or time.monotonic() >= deadline:
                    break
            check = len(curve) + 1 in self.checks and time.monotonic() < deadline
            curve.append(self._progress(len(curve) + 1, float(total) / taken, begin, check=check))
            if on_epoch is not None and on_epoch(curve[-1]) is False:
                break
        network = self.average if self.average is not None and self.averaged else self.network
        return network, curve, step >= self.steps or (self.fit and self.hurried), time.monotonic() - begin

    def _progress(self, epoch: int, loss: float, begin: float, *, check: bool) -> Progress:
        """Where training stands, with the validation accuracy where it is checked."""
        valid = None
        if check:
            self.network.eval()
            valid = self.measure()
            self.network.train()
        return Progress(epoch, self._epochs, loss, time.monotonic() - begin, valid)

    @property
    def _epochs(self) -> int:
        return -(-self.steps // self.a_pass)

    def timed(self) -> float:
        """Seconds of one step on the first images."""
        begin = time.perf_counter()
        float(self._step(0, torch.arange(min(self.recipe.batch, len(self.y)), device=self.y.device)))
        return time.perf_counter() - begin

    def _step(self, step: float, chosen: Tensor) -> Tensor:
        """One step, ``step`` of the schedule's: a fraction where it goes by the time, which torch's do not count."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = 0.5 * recipe.learning_rate * (1 + math.cos(math.pi * step / self.steps))
        x = self.images.batch(chosen)
        if self.change.shift:
            x = augment(x, self.shuffle, flip=self.change.flip)
        if self.layout == torch.contiguous_format:
            x = x.clone(memory_format=self.layout)  # grey images are "contiguous" in both layouts: strides decide
        loss = self._gradients(x, self.y[chosen])
        nn.utils.clip_grad_norm_(self.network.parameters(), recipe.gradient_norm)
        self.optimiser.step()
        if self.average is not None and step >= (1 - recipe.average) * self.steps:
            self._add_to_average()
        return loss

    def _gradients(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss and gradients of a batch, in as many parts as memory asks for."""
        size = -(-len(y) // self.parts)
        try:
            self.optimiser.zero_grad()
            total = torch.zeros((), device=y.device)
            for images, labels in zip(batches(x, size), batches(y, size), strict=True):
                loss = nn.functional.cross_entropy(self.network(images), labels) * (len(labels) / len(y))
                loss.backward()
                total += loss.detach()
            return total
        except torch.OutOfMemoryError as problem:
            self.parts = -(-len(y) // halved(size, problem))
        return self._gradients(x, y)

    @torch.no_grad()
    def _add_to_average(self) -> None:
        """Every step alike; torch's `AveragedModel` stops at what is counted in whole numbers (num_batches_tracked)."""
        assert self.average is not None
        self.averaged += 1
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        names = [name for name, value in ours.items() if value.is_floating_point()]
        torch._foreach_lerp_([ours[n] for n in names], [theirs[n] for n in names], 1 / self.averaged)


def augment(x: Tensor, generator: torch.Generator, *, flip: bool = True) -> Tensor:
    """Shifts all images by up to an eighth of their side (zeros come in) and, with ``flip``, mirrors half of them."""
    side = x.shape[-1]
    if flip:
        mirrored = torch.rand(len(x), generator=generator) < 0.5
        x = torch.where(mirrored.view(-1, 1, 1, 1).to(x.device), x.flip(-1), x)
    margin = max(1, side // 8)
    dy, dx = torch.randint(0, 2 * margin + 1, (2, len(x)), generator=generator).to(x.device)
    padded = nn.functional.pad(x, [margin] * 4)
    rows = dy.view(-1, 1) + torch.arange(side, device=x.device)
    columns = dx.view(-1, 1) + torch.arange(side, device=x.device)
    picked = padded.permute(0, 2, 3, 1)[
        torch.arange(len(x), device=x.device).view(-1, 1, 1), rows.unsqueeze(2), columns.unsqueeze(1)
    ]
    return picked.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
