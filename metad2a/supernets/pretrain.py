"""`metad2a pretrain`: a base network learns a large set of images in a given time; killed, it goes on."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from databases.architectures.supernets.inherit import Sharing, recalibrate
from databases.architectures.supernets.pretrained import Family, Stages
from databases.errors import Say, UserError
from databases.files import write_files
from databases.hosting import lent
from metad2a.supernets.images import Images, batch_of, cropped, resized
from metad2a.supernets.sampled import Sampled
from metad2a.train.averaging import Average
from metad2a.train.batches import normalised
from metad2a.train.loop import Epoch, Loop, cosine
from metad2a.train.optimisers import SGD
from metad2a.train.precision import half
from metad2a.train.together import Together

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
Batch = tuple[np.ndarray, int]  # places of the images, seed of their crops
SOME = 2000  # images to validate on after most epochs; all of them after every fifth and the last
SETTLE = 5120  # training images that tell the last statistics
COLUMNS = ("epoch", "steps", "seconds", "loss", "accuracy", "images")


@dataclass(frozen=True)
class PretrainPlan:
    """How a base is pretrained.

    Attributes:
        hours: of wall time, over all lives of the training; the schedule ends with them.
        sides: resolutions in pixels, each for its share of the time; the last one is validated.
        batch: images a step, of all processes together.
        smoothing: of labels (Szegedy and others, 2016). average: share of the old weights in the average a step.
    """

    hours: float = 2.0
    sides: tuple[int, ...] = (32, 40, 48)
    shares: tuple[float, ...] = (0.6, 0.2, 0.2)
    batch: int = 128
    learning_rate: float = 0.2
    weight_decay: float = 3e-4
    smoothing: float = 0.05
    average: float = 0.999
    seed: int = 0

    def side(self, progress: float) -> int:
        """Resolution at a progress."""
        ends = np.cumsum(self.shares)
        return self.sides[min(int((progress >= ends - 1e-9).sum()), len(self.sides) - 1)]


@dataclass(frozen=True)
class Point:
    """The training after an epoch; accuracy in percent on ``images`` of the validation images."""

    epoch: int
    steps: int
    seconds: float
    loss: float
    accuracy: float
    images: int


def pretrain(
    network: nn.Module,
    images: Images,
    plan: PretrainPlan,
    *,
    normalisation: Normalisation,
    checkpoint: Path,
    processes: Together,
    say: Say = lambda line: None,
    on_point: Callable[[Point], None] = lambda point: None,
    subnets: tuple[Family, Stages] | None = None,
    every: float = 180.0,
    deadline: float = math.inf,
) -> Loop:
    """Trains the network on the training images; the loop's progress is 1 when complete, its `result` the average.

    With ``subnets``, the family and the stages of the network, random parts of it learn (`Sampled`). Beside the
    checkpoint, which is written ``every`` so many seconds, a CSV file tells the curve.

    Raises:
        UserError: there are fewer training images than a batch holds, or the checkpoint is another training's.
    """
    _check(images, plan)
    with lent(seed=plan.seed, on=str(processes.place)):
        network.to(processes.place, memory_format=torch.channels_last)  # type: ignore[call-overload]
        sampled = None if subnets is None else Sampled(*subnets, network, len(images.names))
        learner = processes.wrapped(network) if sampled is None else processes.wrapped(Sharing(network), partly=True)
        loop = Loop(
            network,
            optimiser(network, plan),
            seconds=3600 * plan.hours,
            schedule=cosine(0.04),
            seed=plan.seed,
            gradient_norm=5.0,
            finite=True,
            average=Average(keeps=plan.average),
            checkpoint=checkpoint,
            every=every,
            writes=processes.first,
            parallel=learner,
            agree=processes.agreed,
        )
        job = _Job(loop, images, plan, normalisation, processes, say, on_point, sampled)
        loop.run(job.batches, job.loss, deadline=deadline, on_epoch=job.on_epoch)
        loop.parallel = network  # what wrapped it holds the processes' group
    return loop


class _Job:
    """Batches, loss and validation of one pretraining."""

    def __init__(
        self,
        loop: Loop,
        images: Images,
        plan: PretrainPlan,
        normalisation: Normalisation,
        processes: Together,
        say: Say,
        on_point: Callable[[Point], None],
        sampled: Sampled | None = None,
    ) -> None:
        self.sampled = sampled
        self.loop, self.images, self.plan, self.processes = loop, images, plan, processes
        self.normalisation, self.say, self.on_point = normalisation, say, on_point
        self.said = time.monotonic()

    def batches(self, generator: torch.Generator, first: int) -> Iterator[Batch]:
        """This process's share of each batch of an epoch; what is left over waits for the next epoch."""
        train, size = self.images.train, self.plan.batch
        order = torch.randperm(len(train), generator=generator).numpy()
        seeds = torch.randint(2**40, (len(order) // size,), generator=generator).tolist()
        for number in range(first, len(seeds)):
            self._say_sometimes()
            mine = order[number * size : (number + 1) * size][self.processes.number :: self.processes.size]
            yield np.sort(train[mine]), seeds[number] + self.processes.number

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cross entropy of crops of the images; of the subnet whose turn it is."""
        places, seed = batch
        place = self.processes.place
        x = cropped(
            batch_of(self.images.x, places, place),
            self.plan.side(self.loop.progress),
            torch.Generator().manual_seed(seed),
        )
        x, labels = normalised(x, *self.normalisation), self.images.y[places].to(place)
        if self.sampled is not None:  # one subnet for all processes
            return self.sampled.loss(network, x, labels, seed - self.processes.number, self.plan.smoothing)
        with half(network, place):
            logits: Tensor = network(x)
        return nn.functional.cross_entropy(logits.float(), labels, label_smoothing=self.plan.smoothing)

    def on_epoch(self, epoch: Epoch) -> None:
        """Validates the averaged network."""
        held = self.images.held
        if epoch.progress < 1 and epoch.number % 5:
            held = held[:: max(1, len(held) // SOME)]
        side = self.plan.sides[-1]
        percent = accuracy(self.loop.result, self.images, held, side, self.normalisation, self.processes)
        point = Point(epoch.number, epoch.steps, epoch.seconds, epoch.loss, percent, len(held))
        if self.processes.first:
            _note(self.loop.path, point)
            self.on_point(point)
            self.say(f"epoch {point.epoch}: loss {point.loss:.3f}, {percent:.1f}% of {len(held):,} at {side} px")

    def _say_sometimes(self) -> None:
        if time.monotonic() - self.said < 60:
            return
        self.said, loop = time.monotonic(), self.loop
        left = (3600 * self.plan.hours - loop.seconds) / 60
        self.say(
            f"step {loop.step:,}, {self.plan.side(loop.progress)} px, loss {loop.total / max(1, loop.place):.3f}, "
            f"{loop.step * self.plan.batch / max(1.0, loop.seconds):.0f} images/s, {max(0.0, left):.0f} min left"
        )


def settle(
    network: nn.Module, images: Images, plan: PretrainPlan, normalisation: Normalisation, place: torch.device
) -> None:
    """Takes the statistics of the normalisations anew, of whole training images at the last resolution.

    Those of training are of crops, and partly of other resolutions.
    """
    order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(plan.seed)).numpy()
    parts = np.array_split(images.train[order[:SETTLE]], -(-min(SETTLE, len(order)) // 128))
    with half(network, place):
        recalibrate(
            network,
            (
                normalised(resized(batch_of(images.x, np.sort(part), place), plan.sides[-1]), *normalisation)
                for part in parts
            ),
        )


def _check(images: Images, plan: PretrainPlan) -> None:
    if len(images.train) < plan.batch:
        raise UserError(
            f"given {len(images.train):,} training images and batches of {plan.batch}; a batch cannot be larger "
            "than the data; give --batch"
        )
    if not len(images.held):
        raise UserError(f"{images.name} holds no images to validate on; give some in a folder 'val'")


def _note(checkpoint: Path | None, point: Point) -> None:
    """Adds a row to the curve; an epoch that was already told is told anew."""
    if checkpoint is None:
        return
    points = [each for each in read_curve(checkpoint) if each.epoch < point.epoch]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(asdict(each) for each in [*points, point])
    write_files({checkpoint.with_suffix(".csv"): text.getvalue().encode()})


def read_curve(checkpoint: Path) -> list[Point]:
    """The curve beside a checkpoint, as far as there is one."""
    path = checkpoint.with_suffix(".csv")
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [_point(row) for row in csv.DictReader(file)]


def _point(row: dict[str, str]) -> Point:
    epoch, steps, images = (int(row[name]) for name in ("epoch", "steps", "images"))
    seconds, loss, percent = (float(row[name]) for name in ("seconds", "loss", "accuracy"))
    return Point(epoch, steps, seconds, loss, percent, images)


def optimiser(network: nn.Module, plan: PretrainPlan) -> SGD:
    """SGD with Nesterov momentum; weights of convolutions and of the classifier alone decay."""
    decays = [each for each in network.parameters() if each.ndim > 1]
    stays = [each for each in network.parameters() if each.ndim <= 1]
    groups = [{"params": decays, "weight_decay": plan.weight_decay}, {"params": stays, "weight_decay": 0.0}]
    return SGD(groups, lr=plan.learning_rate, momentum=0.9, nesterov=True)


@torch.inference_mode()
def accuracy(
    network: nn.Module,
    images: Images,
    places: np.ndarray,
    side: int,
    normalisation: Normalisation,
    processes: Together,
) -> float:
    """Percent of these images that the network classifies rightly at this resolution; all processes share the work."""
    network.eval()
    right = 0
    mine = places[processes.number :: processes.size]
    for chosen in np.array_split(mine, -(-len(mine) // 250)) if len(mine) else []:
        x = resized(batch_of(images.x, chosen, processes.place), side)
        with half(network, processes.place):
            predicted = network(normalised(x, *normalisation)).argmax(1).cpu()
        right += int((predicted == images.y[chosen]).sum())
    return 100 * processes.summed(right) / len(places)
