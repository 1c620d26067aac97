"""Fine-tuning: a working classifier goes on learning, in the time that is left.

SGD with Nesterov momentum and a cosine schedule over exactly the seconds (or steps) that are given, moving average of
the weights, statistics of the batch normalisations taken anew at the end. The first layers may stay as they are.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.architectures.supernets.inherit import recalibrate
from databases.datasets.mapped import Mapped
from databases.datasets.task import TRAIN, VALIDATION, Task, sample
from databases.errors import UserError
from metad2a.train import logistic
from metad2a.train.augment import PLAIN, Augment, augmented
from metad2a.train.averaging import Average
from metad2a.train.classifier import Classifier
from metad2a.train.loop import Epoch, Loop, OnEpoch, cosine, remembered
from metad2a.train.memory import was_short
from metad2a.train.optimisers import SGD
from metad2a.train.precision import half
from metad2a.train.probe import percent_right

Layers = Literal["head", "half", "all"]  # that learn
FROZEN: dict[Layers, float] = {"head": 0.8, "half": 0.5, "all": 0.0}  # share of all, from the first, that stay
BATCH = 32
MOMENTUM, WEIGHT_DECAY, GRADIENT_NORM = 0.9, 1e-4, 5.0
KEPT_NORM = 2.0  # of all layers by kept statistics: with larger gradients some blurred images end at chance
WARMUP = 0.1  # share of the training
AVERAGE = Average(keeps=0.97)
RECALIBRATE = 512  # images whose statistics the batch normalisations take; twice as many tell nothing more
TINY = 1e-3  # seconds, for which a step is made where there is no time
WATCHED, WATCHES, WATCH_SHARE = 128, 10, 0.02  # validation images looked at on the way, how often, of the seconds
STATISTICS_FOR_ONE = 2  # images at a time for one of a training's, since without gradients they take less memory


@dataclass(frozen=True)
class Tuning:
    """How to fine-tune.

    Attributes:
        layers: which learn; see `FROZEN`. learning_rate: at its peak.
        seconds, steps: how long, one of them given.
        statistics: whether batch normalisations go on by those they have, not by each batch's.
        parts: of the task to learn from. batch: images a step.
    """

    layers: Layers = "all"
    learning_rate: float = 0.03
    seconds: float | None = None
    steps: int | None = None
    statistics: bool = False
    augment: Augment = PLAIN
    parts: tuple[int, ...] = (TRAIN,)
    batch: int = BATCH
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Tuned:
    """A fine-tuned classifier.

    Attributes:
        valid_accuracy: percent; valid_loss: log-loss; None and nan without validation images.
        valid_logits: (n, classes) of the validation images.
        seconds: of training. steps: batches. passes: over the training images.
        complete: whether training went to its end.
        batch: images a step, in the end.
    """

    classifier: Classifier
    valid_accuracy: float | None
    valid_loss: float
    valid_logits: logistic.Floats
    seconds: float
    steps: int
    passes: float
    complete: bool
    batch: int


def finetune(
    begin: Classifier,
    task: Task,
    tuning: Tuning,
    *,
    deadline: float = math.inf,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], bool | None] | None = None,
) -> Tuned:
    """Trains a copy of ``begin``; with ``checkpoint`` (a file) it goes on where it was killed.

    A batch that does not fit into memory is halved, and the training goes on. The schedule of one of so many seconds
    that begins now ends by the deadline; one that goes on has the schedule that it began with, and may be cut.
    ``on_epoch`` is told the accuracy on a part of the validation images too, now and then; see `_Watch`.

    Raises:
        UserError: a single image does not fit.
    """
    network = copy.deepcopy(begin.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    freeze(network, FROZEN[tuning.layers], statistics=tuning.statistics)
    where = np.flatnonzero(np.isin(task.parts, tuning.parts))
    images, labels = _taker(begin, task, where), torch.from_numpy(task.labels[where])
    loop = _loop(network, tuning, checkpoint)
    size = min(tuning.batch, len(labels))
    told = None if on_epoch is None else remembered(loop, on_epoch)
    watch = None if told is None else _Watch(begin, task, tuning, loop, told, len(labels))

    def batches(generator: torch.Generator, first: int) -> Iterable[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(labels), generator=generator)
        for chosen in order.split(size)[first:]:
            if len(chosen) > 1:  # one image alone has no statistics
                yield begin.normalised(augmented(images(chosen), tuning.augment, generator)), labels[chosen]

    if loop.limit is not None and not loop.step and (left := deadline - time.monotonic()) < loop.limit:
        loop.limit, deadline = max(left, TINY), math.inf  # what was prepared above took some of its time
    complete = None
    while complete is None:
        try:
            complete = loop.run(batches, _loss, deadline=deadline, on_epoch=watch)
        except (RuntimeError, MemoryError) as problem:
            if not was_short(problem):
                raise
            if size <= 2:
                raise UserError("there is no memory for two images: choose a lower resolution") from problem
            size = -(-size // 2)
    seconds = loop.seconds
    few = torch.randperm(len(labels), generator=torch.Generator().manual_seed(tuning.seed))[:RECALIBRATE]
    _recalibrate(loop.result, begin, images(few), batch=STATISTICS_FOR_ONE * size)
    ended = replace(begin, network=loop.result.eval())
    return _judged(ended, task, loop.step, seconds, complete=complete, batch=size, images=len(labels))


@dataclass
class _Watch:
    """Tells of epochs, and about ten times of the accuracy on some validation images, as long as it costs little.

    Where the training learns from them it tells nothing of them.
    """

    begin: Classifier
    task: Task
    tuning: Tuning
    loop: Loop
    told: OnEpoch
    images: int  # of an epoch
    seconds: float = 0.0  # that looking took

    @property
    def following(self) -> float:
        """Progress from which it looks again, also when it was killed."""
        seen = [each["progress"] for each in self.loop.notes if each.get("valid_accuracy") is not None]
        return (seen[-1] if seen else 0.0) + 1 / WATCHES

    @cached_property
    def places(self) -> npt.NDArray[np.intp]:
        """Of the validation images that are looked at."""
        where = self.task.places(VALIDATION)[: 0 if VALIDATION in self.tuning.parts else None]
        return where[sample(self.task.labels[where], self.task.parts[where], most=WATCHED, seed=0)]

    def __call__(self, epoch: Epoch) -> bool | None:
        image = epoch.seconds / (epoch.number * self.images)  # for training: about twice that of classifying
        takes = self.seconds + len(self.places) * image / 2
        if len(self.places) and self.following <= epoch.progress < 1 and takes <= WATCH_SHARE * epoch.seconds:
            epoch = self._looked(epoch)
        return self.told(epoch)

    def _looked(self, epoch: Epoch) -> Epoch:
        begin = time.monotonic()
        now = replace(self.begin, network=self.loop.network.eval())  # each epoch begins in training mode
        logits = now.logits(self.task.images, self.places)
        self.seconds += time.monotonic() - begin
        return replace(epoch, valid_accuracy=percent_right(logits, self.task.labels[self.places]))


def freeze(network: nn.Module, share: float, *, statistics: bool) -> None:
    """The first ``share`` of the layers with weights learn nothing and keep their statistics while training.

    With ``statistics`` all layers keep them.
    """
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    first = layers[min(round(share * len(layers)), len(layers) - 1)]
    learns = share == 0  # what stands before the first layer too, such as the embedding of places
    for module in network.modules():
        learns = learns or module is first
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(learns)
        if isinstance(module, nn.BatchNorm2d) and (statistics or not learns):
            module.eval()
            module.train = _stay  # type: ignore[method-assign,assignment]  # which the network's own `train` calls


def _stay(mode: bool = True) -> nn.Module:
    """In place of the `train` of a module that keeps its statistics: nothing changes."""
    return nn.Identity()


def _recalibrate(network: nn.Module, classifier: Classifier, images: Tensor, *, batch: int) -> None:
    """Batch normalisations that learn take the statistics of (n, c, h, w) uint8 images, each batch counting alike."""
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d) and each.train is not _stay]
    if norms and len(images) > 1:
        parts = (part for part in images.split(batch) if len(part) > 1)
        recalibrate(network, (classifier.normalised(part) for part in parts), norms)
    network.eval()


def _loss(network: nn.Module, given: tuple[Tensor, Tensor]) -> Tensor:
    with half(network):
        logits = network(given[0])
    return nn.functional.cross_entropy(logits.float(), given[1])


def _loop(network: nn.Module, tuning: Tuning, checkpoint: Path | None) -> Loop:
    learning = [each for each in network.parameters() if each.requires_grad]
    optimiser = SGD(learning, tuning.learning_rate, momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY)
    return Loop(
        network,
        optimiser,
        steps=tuning.steps,
        seconds=tuning.seconds,
        schedule=cosine(WARMUP),
        seed=tuning.seed,
        gradient_norm=KEPT_NORM if tuning.statistics and tuning.layers == "all" else GRADIENT_NORM,
        average=AVERAGE,
        checkpoint=checkpoint,
    )


def _taker(begin: Classifier, task: Task, where: npt.NDArray[np.intp]) -> Callable[[Tensor], Tensor]:
    """Gives the images at (b,) positions in ``where`` as (b, c, h, w) uint8 at the network's resolution.

    Those in memory are resized once, those on the disk are read and resized when they are wanted.
    """
    if isinstance(task.images, Mapped):
        return lambda places: begin.resized(task.images[where[places.numpy()]])
    held = begin.resized(task.images[where])
    return lambda places: held[places]


def _judged(
    ended: Classifier, task: Task, steps: int, seconds: float, *, complete: bool, batch: int, images: int
) -> Tuned:
    asked = task.places(VALIDATION)
    truth = task.labels[asked]
    logits = ended.logits(task.images, asked) if len(truth) else np.zeros((0, task.classes), dtype=np.float32)
    return Tuned(
        classifier=ended,
        valid_accuracy=percent_right(logits, truth) if len(truth) else None,
        valid_loss=logistic.log_loss(logits, truth) if len(truth) else math.nan,
        valid_logits=logits,
        seconds=seconds,
        steps=steps,
        passes=steps * batch / images,
        complete=complete,
        batch=batch,
    )
